"""Facts about jobs of submitit's local executor: preemption, early ends, bad input, devices."""

import os
import signal
import time
from pathlib import Path

import pytest

from scaling.errors import ConfigError, CorpusError
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.config.launch import LaunchConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.launchers.base import TaskEnded, TaskLost, TaskMessage
from sweeps.launchers.slurm import launch as slurm
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep
from sweeps.training.stop import Stopped
from tests.conformance.launcher import LauncherContract, double

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def submitit():
    pytest.importorskip("submitit", reason="the slurm extra is not installed")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def launch(tasks, work, folder, again=lambda lost: None, **settings):
    jobs = {"cluster": "local", "folder": str(folder)}
    config = LaunchConfig(engine="slurm", slurm=jobs, workers=2).changed(**settings)
    return slurm.launch_slurm(tasks, work, config, again)


def go_on_until_stopped(task, send):
    """A training that saves its state when it is stopped, and goes on from it."""
    state = Path(task)
    if state.exists():
        send(state.read_text())
        return
    try:
        while True:
            send(os.getpid())
            time.sleep(0.05)
    except Stopped:
        state.write_text("saved")
        raise


def hang_or_double(task, send):
    if task == "hung":
        time.sleep(300)
    send(task)


class TestSubmitit(LauncherContract):
    def launch(self, tasks, work, folder, again=lambda lost: None):
        return launch(tasks, work, folder, again)


def test_what_jobs_leave_on_disk_is_removed(tmp_path):
    list(launch([1], double, tmp_path / "jobs"))
    assert not list((tmp_path / "jobs").glob("*.messages"))
    happenings = launch([str(tmp_path / "state")], go_on_until_stopped, tmp_path / "jobs")
    next(happenings)
    happenings.close()
    for left in ("*.messages", "*.stop", "submitted"):
        assert not list((tmp_path / "jobs").glob(left))


def test_a_preempted_job_saves_its_state_and_goes_on_from_it_without_being_lost(tmp_path):
    happenings = launch([str(tmp_path / "state")], go_on_until_stopped, tmp_path / "jobs")
    first = next(happenings)
    os.kill(first.message, signal.SIGUSR2)  # what Slurm sends before it takes the node back
    rest = list(happenings)
    assert [one.message for one in rest if isinstance(one, TaskMessage)][-1] == "saved"
    assert not [one for one in rest if isinstance(one, TaskLost)]
    assert isinstance(rest[-1], TaskEnded)


def test_a_hung_job_is_ended_and_the_others_go_on(tmp_path):
    rest = list(
        launch(["hung", "well"], hang_or_double, tmp_path / "jobs", policy={"hang_seconds": 10.0})
    )
    (lost,) = [one for one in rest if isinstance(one, TaskLost)]
    assert (lost.task, lost.reason) == ("hung", "hung: no sign of life for 10 s")
    assert [one.task for one in rest if isinstance(one, TaskEnded)] == ["well"]


def break_or_misconfigure(task, send):
    """Fail as our own code may, or as a user's mistake does that only the node can see."""
    if task == "broken":
        raise ValueError("scaling.errors.ConfigError: a name in a traceback is no mistake")
    raise ConfigError("the node has no text; mount it")


def test_a_user_s_mistake_in_a_job_ends_the_launch_and_a_fault_of_the_work_is_a_lost_task(tmp_path):
    (lost,) = launch(["broken"], break_or_misconfigure, tmp_path / "jobs")
    assert lost.reason.endswith("ended without a result")
    with pytest.raises(ConfigError, match=r"^the node has no text; mount it$"):
        list(launch(["mistaken"], break_or_misconfigure, tmp_path / "jobs"))


def test_a_worker_of_other_versions_ends_the_launch_in_one_line(tmp_path, monkeypatch):
    here = slurm.versions()
    monkeypatch.setattr(slurm, "versions", lambda: here | {"torch": "0.1"})
    with pytest.raises(ConfigError, match=r"has torch .*, the driver 0.1; install"):
        list(launch([1], double, tmp_path / "jobs"))


def sweep(tiny_mapping, folder, **settings):
    settings = tiny_mapping["launch"] | {"workers": 2, "speed": {"pack": 1}} | settings
    settings["checkpoints"] = {"folder": str(folder / "checkpoints")}
    return plan_sweep(config_from_mapping(tiny_mapping | {"launch": settings}))


def through_submitit(folder):
    return {"engine": "slurm", "slurm": {"cluster": "local", "folder": str(folder / "jobs")}}


def test_a_node_without_the_text_is_named_in_one_line(tiny_mapping, tmp_path, text_files, uri):
    load_corpus.cache_clear()
    plan = sweep(tiny_mapping | {"name": "no-text"}, tmp_path, **through_submitit(tmp_path))
    text_files.rename(tmp_path / "elsewhere")
    store = RunStore.open(plan.name, uri)
    with pytest.raises(CorpusError, match=r"^worker on .*text"):
        run_sweep(plan, store)
    assert RunState.FINISHED not in store.states().values()
    (tmp_path / "elsewhere").rename(text_files)
    assert run_sweep(plan, store).count(RunState.FINISHED) == 3


def test_a_run_of_two_devices_in_one_job_measures_the_same_loss(tiny_mapping, tmp_path, uri):
    load_corpus.cache_clear()
    measured = []
    for name, settings in (
        ("one", {}),
        ("two", through_submitit(tmp_path) | {"resources": {"devices": 2}}),
    ):
        plan = sweep(tiny_mapping | {"name": name, "held_out": []}, tmp_path, **settings)
        store = RunStore.open(plan.name, uri)
        assert run_sweep(plan, store).count(RunState.FINISHED) == 2
        measured.append({run_id: facts["loss"] for run_id, facts in store.facts().items()})
    one, two = measured
    assert two == pytest.approx(one, rel=1e-3)  # float32 sums in another order
