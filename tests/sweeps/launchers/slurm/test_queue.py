"""Facts about watching Slurm's jobs, with an imitated queue and a clock of the test's own."""

import pickle
import subprocess
from types import SimpleNamespace

import pytest

from scaling.errors import ConfigError
from sweeps.launchers.base import TaskEnded, TaskLost, TaskMessage
from sweeps.launchers.slurm import queue as slurm
from sweeps.launchers.slurm.job import JobFiles


class Slurm:
    """What squeue lists, one listing per question, the last for ever; and what scancel was told."""

    def __init__(self, *listings):
        self.listings, self.ended = list(listings), []

    def run(self, command, **_):
        if command[0] == "scancel":
            self.ended += command[2:]
            return subprocess.CompletedProcess(command, 0)
        listing = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        lost = listing is None
        return subprocess.CompletedProcess(command, int(lost), stdout=listing or "")


class Handle:
    """A job of submitit's, ended when there are results or an error."""

    job_id = "7_0"

    def __init__(self, results=None, error=None):
        self.given, self.error, self.cancelled = results, error, False

    def done(self):
        return self.given is not None or self.error is not None

    def results(self):
        if self.error is not None:
            raise self.error
        return self.given

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def now(monkeypatch):
    """The clock, in seconds; nobody sleeps."""
    clock = [0.0]
    pass_time = lambda seconds: clock.__setitem__(0, clock[0] + seconds)  # noqa: E731
    stand_in = SimpleNamespace(monotonic=lambda: clock[0], sleep=pass_time)
    monkeypatch.setattr(slurm, "time", stand_in)
    return clock


@pytest.fixture
def watch(tmp_path, monkeypatch, now):
    """A function: (Slurm, submitit's handle) -> the queue that watches it, and the job's files."""

    def begin(world, handle, hang_seconds=600.0):
        monkeypatch.setattr(slurm, "subprocess", world)
        files = JobFiles.new(tmp_path, nodes=1)
        queue = slurm.Queue(tmp_path, is_slurm=True, hang_seconds=hang_seconds)
        queue.add([("run", handle, files)])
        return queue, files

    return begin


def look_later(queue, now):
    now[0] += 60.0  # past the next question to Slurm
    return list(queue.look())


@pytest.mark.parametrize(("state", "is_hung"), [("R", True), ("PD", False), ("S", False)])
def test_a_job_that_waits_again_is_not_taken_for_hung(watch, now, state, is_hung):
    handle = Handle()
    queue, files = watch(Slurm(f"6 R\n7_0 {state}\n7_1 PD\n"), handle, hang_seconds=30.0)
    files.messages.write_bytes(pickle.dumps(None))
    assert list(queue.look()) == []  # it has begun
    lost = [event.reason for event in look_later(queue, now)]
    assert lost == (["hung: no sign of life for 30 s"] if is_hung else [])
    assert handle.cancelled == is_hung


def test_a_job_that_has_not_begun_may_wait_for_days(watch, now):
    queue, _ = watch(Slurm("7_0 PD\n"), Handle(), hang_seconds=1.0)
    assert [event for _ in range(100) for event in look_later(queue, now)] == []


def test_a_job_that_has_left_the_queue_without_a_result_is_lost_once(watch, now):
    queue, _ = watch(Slurm("7_0 R\n", "", None, "", "", ""), Handle())
    events = [event for _ in range(8) for event in look_later(queue, now)]
    assert events == [TaskLost(task="run", reason="job 7_0 ended without a result")]
    assert queue.jobs == []


def test_a_job_that_is_back_in_the_queue_was_never_lost(watch, now):
    queue, _ = watch(Slurm("7_0 R\n", "", "", "7_0 PD\n", "", "", "7_0 R\n"), Handle())
    assert [event for _ in range(8) for event in look_later(queue, now)] == []


def test_a_job_that_is_queued_again_after_its_end_is_ended(watch):
    world = Slurm("7_0 CG\n8_0 PD\n", "7_0 PD\n8_0 PD\n", "8_0 PD\n")
    queue, _ = watch(world, Handle(results=[None]))
    assert list(queue.look()) == [TaskEnded(task="run")]
    queue.cancel()
    assert world.ended == ["7_0"]  # and not what others have queued
    assert world.listings == ["8_0 PD\n"]


def test_messages_are_told_in_order_and_half_a_one_when_it_is_whole(watch):
    handle = Handle()
    queue, files = watch(Slurm("7_0 R\n"), handle)
    said = [pickle.dumps(message) for message in (None, "first", "second")]
    files.messages.write_bytes(said[0] + said[1] + said[2][:-3])
    assert list(queue.look()) == [TaskMessage(task="run", message="first")]
    with files.messages.open("ab") as file:
        file.write(said[2][-3:])
    handle.given = [None]
    assert list(queue.look()) == [
        TaskMessage(task="run", message="second"),
        TaskEnded(task="run"),
    ]
    assert not files.messages.exists()


def test_a_mistake_that_any_node_returns_ends_the_launch_and_a_fault_does_not(watch):
    queue, _ = watch(Slurm(""), Handle(results=[None, ConfigError("no text here; mount it")]))
    with pytest.raises(ConfigError, match="^no text here; mount it$"):
        list(queue.look())
    fault = RuntimeError("trace:\nscaling.errors.ConfigError: a name in a traceback")
    queue, _ = watch(Slurm(""), Handle(error=fault))
    assert [type(event) for event in queue.look()] == [TaskLost]


def test_jobs_of_a_driver_that_was_killed_are_ended_by_the_next(watch, tmp_path):
    watch(Slurm(""), Handle())
    next_driver = Slurm("")
    watch(next_driver, Handle())
    assert next_driver.ended == ["7_0"]
