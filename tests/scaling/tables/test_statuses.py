"""Facts about how runs ended: words of other tools and languages, flags, progress, remarks."""

import numpy as np
import pandas as pd
import pytest

from scaling.records import records_from_table
from scaling.tables.statuses import status_of


def runs(**last):
    """Eight runs, of which the last has these cells (column: (cell of the others, its own))."""
    n, d = np.repeat([1e8, 1e9], 4), np.tile([1e9, 4e9, 2e10, 9e10], 2)
    table = pd.DataFrame({"params": n, "tokens": d, "loss": 2 + 400 / n**0.34 + 410 / d**0.28})
    return table.assign(**{name: [cells[0]] * 7 + [cells[1]] for name, cells in last.items()})


def said(records):
    return " | ".join(note.text for note in records.told)


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
