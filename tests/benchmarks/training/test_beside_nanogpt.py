"""Facts about the benchmark that trains nanoGPT's settings beside ours."""

import math

import pandas as pd
import pytest

from benchmarks.training.beside_nanogpt import initialised, learning_rate, our_run, summary


def test_their_learning_rate_warms_up_and_falls_to_a_tenth():
    assert learning_rate(0, 1000, 1e-3) == 0
    assert learning_rate(100, 1000, 1e-3) == pytest.approx(1e-3)
    assert learning_rate(550, 1000, 1e-3) == pytest.approx(0.55e-3)
    assert learning_rate(1000, 1000, 1e-3) == pytest.approx(1e-4)


def test_their_model_has_the_shape_of_our_run_and_their_first_weights():
    run = our_run(1.2e11, 48, 1)
    model = initialised(run, 1)
    assert model.token.weight.shape == (run.shape.vocab_size, 48)
    assert float(model.token.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    residual = float(model.blocks[0].contract.weight.detach().std())
    assert residual == pytest.approx(0.02 / math.sqrt(2), rel=0.05)


def test_the_summary_takes_their_best_rate_and_says_where_it_lies_at_an_end():
    rows = [("ours/1", math.nan, 1.8), ("nanoGPT", 1e-3, 2.1), ("nanoGPT", 2e-3, 2.0)]
    table = pd.DataFrame(
        [
            {"recipe": r, "learning_rate": v, "loss": loss, "flops": 1e11, "seed": 1}
            for r, v, loss in rows
        ]
    )
    (row,) = summary(table).to_dict("records")
    assert row["lower by %"] == pytest.approx(10.0)
    assert row["best rate"] == 2e-3 and row["rate at an end"]
