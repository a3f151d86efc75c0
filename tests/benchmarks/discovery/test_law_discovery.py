"""Facts about the benchmark of found laws: its protocol, and that a task is found again."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.discovery import search
from benchmarks.discovery import law_discovery
from benchmarks.simulated.tables import two_powers


def made(folder, test):
    (folder / "scalebench").mkdir()
    runs = two_powers().assign(group="all")
    runs.to_csv(folder / "scalebench" / "farseer_scaling_law_train.csv", index=False)
    test.to_csv(folder / "scalebench" / "farseer_scaling_law_test.csv", index=False)


def test_a_target_is_scored_by_r2_of_its_test_points(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "DEPTH", 1)
    monkeypatch.setattr(search, "WIDTH", 1)
    task = law_discovery.Task(inputs=("width_total", "seen"), people=0.9, agent=None, best=None)
    monkeypatch.setitem(law_discovery.TASKS, "farseer", task)
    test = pd.DataFrame({"group": "all", "width_total": [2e9, 3e9], "seen": [1e10, 3e10]})
    test["loss"] = 1.7 + 400 * test["width_total"] ** -0.34 + 410 * test["seen"] ** -0.28
    made(tmp_path, test)
    one = law_discovery.score(tmp_path, "farseer", "loss")
    assert one.r2 > 0.9 and one.inside == 1 and one.forms
    assert law_discovery.summary([one])["farseer"]["people"] == 0.9
    assert law_discovery.claims_on_permuted(tmp_path, "farseer", 3) == 0


def test_a_failure_counts_minus_one(tmp_path, monkeypatch):
    task = law_discovery.Task(inputs=("width_total",), people=0.9, agent=None, best=None)
    monkeypatch.setitem(law_discovery.TASKS, "farseer", task)
    test = pd.DataFrame({"group": ["other"], "width_total": [2e9], "loss": [2.0]})
    made(tmp_path, test)
    assert law_discovery.score(tmp_path, "farseer", "loss").r2 == -1


@pytest.mark.slow
@pytest.mark.skipif("SCALING_PUBLISHED_DATA" not in os.environ, reason="published data")
@pytest.mark.parametrize(("task", "least"), [("parallel", 0.999), ("sparsity", 0.53)])
def test_published_tasks_are_predicted_as_well_as_asked(task, least):
    folder = Path(os.environ["SCALING_PUBLISHED_DATA"])
    scored = [law_discovery.score(folder, task, t) for t in law_discovery.TASKS[task].targets]
    assert np.mean([one.r2 for one in scored]) >= least
