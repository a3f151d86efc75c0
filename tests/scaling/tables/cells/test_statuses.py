"""Facts about how runs ended: words of other tools and languages, flags, progress, remarks."""

import numpy as np
import pandas as pd
import pytest

from scaling.records import read_records, records_from_table
from scaling.tables.cells.statuses import status_of
from tests.scaling.tables.ladder import CASES, grid, law_of, said


def runs(**last):
    """Eight runs, of which the last has these cells (column: (cell of the others, its own))."""
    n, d = np.repeat([1e8, 1e9], 4), np.tile([1e9, 4e9, 2e10, 9e10], 2)
    table = pd.DataFrame({"params": n, "tokens": d, "loss": 2 + 400 / n**0.34 + 410 / d**0.28})
    return table.assign(**{name: [cells[0]] * 7 + [cells[1]] for name, cells in last.items()})


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("TrialState.COMPLETE", "finished"),  # Optuna
        ("TrialState.PRUNED", "interrupted"),
        ("CANCELLED by 1000", "interrupted"),  # Slurm
        ("NODE_FAIL", "failed"),
        ("Evicted", "interrupted"),  # Kubernetes
        ("\u5b8c\u6210", "finished"),
        ("\u5931\u6557", "failed"),
        ("\u041e\u0448\u0438\u0431\u043a\u0430", "failed"),
        ("Termin\u00e9", "finished"),
        ("see notes", None),
    ],
)
def test_words_of_schedulers_and_languages_are_known(word, ours):
    assert status_of(word) == ours


@pytest.mark.parametrize(
    ("column", "cells", "ours"),
    [
        ("exclude", (0, 1), "excluded"),
        ("valid", (True, False), "excluded"),
        ("include", ("yes", "no"), "excluded"),
        ("is_outlier", ("False", "True"), "excluded"),
        ("sys/failed", (False, True), "failed"),
        ("run.active", (False, True), "running"),
        ("progress", (1.0, 0.4), "running"),
        ("pct_done", ("100%", "37%"), "running"),
        ("phase", ("Succeeded", "Evicted"), "interrupted"),
    ],
)
def test_flags_and_progress_say_which_runs_count(column, cells, ours):
    records = records_from_table(runs(**{column: cells}))
    assert records.usable("params").dropped_by_reason == {ours: 1}
    assert f'status is the column "{column}": 7 finished, 1 {ours}' in said(records)


def test_a_flag_beside_a_status_leaves_its_run_out_too():
    records = records_from_table(runs(state=("finished", "finished"), outlier=("no", "yes")))
    assert records.usable("params").dropped_by_reason == {"excluded": 1}
    assert 'the column "outlier" says of runs how they ended: 1 excluded' in said(records)


def test_terminated_is_the_end_of_a_run_where_no_other_word_is():
    ray = records_from_table(runs(status=("TERMINATED", "ERROR")))
    assert ray.is_finished.sum() == 7
    slurm = records_from_table(runs(status=("COMPLETED", "TERMINATED")))
    assert slurm.usable("params").dropped_by_reason == {"interrupted": 1}


def test_remarks_that_speak_of_a_spoilt_run_are_told():
    records = records_from_table(runs(notes=(None, "diverged at step 1000")))
    assert records.is_finished.all()
    assert 'column "notes" says "diverged at step 1000" of 1 row (row 9)' in said(records)
    assert "notes" not in said(records_from_table(runs(notes=("good", "longest one"))))


@pytest.mark.parametrize("column", ["valid", "progress", "use"])
def test_other_numbers_under_such_a_name_say_nothing(column):
    records = records_from_table(runs(**{column: (2.345, 2.5)}))
    assert records.is_finished.all()
    assert said(records) == "train_flops computed from C = 6 N D"


def test_yes_or_no_with_a_word_among_them_still_says_how_runs_ended():
    table = grid().assign(finished=["yes"] * 9 + ["no", "see notes", None])
    records = records_from_table(table)
    assert records.status.value_counts().to_dict() == {"finished": 10, "failed": 1, "see notes": 1}
    assert '"see notes" of 1 row is no word for finished: left out' in said(records)


def test_status_words_of_other_tools_are_understood():
    records = read_records(CASES / "mlflow_export.csv")
    assert records.status.value_counts().to_dict() == {"finished": 14, "failed": 1}
    law = law_of(records)
    found = (law.E, law.A, law.B, law.alpha, law.beta)
    assert found == pytest.approx((1.7, 400, 410, 0.34, 0.28), rel=1e-3)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("run_state", ("finished", "crashed")),
        ("State", ("Completed", "KILLED")),
        ("outcome", ("done", "diverged")),
        ("job status", ("Success", "out of memory")),
        ("finished", (True, False)),
        ("diverged", (0, 1)),
        ("exit_code", (0, 137)),
        ("ExitCode", ("0:0", "1:0")),
        ("Status", ("\u2713", "\u2717")),
    ],
)
def test_a_column_of_status_words_is_the_status_whatever_its_name(column, words):
    table = grid()
    table[column] = [words[0]] * 11 + [words[1]]
    records = records_from_table(table)
    assert records.is_finished.sum() == 11
    assert f'status is the column "{column}"' in said(records)


def test_numbers_in_a_column_named_status_are_not_passed_over_in_silence():
    records = records_from_table(grid().assign(status=[0] * 11 + [1]))
    assert records.is_finished.all()
    assert 'column "status" holds no word that is known (0 11, 1 1)' in said(records)


@pytest.mark.parametrize(
    ("word", "ours"), [("KILLED", "interrupted"), ("FAILED", "failed"), ("Canceled", "interrupted")]
)
def test_a_run_that_somebody_stopped_is_not_told_as_failed(word, ours):
    table = grid()
    table["status"] = ["FINISHED"] * 11 + [word]
    records = records_from_table(table)
    assert f"11 finished, 1 {ours}" in said(records)
    assert records.usable("params").dropped_by_reason == {ours: 1}


def test_a_table_of_weights_and_biases_leaves_its_crashed_runs_out():
    records = read_records(CASES / "run_state.csv", columns={"loss": "cd_val_loss"})
    assert records.usable("params").dropped_by_reason == {"failed": 1}
