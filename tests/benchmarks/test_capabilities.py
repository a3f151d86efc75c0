"""Facts about forecasts of metrics of published runs."""

import os
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.capabilities import LARGE, PRINTED, observed, published_errors

FOLDER = os.environ.get("SCALING_PUBLISHED_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="published tables: SCALING_PUBLISHED_DATA")


def test_the_published_chain_gives_the_errors_that_its_authors_print():
    table = pd.read_csv(Path(FOLDER) / "gadre2024_overtraining.csv")
    runs = table[table["train_dataset"] == "rpj"]
    predicted = published_errors(runs, "err_avg_17_tasks")
    for (_, architecture, ratio), printed in PRINTED.items():
        is_it = (runs["architecture"] == architecture) & (runs["token_multiplier"].round() == ratio)
        (measured,), (told,) = runs["err_avg_17_tasks"][is_it], predicted[is_it]
        assert architecture in LARGE and round(100 * abs(told / measured - 1), 4) == printed


@pytest.mark.slow
def test_larger_public_models_are_nearer_than_a_plain_sigmoid_says():
    models = pd.read_csv(Path(FOLDER) / "obsscaling" / "base_llm_benchmark_eval.csv")
    ours, plain, coverage, _ = observed(models, "MMLU")
    assert ours < 0.5 * plain and coverage >= 0.85
