"""Facts about what a driver shows of its plan in MLflow's pages."""

import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from scaling.store.connection.mlflow_client import connect
from scaling.store.run_store import RunStore
from scaling.store.sweep_page import DESCRIPTION, SweepPage
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.running import page
from sweeps.running.page import LoggedProgress, show_plan


@pytest.fixture
def plan(tiny_mapping):
    return plan_sweep(config_from_mapping(tiny_mapping))


@pytest.fixture
def store(plan, tracking_uri):
    return RunStore.open(plan.name).with_parent({"sweep": plan.name})


def test_the_plan_is_described_and_kept_as_a_table_beside_the_config(plan, store, tmp_path):
    show_plan(plan, store)
    client = connect(store.tracking_uri)
    said = client.get_experiment(store.experiment_id).tags[DESCRIPTION]
    assert said.startswith("3 runs for scaling laws, ")
    assert "1 held out: [plan](#/experiments/" in said and "[report]" not in said
    for run in plan.runs:
        row = (str(run.shape.width), str(run.shape.depth), f"{run.shape.params:,}")
        assert "&nbsp; | ".join(row) in said
    kept = {
        name: Path(client.download_artifacts(store.parent_id, name)).read_text("utf-8")
        for name in ("config.yaml", "plan.csv", "plan.json")
    }
    assert plan_sweep(config_from_mapping(yaml.safe_load(kept["config.yaml"]))) == plan
    rows = list(csv.DictReader(io.StringIO(kept["plan.csv"])))
    assert [row["run_id"] for row in rows] == [run.run_id for run in plan.runs]
    assert json.loads(kept["plan.json"])["sweep"] == plan.name
    (tmp_path / "report.html").write_text("<html>")
    store.page().keep_report(tmp_path / "report.html")
    show_plan(plan, store)
    said = client.get_experiment(store.experiment_id).tags[DESCRIPTION]
    assert "1 held out: [report](#/experiments/" in said


def test_a_description_of_many_cells_fits_and_says_how_many_more_there_are(tiny_mapping, store):
    seeds = list(range(8))
    cells = [{"width": [16, 48], "tokens": 4000 + 768 * n, "seed": seeds} for n in range(30)]
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"cells": cells}))
    said = page.description(plan, store.page())
    assert len(said) < 4900
    assert "8 seeds" in said and "more cells, in plan.csv" in said


def test_files_that_do_not_reach_their_store_cost_a_warning(plan, store, monkeypatch):
    def fail(*arguments):
        raise ImportError("no boto3")

    monkeypatch.setattr("mlflow.tracking.MlflowClient.log_text", fail)
    with pytest.warns(UserWarning, match="no boto3"):
        show_plan(plan, store)


def test_progress_is_logged_while_a_driver_works_and_when_it_ends(
    plan, store, monkeypatch, eventually
):
    monkeypatch.setattr(page, "_SECONDS", 0.01)
    logged, log = [], SweepPage.log_progress
    monkeypatch.setattr(SweepPage, "log_progress", lambda *a: (log(*a), logged.append(1)))
    with LoggedProgress(plan, store):
        eventually(lambda: logged)
        run = plan.runs[0]
        store.start_run(run.run_id, run.name, run.facts()).finish({"loss": 2.0})
    metrics = connect(store.tracking_uri).get_run(store.parent_id).data.metrics
    assert (metrics["runs_finished"], metrics["runs_planned"]) == (1, 3)
