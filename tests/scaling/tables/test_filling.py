"""Facts about columns that a table lacks and others tell."""

import pandas as pd
import pytest

from scaling.errors import RecordError
from scaling.records import records_from_table

LOSS = [3.5, 3.2, 3.0]


def told(records):
    return " | ".join(note.text for note in records.told)


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"steps": [1000, 2000, 4000], "batch_tokens": 2**20}, '"steps" x "batch_tokens"'),
        (
            {"max_steps": [1000, 2000, 4000], "tokens_per_step": "1,048,576"},
            '"max_steps" x "tokens_per_step"',
        ),
        ({"epochs": [1, 2, 4], "dataset_tokens": 1000 * 2**20}, '"epochs" x unique_tokens'),
        (
            {"tokens_per_param": [x * 1000 * 2**20 / 1e8 for x in (1, 2, 4)]},
            '"tokens_per_param" x params',
        ),
    ],
)
def test_tokens_follow_from_what_the_table_has(columns, rule):
    records = records_from_table(pd.DataFrame({"params": 1e8, **columns, "loss": LOSS}))
    assert records.column("tokens").tolist() == pytest.approx(
        [1000 * 2**20, 2000 * 2**20, 4000 * 2**20]
    )
    assert f"tokens computed from {rule}" in told(records)


def test_tokens_of_a_table_that_has_them_are_its_own():
    table = {"params": 1e8, "tokens": 5e9, "steps": 7, "batch_tokens": 9, "loss": LOSS}
    assert records_from_table(pd.DataFrame(table)).column("tokens").tolist() == [5e9] * 3


@pytest.mark.parametrize("column", ["model", "size", "params", "model_size"])
def test_sizes_in_names_of_models_are_read(column):
    names = ["pythia-70m", "pythia-410m-deduped", "Pythia 1.4B"]
    records = records_from_table(pd.DataFrame({column: names, "tokens": 3e11, "loss": LOSS}))
    assert records.column("params").tolist() == [7e7, 4.1e8, 1.4e9]
    assert '"pythia-70m" is 70000000' in told(records)


def test_names_of_runs_with_two_sizes_are_not_guessed_at():
    names = ["70m-2B", "160m-4B", "410m-8B"]
    records = records_from_table(pd.DataFrame({"model": names, "tokens": 3e11, "loss": LOSS}))
    with pytest.raises(RecordError, match=r'no column "params" \(it has: model, tokens, loss\)'):
        records.require("params")
