"""Training the linear model ends at the optimum that a convex solver finds for its population."""

import numpy as np
import pytest

from benchmarks.training.linear_optimum import SOURCES, convex_optimum, line, measured, population
from sweeps.config.data import MarkovData
from sweeps.data.registry import load_corpus

BY_NAME = {name: (name, *more) for name, *more in SOURCES}


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_training_comes_within_a_thousandth_of_a_nat_of_the_optimum(name):
    row = measured(*BY_NAME[name])
    # Below by no more than the float32 of the model's logits.
    assert -1e-6 < row["loss"] - row["optimum"] < 1e-3
    assert row["optimum"] > row["entropy"] - 1e-9
    assert name in line(row)


def test_the_bigram_limit_is_the_sources_own_table():
    corpus = load_corpus(MarkovData(symbols=6, order=1), 1)
    whole = population(corpus)
    assert convex_optimum(whole) == pytest.approx(corpus.facts.entropy, abs=1e-6)


def test_the_population_is_all_that_a_chain_can_make():
    corpus = load_corpus(MarkovData(symbols=3, order=2), 4)
    whole = population(corpus)
    assert [len(rows) for rows in whole.prefixes] == [3, 9, 27, 81]
    assert whole.chances.sum() == pytest.approx(1)
    assert np.allclose(whole.following.sum(axis=1), 1)
    assert whole.entropy == pytest.approx(corpus.facts.entropy, abs=1e-9)
