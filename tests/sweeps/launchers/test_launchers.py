"""Facts about launchers: every task is done once, a lost one is told, resources are checked."""

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.faults.kills import is_running
from scaling.errors import ConfigError, LaunchError
from sweeps.config.launch import ENGINES, LaunchConfig
from sweeps.launchers import local
from sweeps.launchers.base import TaskEnded, TaskLost, TaskMessage
from sweeps.launchers.local import work_through
from sweeps.launchers.ray.tasks import why_not
from sweeps.launchers.registry import LAUNCHERS, find_launcher
from sweeps.launchers.versions import require_versions, versions
from tests.conformance.launcher import (
    LauncherContract,
    answers,
    die_once,
    double,
    go_on_until_stopped,
)


@pytest.fixture(scope="module", autouse=True)
def forked_from_little():
    """Workers here train nothing: the process that they are forked from, which is started and
    killed more than once, imports PyTorch and neither Lightning nor MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_WARM", ["torch", "tests.conformance.launcher"])
        yield
    forkserver._forkserver._stop()  # the next one is as others know it


def hang(task, send):
    send("begun")
    time.sleep(3600 if task == "hang" else 0)


def swallow_memory(task, send):
    """Take more memory than the process may have, as a model too large for the machine does."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    try:
        bytearray(64 << 30)
    except MemoryError:
        send("no memory")


def launcher_of(engine, **launch):
    """The launcher with its config bound."""
    config = LaunchConfig(engine=engine).changed(**launch)
    return lambda tasks, work, again=lambda lost: None: list(
        find_launcher(engine)(tasks, work, config, again)
    )


class TestLocal(LauncherContract):
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch):
        monkeypatch.setattr(local, "_GRACE_SECONDS", 300.0)  # whatever a busy machine takes

    def launch(self, tasks, work, folder, again=lambda lost: None):
        return work_through(tasks, work, workers=2, threads=1, again=again)


def test_a_killed_worker_is_named_with_its_likely_cause(tmp_path):
    happenings = work_through([str(tmp_path / "ill")], die_once, workers=1, threads=1)
    assert [event.reason for event in happenings] == ["worker was killed (SIGKILL; out of memory?)"]


def test_a_hung_worker_is_ended_and_its_task_lost(monkeypatch):
    now, happenings = [0.0], []
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for event in work_through(["hang", "go"], hang, workers=1, threads=1, hang_seconds=2.0):
        happenings.append(event)
        if event == TaskMessage(task="hang", message="begun"):
            now[0] += 2.1  # time passes while this one is silent, and not otherwise
    (lost,) = [event for event in happenings if isinstance(event, TaskLost)]
    assert (lost.task, lost.reason) == ("hang", "hung: no sign of life for 2 s")
    assert [e.task for e in happenings if isinstance(e, TaskEnded)] == ["go"]


def test_a_task_without_memory_fails_alone():
    happenings = list(work_through([1, 2], swallow_memory, workers=1, threads=1))
    assert answers(happenings) == ["no memory", "no memory"]


def test_a_worker_that_is_asked_to_stop_saves_first_and_its_task_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_GRACE_SECONDS", 300.0)  # whatever a busy machine takes
    saved = tmp_path / "state"
    happenings = work_through([str(saved)], go_on_until_stopped, workers=1, threads=1)
    first = next(happenings)
    os.kill(first.message, signal.SIGTERM)
    (lost,) = [event for event in happenings if isinstance(event, TaskLost)]
    assert lost.reason == "worker was asked to stop (SIGTERM)"
    assert saved.read_text() == "saved"


DRIVER = """
import sys, time
from sweeps.launchers.local import work_through
from sweeps.launchers.ray.tasks import why_not
sys.path.insert(0, {folder!r})
from orphan_work import sleep_long
for event in work_through([1, 2], sleep_long, workers=2, threads=1):
    print(event.message, flush=True)
"""

WORK = """
import os, time
def sleep_long(task, send):
    send(os.getpid())
    time.sleep(3600)
"""


def stopped_server():
    """The process that workers are forked from, answering nothing, so that a start waits for it."""
    forkserver.ensure_running()
    pid = forkserver._forkserver._forkserver_pid
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_a_worker_starts_though_what_it_is_forked_from_is_killed_meanwhile():
    killer = threading.Timer(0.3, os.kill, (stopped_server(), signal.SIGKILL))
    killer.start()
    happenings = list(work_through([1], double, workers=1, threads=1))
    killer.join()
    assert answers(happenings) == [2]


def test_a_worker_that_can_never_be_started_is_one_line(monkeypatch):
    def refuse(process):
        raise EOFError("unexpected EOF")

    monkeypatch.setattr(local.ForkServerProcess, "start", refuse)
    monkeypatch.setattr(local, "_STARTS", 2)
    with pytest.raises(LaunchError, match="died 2 times; is memory short"):
        list(work_through([1], double, workers=1, threads=1))


@pytest.mark.slow
def test_workers_end_when_their_driver_is_killed(tmp_path, eventually):
    (tmp_path / "orphan_work.py").write_text(WORK)
    (tmp_path / "driver.py").write_text(
        DRIVER.format(folder=str(tmp_path)).replace("\nfor", "\nif __name__ == '__main__':\n  for")
    )
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{Path.cwd()}:{tmp_path}"},
    )
    workers = [int(driver.stdout.readline()) for _ in range(2)]
    driver.kill()
    driver.wait()
    driver.stdout.close()
    eventually(lambda: not any(map(is_running, workers)))


def test_a_worker_of_other_versions_is_refused_in_one_line():
    require_versions(versions())
    with pytest.raises(ConfigError, match=r"has torch .*, the driver 0.1; install"):
        require_versions(versions() | {"torch": "0.1"})


def test_slurm_on_a_machine_without_it_says_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="the slurm extra is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="run it where sbatch is"):
        launcher_of("slurm", slurm={"folder": str(tmp_path)})([1], double)


def test_ray_without_a_cluster_says_how_to_start_one():
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match="no Ray cluster answers.*ray start --head"):
        launcher_of("ray", address="127.0.0.1:9")([1], double)


def test_a_ray_cluster_that_wants_a_token_is_told_from_one_that_is_not_there():
    refused = ConnectionError("Failed to connect to Ray cluster at 192.0.2.2:6379")
    assert "start one with: ray start --head" in why_not(refused)
    refused.__cause__ = RuntimeError("ray.exceptions.AuthenticationError: InvalidAuthToken")
    assert "export RAY_AUTH_MODE=token" in why_not(refused)


def test_the_config_offers_the_launchers_that_there_are():
    assert set(LAUNCHERS) == set(ENGINES)
    with pytest.raises(ConfigError, match="local, ray, slurm"):
        find_launcher("kubernetes")
