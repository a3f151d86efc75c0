"""Facts about runs on several devices: they are the same runs, and leave no process behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from scaling.errors import ConfigError
from sweeps.data.registry import load_corpus
from sweeps.multi_device.shared_training import SharedTraining, other_ranks
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.training.devices.process_group import hosted_store, joined
from sweeps.training.pack import train_pack, train_run


@pytest.mark.slow  # the other rank imports torch and Lightning
def test_two_processes_train_what_one_does(tiny_config):
    load_corpus.cache_clear()
    run = plan_sweep(tiny_config).runs[-1]
    corpus = load_corpus(tiny_config.data, 32)
    alone = train_run(run, corpus, tiny_config.launch)
    launch = tiny_config.launch.changed(resources={"devices": 2})
    pack = Pack(replicas=((run,),))
    shared = SharedTraining(
        pack=pack, data=tiny_config.data, launch=launch, done=frozenset(), folder=None
    )
    with other_ranks(shared):
        trained = train_pack(pack, corpus, launch)[run]
    for one, other in zip(alone.points, trained.points, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-3)  # float32 sums in another order
    assert trained.loss == pytest.approx(alone.loss, rel=1e-3)


def test_ranks_meet_on_a_port_that_nobody_else_can_take(tiny_config, monkeypatch):
    one, other = hosted_store("127.0.0.1"), hosted_store("127.0.0.1")
    assert one.port != other.port
    with pytest.raises(OSError), socket.socket() as taker:
        taker.bind(("127.0.0.1", one.port))
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(one.port)}
    for name, value in (place | {"WORLD_SIZE": "1", "RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    before = one.num_keys()
    with joined(tiny_config.launch):
        assert one.num_keys() > before  # the group uses this store


def test_a_batch_that_does_not_split_over_the_devices_is_refused(tiny_config):
    load_corpus.cache_clear()
    run = plan_sweep(tiny_config).runs[-1]
    corpus = load_corpus(tiny_config.data, 32)
    launch = tiny_config.launch.changed(resources={"devices": 3})
    with pytest.raises(ConfigError, match="do not split over launch.resources.devices 3"):
        train_run(run, corpus, launch)


DRIVER = """
import json, sys
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep

if __name__ == "__main__":
    plan = plan_sweep(config_from_mapping(json.loads(sys.argv[1])))
    outcome = run_sweep(plan, RunStore.open(plan.name, sys.argv[2]))
    print(json.dumps([list(outcome.states.values()), list(outcome.reasons.values())]))
"""


class Driven:
    """A sweep in processes of its own, which are found by a mark in their environment."""

    def __init__(self, mapping, folder):
        self.mark = uuid.uuid4().hex
        self.states = Path(mapping["launch"]["checkpoints"]["folder"])
        file = folder / "driver.py"
        file.write_text(DRIVER)
        database = f"sqlite:///{folder / 'mlflow.db'}"
        self.driver = subprocess.Popen(
            [sys.executable, str(file), json.dumps(mapping), database],
            env=os.environ | {"PYTHONPATH": str(Path.cwd()), "SWEEP_MARK": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def processes(self):
        """Ids of all its processes."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # it has ended, or is another user's
                continue
        return found

    def ranks(self):
        """The processes of rank 1."""
        found = []
        for pid in self.processes():
            try:
                if (
                    b"sweeps.multi_device.shared_training"
                    in Path(f"/proc/{pid}/cmdline").read_bytes()
                ):
                    found.append(pid)
            except OSError:
                continue
        return found

    def has_rank_but(self, gone):
        return any(pid != gone for pid in self.ranks())

    def rank(self):
        """The process of rank 1, once states are written, and its parent, which is rank 0."""
        assert wait_until(lambda: list(self.states.glob("*.trunk*")), 120)
        (pid,) = self.ranks()
        status = Path(f"/proc/{pid}/status").read_text()
        return pid, int(status.partition("PPid:")[2].split()[0])

    def end(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.driver.wait()
        self.driver.stdout.close()


def wait_until(true, seconds):
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.fixture
def driven(tiny_mapping, tmp_path):
    """A function: strategy and size -> a sweep on two devices that has been started."""
    begun = []

    def start(strategy, tokens, seeds=(1,)):
        launch = {"workers": 1, "device": "cpu", "speed": {"pack": 1}}
        launch["resources"] = {"devices": 2, "strategy": strategy}
        launch["checkpoints"] = {"folder": str(tmp_path / "states"), "seconds": 0.01}
        mapping = tiny_mapping | {
            "grid": {"width": 16, "tokens": tokens, "seed": list(seeds)},
            "held_out": [],
            "data": tiny_mapping["data"] | {"max_epochs": 10_000},
            "launch": launch,
        }
        begun.append(Driven(mapping, tmp_path))
        return begun[-1]

    yield start
    for sweep in begun:
        sweep.end()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_no_rank_outlives_a_killed_rank_0_or_driver(driven, strategy):
    sweep = driven(strategy, 1e8)
    rank, first = sweep.rank()
    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: rank not in sweep.processes(), 15)
    assert wait_until(lambda: sweep.has_rank_but(rank), 60)  # the run is tried again
    sweep.driver.kill()
    sweep.driver.wait()
    assert wait_until(lambda: not sweep.processes(), 15)


@pytest.mark.slow
def test_a_run_whose_rank_is_killed_is_tried_again_and_finishes(driven):
    sweep = driven("fsdp", 4e5)
    rank, _ = sweep.rank()
    os.kill(rank, signal.SIGKILL)
    states, reasons = json.loads(sweep.driver.communicate(timeout=240)[0])
    assert (states, reasons) == (["finished"], ["worker died (exit code 70); try 2 of 3 follows"])
    assert not sweep.processes()


@pytest.mark.slow
def test_one_worker_trains_run_after_run_on_several_devices(driven):
    sweep = driven("auto", 8000, seeds=(1, 2, 3))
    states, reasons = json.loads(sweep.driver.communicate(timeout=240)[0])
    assert (states, reasons) == (["finished"] * 3, [])
