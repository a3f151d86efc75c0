"""Facts about sweeps under fire, by `scaling run` itself: what kills it, and what it leaves."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from benchmarks.faults.kills import children, is_running, workers
from benchmarks.tracking_server import TrackingServer
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import merged

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount, and limit memory")


class Sweep:
    """A sweep of two widths with a store, a state folder and checkpoints of its own."""

    def __init__(self, folder, text_files, *, tokens=60_000, seeds=2, tracking_uri=None, **launch):
        self.folder = folder
        self.uri = tracking_uri or f"sqlite:///{folder}/mlflow.db"
        self.environment = os.environ | {
            "MLFLOW_TRACKING_URI": self.uri,
            "SCALING_STATE_DIR": str(folder / "state"),
        }
        config = {
            "name": "fire",
            "grid": {"width": [16, 32], "tokens": tokens, "seed": list(range(seeds))},
            "model": {"context": 32, "head_size": 16},
            "data": {"files": [f"{text_files}/*.txt"], "validation_windows": 16, "max_epochs": 1e4},
            "recipe": {"name": "cpt-adamw-tiny/1"},
            "launch": {
                "workers": 1,
                "device": "cpu",
                "speed": {"pack": 1},
                "checkpoints": {"folder": str(folder / "checkpoints"), "seconds": 0.2},
                "policy": {"tries": 9},
            },
        }
        config = merged(config, {"launch": launch})
        self.config = folder / "fire.yaml"
        self.config.write_text(json.dumps(config))

    def start(self, *before, verb=("run",), **how):
        command = [*before, sys.executable, "-m", "scaling", *verb]
        command += [str(self.config)] if verb[0] in ("run", "status") else []
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stderr=subprocess.PIPE, text=True, **how
        )

    def run(self, *before, verb=("run",), timeout=300):
        process = self.start(*before, verb=verb)
        _, messages = process.communicate(timeout=timeout)
        return process.returncode, messages

    def facts(self):
        return RunStore.find("fire", self.uri).facts()

    def losses(self):
        facts = self.facts()
        assert {one["status"] for one in facts.values()} == {RunState.FINISHED}
        return {run_id: one["loss"] for run_id, one in facts.items()}

    def locked(self):
        """Hold the database as another program may: nobody else reads or writes it."""
        database = self.uri.removeprefix("sqlite:///")
        holder = sqlite3.connect(database, timeout=300, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        return closing(holder)

    def keeps_an_end(self):
        """Whether a run has ended that is in its spool alone."""
        spools = (self.folder / "state" / "spool").rglob("*.jsonl")
        return any('"op": "end"' in spool.read_text() for spool in spools)

    def has_state(self):
        return any((self.folder / "checkpoints").glob("*.trunk"))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    for number in range(40):
        lines = [f"{number * line} apples cost {number + line} coins.\n" for line in range(40)]
        (folder / f"{number:02}.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory, text):
    """The losses of the undisturbed sweep."""
    sweep = Sweep(tmp_path_factory.mktemp("calm"), text)
    code, messages = sweep.run()
    assert code == 0, messages
    return sweep.losses()


def test_sigterm_to_the_driver_ends_all_in_order_and_the_next_call_goes_on(
    tmp_path, text, eventually
):
    # Runs of some seconds, so that the signal meets one in training.
    (calm := tmp_path / "calm").mkdir()
    settings = {"tokens": 600_000, "seeds": 1}
    sweep, undisturbed = Sweep(tmp_path, text, **settings), Sweep(calm, text, **settings)
    driver = sweep.start()
    eventually(sweep.has_state)
    workers = children(driver.pid)
    driver.send_signal(signal.SIGTERM)
    _, messages = driver.communicate(timeout=300)
    assert driver.returncode == 130
    assert "Traceback" not in messages
    assert "run it again" in messages
    assert not any(map(is_running, workers))
    assert sweep.has_state()
    assert sweep.run()[0] == undisturbed.run()[0] == 0
    assert sweep.losses() == undisturbed.losses()


def _states(sweep):
    try:
        return {one["status"] for one in sweep.facts().values()}
    except Exception:  # the database is being made
        return set()


def test_sigkill_of_workers_and_of_the_driver_costs_no_run_and_no_digit(
    tmp_path, text, expected, eventually
):
    sweep = Sweep(tmp_path, text)
    driver = sweep.start()
    for _ in range(3):
        eventually(sweep.has_state)
        workers = children(driver.pid)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        time.sleep(1.0)
    driver.kill()
    driver.communicate()
    assert sweep.run()[0] == 0
    assert sweep.losses() == expected


def test_a_worker_that_is_stopped_is_ended_and_its_run_goes_on(
    tmp_path, text, expected, eventually
):
    sweep = Sweep(tmp_path, text, policy={"hang_seconds": 20})
    driver = sweep.start()
    eventually(sweep.has_state)
    for worker in workers(driver.pid):
        os.kill(worker, signal.SIGSTOP)
    _, messages = driver.communicate(timeout=300)
    assert driver.returncode == 0, messages
    assert sweep.losses() == expected


def test_a_driver_that_is_stopped_keeps_its_sweep_and_ends_it_once_it_goes_on(
    tmp_path, text, expected, eventually
):
    sweep = Sweep(tmp_path, text)
    driver = sweep.start()
    eventually(sweep.has_state)
    driver.send_signal(signal.SIGSTOP)
    code, messages = sweep.run()
    assert code == 2 and f"is being trained by process {driver.pid}" in messages
    driver.send_signal(signal.SIGCONT)
    _, messages = driver.communicate(timeout=300)
    assert driver.returncode == 0, messages
    assert sweep.losses() == expected


def test_a_database_that_another_process_locks_in_training_costs_no_run(
    tmp_path, text, expected, eventually
):
    sweep = Sweep(tmp_path, text)
    driver = sweep.start()
    eventually(sweep.has_state)
    with sweep.locked():
        for verb in (("status",), ("fit", "mlflow:fire")):
            code, messages = sweep.run(verb=verb)
            assert code == 2 and "locked by another process" in messages, messages
            assert "Traceback" not in messages
        eventually(sweep.keeps_an_end)
    _, messages = driver.communicate(timeout=300)
    assert "Traceback" not in messages
    if driver.returncode:  # the last run ended, and was to be looked up, while it was locked
        assert driver.returncode == 2 and "cannot be found in the run store" in messages
        assert sweep.run()[0] == 0
    assert sweep.losses() == expected
    assert {one["tries"] for one in sweep.facts().values()} == {1}


def test_ctrl_c_while_the_store_takes_nothing_is_one_line_and_costs_no_run(
    tmp_path, text, expected, eventually
):
    sweep = Sweep(tmp_path, text)
    driver = sweep.start(start_new_session=True)
    eventually(sweep.has_state)
    with sweep.locked():
        eventually(sweep.keeps_an_end)
        os.killpg(driver.pid, signal.SIGINT)
        _, messages = driver.communicate(timeout=300)
    assert driver.returncode == 130
    assert "Traceback" not in messages and "interrupted" in messages
    assert sweep.run()[0] == 0
    assert sweep.losses() == expected


@pytest.mark.parametrize("moment", ["at the start", "tables", "workers", "training"])
def test_ctrl_c_at_any_moment_is_one_line_and_the_next_call_goes_on(
    moment, tmp_path, text, expected, eventually
):
    sweep = Sweep(tmp_path, text)
    driver = sweep.start(start_new_session=True)
    holds = {
        "at the start": lambda: True,
        "tables": (tmp_path / "mlflow.db.making").exists,
        "workers": lambda: workers(driver.pid),
        "training": sweep.has_state,
    }[moment]
    eventually(holds)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to every process of it
    _, messages = driver.communicate(timeout=300)
    if moment != "at the start":  # Python itself may not have begun
        assert driver.returncode == 130
        assert "Traceback" not in messages and "interrupted" in messages
    assert sweep.run()[0] == 0
    assert sweep.losses() == expected


@AS_ROOT
def test_a_worker_that_the_kernel_kills_for_memory_is_told_so_and_the_sweep_ends(tmp_path, text):
    group = Path("/sys/fs/cgroup/memory") / f"scaling-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(2 << 30))
    except OSError:
        pytest.skip("needs a memory cgroup (version 1) that may be changed")
    try:
        sweep = Sweep(tmp_path, text, policy={"tries": 2}, seeds=1)
        mapping = json.loads(sweep.config.read_text())
        mapping["grid"] |= {"width": [16, 4096], "tokens": 40_000, "depth": 2}
        sweep.config.write_text(json.dumps(mapping))
        enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "enter"]
        code, messages = sweep.run(*enter)
        assert code == 0, messages
        states = {facts["width"]: facts for facts in sweep.facts().values()}
        assert states[16]["status"] == RunState.FINISHED
        assert states[4096]["status"] == RunState.FAILED
        assert "memory" in states[4096]["reason"].lower()
    finally:
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:  # the last process is still leaving
                time.sleep(0.1)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@AS_ROOT
def test_a_full_disk_of_checkpoints_costs_resuming_alone(tmp_path, text, expected, small_disk):
    (small_disk / "filler").write_bytes(b"0" * 500_000)
    sweep = Sweep(tmp_path, text, checkpoints={"folder": str(small_disk / "checkpoints")})
    code, messages = sweep.run()
    assert code == 0, messages
    assert sweep.losses() == expected
    notes = {one.get("notes", "") for one in sweep.facts().values()}
    assert any("could not be written" in note for note in notes)


@AS_ROOT
def test_a_full_disk_of_spools_is_one_line_a_run_and_is_mended_by_room(
    tmp_path, text, expected, small_disk
):
    (small_disk / "filler").write_bytes(b"0" * (512 * 1024 - 4096))  # room for the driver's lock
    sweep = Sweep(tmp_path, text)
    sweep.environment["SCALING_STATE_DIR"] = str(small_disk)
    _, messages = sweep.run()
    assert "make room there" in " ".join(messages.split())
    assert "Traceback" not in messages
    (small_disk / "filler").unlink()
    code, messages = sweep.run()
    assert code == 0, messages
    assert sweep.losses() == expected


@AS_ROOT
def test_a_disk_that_fills_in_the_middle_of_a_sweep_is_told_by_the_exit_code(
    tmp_path, text, expected, small_disk, eventually
):
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    sweep = Sweep(tmp_path, text, tracking_uri=f"sqlite:///{small_disk}/mlflow.db")
    driver = sweep.start()
    eventually(lambda: RunState.FINISHED in _states(sweep))
    with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"0" * 4096)
    _, messages = driver.communicate(timeout=300)
    assert driver.returncode == 2, messages
    assert "cannot be found in the run store" in " ".join(messages.split())
    assert "Traceback" not in messages
    (small_disk / "filler").unlink()
    code, messages = sweep.run()
    assert code == 0, messages
    assert sweep.losses() == expected
    assert {one["tries"] for one in sweep.facts().values()} == {1}  # none was trained again


def test_a_server_that_is_away_in_the_middle_of_a_sweep_loses_nothing(
    tmp_path, text, expected, eventually
):
    server = TrackingServer(tmp_path)
    server.start()
    try:
        sweep = Sweep(tmp_path, text, tracking_uri=server.uri)
        driver = sweep.start()
        eventually(lambda: RunState.FINISHED in _states(sweep))
        server.stop()
        time.sleep(8)  # longer than a run takes: several end while nobody listens
        server.start()
        _, messages = driver.communicate(timeout=300)
        if driver.returncode:  # all was trained before the server was back: the rest is spooled
            assert "does not answer" in messages or "cannot be found in the run store" in messages
            assert sweep.run()[0] == 0
        assert sweep.losses() == expected
        assert {one["tries"] for one in sweep.facts().values()} == {1}
        curves = RunStore.find("fire", sweep.uri).curves()
        assert set(curves["run_id"]) == set(expected)
        assert curves.groupby("run_id")["step"].max().to_dict() == {
            run_id: one["steps"] for run_id, one in sweep.facts().items()
        }
    finally:
        server.stop()
