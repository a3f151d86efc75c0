"""Facts about histories: one bad cell or row costs its run at most, never the whole table."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit_as_asked
from scaling.records import read_records, records_from_table
from scaling.tables.reading import Reading
from scaling.tables.rows.runs import histories
from tests.scaling.tables.ladder import CASES, floor_of, grid, law_of, said


def history():
    """Twelve runs of four rows each, whose losses fall by a tenth a row to their exact ends."""
    n = np.repeat([1e7, 1e8, 1e9], 4)
    d = n * np.tile([5, 15, 45, 135], 3)
    ends = pd.DataFrame({"params": n, "tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28})
    ends = ends.assign(run=[f"run-{i}" for i in range(12)])
    rows = [ends.assign(step=k, loss=ends.loss * (1.4 - 0.1 * k)) for k in (1, 2, 3, 4)]
    return pd.concat(rows, ignore_index=True), ends.set_index("run").loss


@pytest.mark.parametrize(
    ("column", "row", "cell", "runs"),
    [
        ("loss", 40, "diverged", 11),  # the end of a run: its earlier rows are no outcome
        ("loss", 5, "n/a", 12),
        ("params", 40, -1.0, 11),
        ("params", 5, -1.0, 12),
        ("step", 40, "see notes", 11),  # nobody can tell which row of that run is the last
        ("step", 5, "inf", 11),
        ("run", 5, None, 12),
        ("run", 40, "", 12),  # then the row before it is the last of its run
    ],
)
def test_a_bad_cell_in_a_history_costs_one_run_at_most(column, row, cell, runs):
    table, ends = history()
    table[column] = table[column].astype(object)
    table.loc[row, column] = cell
    usable = records_from_table(table).usable("params", "tokens")
    assert len(usable) == runs
    named = usable.table.set_index("run").loss.astype(float)
    is_last = named.index != table["run"][row] if column != "run" else named.index != "run-4"
    assert named[is_last].to_numpy() == pytest.approx(ends[named.index[is_last]].to_numpy())


@pytest.mark.parametrize("cells", [dict.fromkeys(["params", "run", "loss"]), {"params": "Total"}])
def test_a_row_of_blanks_or_totals_leaves_a_history_one(cells):
    table, ends = history()
    records = records_from_table(pd.concat([table, pd.DataFrame([cells])], ignore_index=True))
    assert len(records.usable("params", "tokens")) == len(ends)


def told(records):
    """What is said of which rows count."""
    return next(note.text for note in records.notes if "of 12 runs" in note.text)


def test_where_losses_are_rarer_than_rows_the_last_loss_of_a_run_counts():
    table, ends = history()
    table.loc[(table.step == 4) | (table.run == "run-3"), "loss"] = np.nan
    records = records_from_table(table)
    used = records.usable("params", "tokens")
    assert len(used) == 11
    expected = ends[used.table["run"]].to_numpy() * 1.1
    assert used.column("loss") == pytest.approx(expected)
    assert "the last row with a loss of each run counts (later rows" in told(records)
    assert "without one: 11 runs; no loss at all: 1 run)" in told(records)
    assert records.dropped_by_reason == {
        "a later row of its run, without a loss": 11,
        "an earlier row of its run": 25,
    }


def test_where_most_runs_end_with_a_loss_those_that_do_not_have_none_and_are_counted():
    table, _ = history()
    assert "the last row of each run counts; --checkpoints" in told(records_from_table(table))
    table.loc[(table.step == 4) & table.run.isin(["run-3", "run-7"]), "loss"] = np.nan
    records = records_from_table(table)
    assert "the last row of each run counts (no loss in it: 2 runs);" in told(records)
    assert len(records.usable("params", "tokens")) == 10


@pytest.mark.parametrize(
    ("run", "step"), [("Lauf", "Schritt"), ("id", "_step"), ("job_id", "iter")]
)
def test_runs_and_steps_have_other_names(run, step):
    table, _ = history()
    records = records_from_table(table.rename(columns={"run": run, "step": step}))
    assert (
        f'48 rows of 12 runs (by "{run}"): the last row of each run counts' in records.told[0].text
    )


def test_a_run_begins_where_the_steps_fall_back():
    table, ends = history()
    table = table.sort_values(["run", "step"], key=lambda v: v.map(str)).drop(columns="run")
    usable = records_from_table(table.reset_index(drop=True)).usable("params", "tokens")
    assert sorted(usable.column("loss")) == pytest.approx(sorted(ends))


def test_a_name_in_each_row_makes_each_a_run_unless_it_tells_a_checkpoint():
    size = np.repeat([1e7, 3e7, 1e8], 3)
    table = pd.DataFrame({"params": size, "tokens": 20 * size * np.tile([1.0, 2.0, 4.0], 3)})
    table["step"] = np.tile([100, 200, 400], 3)
    table["loss"] = np.linspace(4, 3, 9)
    runs = table.assign(Name=[f"lm-{n:.0e}-r{i}" for i, n in enumerate(size)])
    assert histories(runs) is None
    steps = table.assign(
        Name=[f"lm-{n:.0e}-step{s}" for n, s in zip(size, table["step"], strict=True)]
    )
    assert histories(steps) is not None


def test_rows_of_one_model_on_different_numbers_of_unique_tokens_are_each_a_measurement():
    sizes, tokens = np.meshgrid([1e7, 1e8, 1e9], [1e9, 4e9, 2e10, 1e11])
    n, d = sizes.ravel(), tokens.ravel()
    table = pd.DataFrame({"params": n, "dataset_tokens": d, "loss": 2 + 9 / n**0.2 + 9 / d**0.2})
    table = table.assign(model=[f"model-{v:.0e}" for v in n], step=d / 1e6)
    records = records_from_table(table)
    assert len(records.usable("params", "tokens")) == len(table)


def test_the_last_row_of_a_history_counts():
    records = read_records(CASES / "history.csv")
    assert len(records) == 30
    law = law_of(records)
    assert (law.alpha, law.beta) == pytest.approx((0.34, 0.28), rel=1e-3)
    assert "the last row of each run counts" in said(records)


def test_a_history_of_planned_tokens_has_one_outcome_a_run():
    table = grid().assign(Name=[f"r{i}" for i in range(12)])
    early = table.assign(_step=1, val_loss=table.val_loss + 1)
    blank = table.assign(_step=3, val_loss=np.nan)
    rows = pd.concat([early, table.assign(_step=2), blank], ignore_index=True)
    records = records_from_table(rows.sample(frac=1, random_state=0))
    assert len(records) == 12
    assert floor_of(records) == pytest.approx(1.7, abs=1e-3)


def test_checkpoints_of_few_models_are_clusters():
    records = read_records(CASES / "checkpoints_of_runs.csv")
    assert len(records) == 144
    assert len(np.unique(records.clusters)) == 6
    fit = fit_as_asked(records, "chinchilla", bootstrap=100, card=False)
    assert fit.constants["alpha"].low < 0.28 < fit.constants["alpha"].high
    assert fit.constants["E"].low < 1.25 < fit.constants["E"].high
    assert "one cluster" in said(records)
    last = read_records(CASES / "checkpoints_of_runs.csv", reading=Reading(checkpoints="last"))
    assert len(last) == 6
