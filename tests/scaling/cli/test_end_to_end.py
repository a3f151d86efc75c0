"""The whole way with nothing replaced: worker processes, Lightning, and MLflow on SQLite."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.faults.kills import is_running, processes
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.running.events import EventKind
from sweeps.running.runner import run_sweep

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_sweep_is_trained_by_worker_processes_stored_and_not_repeated(tiny_mapping, tmp_path):
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"launch": {"workers": 2}}))
    store = RunStore.open(plan.name, f"sqlite:///{tmp_path}/mlflow.db")
    outcome = run_sweep(plan, store)
    assert outcome.count(RunState.FINISHED) == 3, outcome.reasons
    records = store.read_records()
    assert set(records.table["run_id"]) == {run.run_id for run in plan.runs}
    assert records.table["loss"].between(0.1, 4.5).all()
    assert len(records.usable("params", "tokens")) == 2  # the held-out run stays out of fits
    events = []
    run_sweep(plan, store, on_event=events.append)
    assert {event.kind for event in events} == {EventKind.SKIPPED}


@pytest.mark.slow
def test_an_interrupted_sweep_leaves_no_process_and_goes_on_where_it_stopped(
    tiny_mapping, tmp_path, eventually
):
    long = tiny_mapping | {
        "data": tiny_mapping["data"] | {"max_epochs": 1000},
        "grid": {"width": [16, 32], "tokens": 1e6},
        "held_out": [],
    }
    config = tmp_path / "long.yaml"
    config.write_text(yaml.safe_dump(long))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "scaling", "run", str(config)],
        cwd=ROOT,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    plan = plan_sweep(config_from_mapping(long))
    database = tmp_path / "mlflow.db"
    eventually(lambda: database.exists() and RunState.RUNNING in _states(plan.name, uri))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, messages = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Traceback" not in messages
    eventually(lambda: _has_ended(process.pid))
    outcome = run_sweep(plan, RunStore.open(plan.name, uri))
    assert outcome.count(RunState.FINISHED) == 2


def _has_ended(group):
    """Whether every process of the group has ended."""
    return not any(is_running(pid) for pid in processes() if _group_of(pid) == group)


def _group_of(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _states(name, uri):
    try:
        return set(RunStore.find(name, uri).states().values())
    except Exception:  # the other process is still making the database
        return set()
