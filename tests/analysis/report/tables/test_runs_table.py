"""Facts about the table of what was run: a row is a configuration, and `used` what fits used."""

from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.report.tables.state import MOST_ROWS, USED, runs_table, standing_table
from analysis.tuning.screening import screen
from scaling.records import records_from_table

SWEEP = pd.DataFrame(
    {
        "params": [1e7, 1e7, 1e7, 2e7, 2e7, 4e7, 4e7],
        "tokens": [1e9] * 7,
        "loss": [4.0, 4.01, 4.3, 3.6, 3.5, 3.1, float("nan")],
        "learning_rate": [6e-4, 6e-4, 2e-3, 6e-4, 2e-3, 6e-4, 6e-4],
        "schedule": ["cosine"] * 7,
        "seed": [0, 1, 0, 0, 0, 0, 1],
        "status": [*["finished"] * 6, "running"],
    }
)


def table_of(frame):
    records = records_from_table(frame, source="runs.csv")
    found = SimpleNamespace(records=records, used=screen(records), x="train_flops")
    return runs_table(found), found.used


@pytest.fixture(scope="module")
def shown():
    return table_of(SWEEP)


def test_learning_rates_are_configurations_and_seeds_are_not(shown):
    table, _ = shown
    at = table.head.index("Learning rate"), table.head.index("Seeds"), table.head.index("State")
    cells = [tuple(row[i] for i in at) for row in table.rows]
    worse = "left out: another learning_rate is better at its size and tokens"
    assert cells == [
        ("0.0006", "2", USED),
        ("0.002", "1", worse),
        ("0.0006", "1", worse),
        ("0.002", "1", USED),
        ("0.0006", "1", USED),
        ("0.0006", "1", "running"),
    ]
    assert "Schedule" not in table.head  # all have one
    assert table.marked == (1, 2, 5)


def test_used_are_as_many_runs_as_the_fits_take(shown):
    table, used = shown
    seeds = table.head.index("Seeds")
    assert sum(int(row[seeds]) for row in table.rows if row[-1] == USED) == len(used)
    assert sum(int(row[seeds]) for row in table.rows) == len(SWEEP)


def test_a_row_of_totals_is_not_used():
    total = {"tokens": 7e9, "status": "finished"}
    table, _ = table_of(pd.concat([SWEEP, pd.DataFrame([total])], ignore_index=True))
    assert table.rows[-1][-1] == "left out: loss is blank or not finite"


def test_of_many_configurations_both_ends_are_shown():
    size = [1e7 * 1.1**i for i in range(MOST_ROWS + 5)]
    table, _ = table_of(pd.DataFrame({"params": size, "tokens": 1e9, "loss": 3.0}))
    assert (
        len(table.rows) == MOST_ROWS and table.note == "5 configurations in the middle not listed."
    )
    assert (table.rows[0][0], table.rows[-1][0]) == ("10M", "663M")


def test_runs_without_any_loss_have_a_standing_all_the_same():
    records = records_from_table(SWEEP.drop(columns="loss").assign(reason=None), source="runs.csv")
    table = standing_table(records, {})
    assert len(table.rows) == 7
    assert all(row[table.head.index("State")] in ("finished", "running") for row in table.rows)
