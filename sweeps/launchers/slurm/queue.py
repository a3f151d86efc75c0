"""Watching submitted jobs: what they say, how they end, and which of them Slurm has lost.

submitit knows of a job that it has ended when its result lies in the folder. Of one that was killed
only Slurm knows, and without accounting only its queue, by the job's absence.
"""

import pickle
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.errors import ScalingError
from sweeps.launchers.base import Happening, TaskEnded, TaskLost, TaskMessage
from sweeps.launchers.crash import Crash
from sweeps.launchers.slurm.job import JobFiles

POLL_SECONDS = 0.5
_QUEUE_SECONDS = 5.0
_GRACE_SECONDS = 10.0  # for jobs to save their states and leave
_SURELY_ABSENT = 3  # results may reach a shared folder a few seconds after the job has left
_RUNNING = ("R", "CG")  # how squeue calls jobs that run or are about to leave


@dataclass
class Submitted:
    """A job that was submitted and has not ended."""

    task: Any
    handle: Any
    """submitit's own."""
    files: JobFiles
    heard: float
    """When it last said something, in seconds of the monotonic clock."""
    read: int = 0
    """Bytes of its messages."""
    started: bool = False
    """And has not gone back to the queue since."""
    absent: int = 0
    """Looks at Slurm's queue in a row that did not find it."""


class Queue:
    """The jobs of a launch; of Slurm's, or of processes of this machine."""

    def __init__(self, folder: Path, *, is_slurm: bool, hang_seconds: float) -> None:
        self.jobs: list[Submitted] = []
        self.is_slurm, self._hang_seconds = is_slurm, hang_seconds
        self._over: set[str] = set()  # ids of jobs that have ended and may still be queued
        self._next_look = time.monotonic() + _QUEUE_SECONDS
        self._ids = folder / "submitted"
        if is_slurm:
            self._end_earlier()

    def add(self, jobs: Iterable[tuple[Any, Any, JobFiles]]) -> None:
        """Watch these, too: task, submitit's handle, files."""
        now = time.monotonic()
        new = [Submitted(task, handle, files, now) for task, handle, files in jobs]
        with self._ids.open("a") as file:
            file.writelines(f"{job.handle.job_id}\n" for job in new)
        self.jobs += new

    def look(self) -> Generator[Happening, None, None]:
        """What has happened since the last look; raises a mistake of the user's that a job met."""
        self._look_at_queue()
        for job in list(self.jobs):
            done = job.handle.done() or job.absent >= _SURELY_ABSENT
            yield from _read(job)
            ended = _end_of(job) if done else self._hung(job)
            if ended is not None:
                self.jobs.remove(job)
                self._over.add(job.handle.job_id)
                job.files.clear()
                yield ended

    def cancel(self) -> None:
        """End what still runs, which may save its state first."""
        running = [job for job in self.jobs if job.started]
        for job in running:
            job.files.stop.touch()
        for job in self.jobs:
            if not job.started:
                self._end(job)
        _wait(lambda: all(job.handle.done() for job in running))
        for job in running:
            self._end(job)
            job.files.clear()
        if self.is_slurm:
            _wait(self._has_seen_off)
        self._ids.unlink(missing_ok=True)

    def _look_at_queue(self) -> None:
        """Find jobs that were killed, and those that wait again: preempted, or a node is down."""
        if not self.is_slurm or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _QUEUE_SECONDS
        states = _states()
        if states is None:
            return
        for job in self.jobs:
            state = states.get(job.handle.job_id)
            job.absent = 0 if state else job.absent + 1
            if state not in (None, *_RUNNING):
                job.started = False
        self._end_repeated(states)

    def _end_repeated(self, states: Mapping[str, str]) -> None:
        """End jobs that have told their end, and are queued again since a node of theirs failed."""
        self._over &= states.keys()
        _scancel(job_id for job_id in self._over if states[job_id] == "PD")

    def _has_seen_off(self) -> bool:
        """Whether Slurm is done with the jobs that have told their end, or does not answer."""
        if self._over and (states := _states()) is not None:
            self._end_repeated(states)
            return not self._over
        return True

    def _hung(self, job: Submitted) -> TaskLost | None:
        """A started job that says nothing; one in the queue may be silent for days."""
        limit = self._hang_seconds
        if not job.started or time.monotonic() - job.heard < limit:
            return None
        self._end(job)
        return TaskLost(task=job.task, reason=f"hung: no sign of life for {limit:.0f} s")

    def _end(self, job: Submitted) -> None:
        with suppress(Exception):  # it may have ended by itself
            job.handle.cancel()
        if not self.is_slurm:  # submitit's controller ends the job and then itself
            _wait(job.handle.done)

    def _end_earlier(self) -> None:
        """End jobs of a driver that was killed: nobody listens to them, and they would collide."""
        with suppress(OSError):
            _scancel(self._ids.read_text().split())
            self._ids.unlink()


def _read(job: Submitted) -> Generator[TaskMessage, None, None]:
    """What a job has said since it was last read."""
    with suppress(FileNotFoundError), job.files.messages.open("rb") as file:
        file.seek(job.read)
        while True:
            try:
                message = pickle.load(file)
            except (EOFError, pickle.UnpicklingError):  # nothing more, or half a message
                return
            job.read, job.heard, job.started = file.tell(), time.monotonic(), True
            if message is not None:
                yield TaskMessage(task=job.task, message=message)


def _end_of(job: Submitted) -> TaskEnded | TaskLost:
    lost = TaskLost(task=job.task, reason=f"job {job.handle.job_id} ended without a result")
    if not job.handle.done():  # else submitit would wait for its result for ever
        return lost
    try:
        results = job.handle.results()  # of each node
    except Exception:  # there is none: the job was killed, or broke
        return lost
    for mistake in results:
        if isinstance(mistake, ScalingError):
            raise mistake
    for crash in results:
        if isinstance(crash, Crash):
            return TaskLost(task=job.task, reason=crash.reason, traceback=crash.traceback)
    return TaskEnded(task=job.task)


def _states() -> dict[str, str] | None:
    """The state of each job in Slurm's queue, by id; None where Slurm does not answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %t"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return None
    return dict(line.split() for line in listed.stdout.splitlines())


def _scancel(job_ids: Iterable[str]) -> None:
    if given := list(job_ids):
        subprocess.run(["scancel", "--quiet", *given], check=False)


def _wait(holds: Callable[[], bool]) -> None:
    """Until it holds, but no longer than jobs have to leave."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while not holds() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
