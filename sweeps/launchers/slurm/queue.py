"""Tasks as Slurm job arrays through submitit; with `slurm: {cluster: local}` as plain processes.

Slurm queues, preempts and requeues; a preempted or timed-out job saves its state, and goes on from
it when it is run again, `launch.policy.tries` times at most. The folders of jobs and checkpoints
have to be shared by the nodes. Credentials of the tracking store reach jobs by their environment,
which sbatch hands on, and never by a file.
"""

import logging
import os
import pickle
import re
import secrets
import signal
import subprocess
import threading
import time
import uuid
import zlib
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling import errors
from scaling.errors import ConfigError, ScalingError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import (
    Again,
    Happening,
    TaskEnded,
    TaskLost,
    TaskMessage,
    Work,
    stopped_by,
)
from sweeps.launchers.versions import require_versions, versions
from sweeps.multi_device.rendezvous import Allocation, MeetingPoint, serve_node
from sweeps.training.stop import Stopped

_POLL_SECONDS = 0.5
_QUEUE_SECONDS = 5.0
_GRACE_SECONDS = 10.0  # for jobs to save their states and leave
_SURELY_ABSENT = 3  # results may reach a shared folder a few seconds after the job has left
_RUNNING = ("R", "CG")  # how squeue calls jobs that run or are about to leave
_ARRAY = 500  # tasks a job array: Slurm's own limit is 1,001 by default
_MINUTES = 24 * 60
#: Of `launch.slurm`: what is ours, and not Slurm's.
_OURS = ("cluster", "folder", "time")


def launch_slurm(
    tasks: Sequence[Any], work: Work, launch: LaunchConfig, again: Again
) -> Generator[Happening, None, None]:
    """Do the tasks as Slurm jobs; see `Launcher`."""
    folder = Path(str(launch.slurm.get("folder", "slurm"))).absolute()
    queue = _Queue(_executor(folder, launch), folder, work, launch)
    waiting = deque(tasks)
    try:
        while waiting or queue.jobs:
            queue.submit(waiting)
            for happening in queue.look():
                yield happening
                if isinstance(happening, TaskLost):
                    retry = again(happening)
                    if retry is not None:
                        waiting.appendleft(retry)
            time.sleep(_POLL_SECONDS)
    finally:
        queue.cancel()


@dataclass
class _Job:
    task: Any
    handle: Any
    messages: Path
    heard: float
    read: int = 0
    started: bool = False  # and has not gone back to the queue since
    absent: int = 0  # looks at Slurm's queue in a row that did not find it

    def clear(self) -> None:
        """Remove what it has left on disk."""
        self.messages.unlink(missing_ok=True)
        _stop_mark(self.messages).unlink(missing_ok=True)
        _key_file(self.messages).unlink(missing_ok=True)


class _Cell:
    """What a job runs. submitit pickles it, and on preemption asks it what to submit again."""

    def __init__(
        self,
        work: Work,
        task: Any,
        messages: Path,
        expected: Mapping[str, str],
        launch: LaunchConfig,
    ) -> None:
        self._work, self._task, self._messages = work, task, messages
        self._expected, self._folder = expected, os.getcwd()
        self._nodes, self._devices = launch.resources.nodes, launch.resources.devices
        if launch.resources.nodes > 1:  # the job's own pickle may be for others to read
            _key_file(messages).touch(mode=0o600)
            _key_file(messages).write_bytes(secrets.token_bytes(32))

    def __call__(self) -> None:
        os.chdir(self._folder)
        preemption = _preemption()
        if self._nodes > 1 and (place := self._place()):
            with stopped_by(preemption):  # the first node saves, and lets this one go
                serve_node(*place, self._devices, check=lambda: require_versions(self._expected))
            return
        try:
            with stopped_by(preemption) as preempted:
                self._train(preempted)
        except Stopped as stopped:
            if preempted.is_set():
                signal.raise_signal(preemption)  # submitit's own handler submits the job again
            raise RuntimeError("job was asked to stop") from stopped

    def _train(self, preempted: threading.Event) -> None:
        stop = _stop_mark(self._messages)
        with self._messages.open("ab", buffering=0) as file:
            file.write(pickle.dumps(None))  # it has started
            require_versions(self._expected)

            def send(message: Any) -> None:
                file.write(pickle.dumps(message))
                if preempted.is_set() or stop.exists():
                    raise Stopped

            with self._task_with_nodes() as task:
                self._work(task, send)

    def _place(self) -> tuple[MeetingPoint, int] | None:
        """Where the first node listens, and which node this is; None for the first."""
        import submitit

        job = submitit.JobEnvironment()
        if job.global_rank == 0:
            return None
        host, port = job.hostnames[0], _port(job.job_id)
        key = _key_file(self._messages).read_bytes()
        return MeetingPoint(host=host, port=port, key=key), job.global_rank

    @contextmanager
    def _task_with_nodes(self) -> Iterator[Any]:
        """The task, and the other nodes of the job ready while the body trains on the first."""
        if self._nodes == 1:
            yield self._task
            return
        import submitit

        job = submitit.JobEnvironment()
        key = _key_file(self._messages).read_bytes()
        with Allocation(self._nodes, job.hostnames[0], key, _port(job.job_id)) as allocation:
            allocation.meet()
            yield replace(self._task, allocation=allocation)

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class _Queue:
    """The jobs that were submitted and have not ended."""

    def __init__(self, executor: Any, folder: Path, work: Work, launch: LaunchConfig) -> None:
        self._executor, self._folder, self._work, self._launch = executor, folder, work, launch
        self.jobs: list[_Job] = []
        self._over: set[str] = set()  # ids of jobs that have ended and may still be queued
        self._next_look = time.monotonic() + _QUEUE_SECONDS
        self._ids = folder / "submitted"
        if executor.cluster == "slurm":
            self._end_earlier()

    def submit(self, waiting: deque[Any]) -> None:
        """Hand over what is waiting: all of it to Slurm, which has a queue of its own."""
        free = _ARRAY
        if self._executor.cluster == "local":
            free = self._launch.workers - len(self.jobs)
        batch = [waiting.popleft() for _ in range(min(free, len(waiting)))]
        if not batch:
            return
        paths = [self._folder / f"{uuid.uuid4().hex}.messages" for _ in batch]
        here = versions()
        launch = self._launch
        cells = [_Cell(self._work, t, p, here, launch) for t, p in zip(batch, paths, strict=True)]
        handles = self._submitted(cells)
        with self._ids.open("a") as file:
            file.writelines(f"{handle.job_id}\n" for handle in handles)
        now = time.monotonic()
        self.jobs += [_Job(t, h, p, now) for t, h, p in zip(batch, handles, paths, strict=True)]

    def _submitted(self, cells: list[_Cell]) -> list[Any]:
        from submitit.core.utils import FailedJobError

        try:
            with self._executor.batch():  # one job array
                return [self._executor.submit(cell) for cell in cells]
        except FailedJobError as error:  # what sbatch says comes last
            said = str(error).strip().splitlines()[-1].strip()
            asked = self._launch.resources
            nodes = f" on each of {asked.nodes} nodes" if asked.nodes > 1 else ""
            raise ConfigError(
                f"Slurm does not take the jobs ({said}); a run asks for "
                f"{self._launch.reserved_cpus} CPUs, {self._launch.reserved_gpus} GPUs, "
                f"{asked.memory_gb or 0:g} GB{nodes}: mend launch.slurm, or threads, devices, "
                "nodes or memory_gb of launch.resources"
            ) from error

    def look(self) -> Generator[Happening, None, None]:
        """What has happened since the last look."""
        self._look_at_queue()
        for job in list(self.jobs):
            done = job.handle.done() or job.absent >= _SURELY_ABSENT
            yield from self._read(job)
            ended = self._ended(job) if done else self._hung(job)
            if ended is not None:
                self.jobs.remove(job)
                self._over.add(job.handle.job_id)
                job.clear()
                yield ended

    def cancel(self) -> None:
        """End what still runs, which may save its state first."""
        running = [job for job in self.jobs if job.started]
        for job in running:
            _stop_mark(job.messages).touch()
        for job in self.jobs:
            if not job.started:
                self._end(job)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and not all(job.handle.done() for job in running):
            time.sleep(_POLL_SECONDS)
        for job in running:
            self._end(job)
            job.clear()
        if self._executor.cluster == "slurm":
            self._see_off()
        self._ids.unlink(missing_ok=True)

    def _look_at_queue(self) -> None:
        """Find jobs that were killed: without accounting only the queue tells, by their absence.

        And those that wait again, after a preemption or for a node that is down.
        """
        if self._executor.cluster != "slurm" or time.monotonic() < self._next_look:
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
        if again := [job_id for job_id in self._over if states[job_id] == "PD"]:
            subprocess.run(["scancel", "--quiet", *again], check=False)

    def _see_off(self) -> None:
        """Wait a moment until Slurm is done with the jobs that have told their end."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._over and time.monotonic() < deadline and (states := _states()) is not None:
            self._end_repeated(states)
            time.sleep(_POLL_SECONDS)

    def _read(self, job: _Job) -> Generator[Happening, None, None]:
        with suppress(FileNotFoundError), job.messages.open("rb") as file:
            file.seek(job.read)
            while True:
                try:
                    message = pickle.load(file)
                except (EOFError, pickle.UnpicklingError):  # nothing more, or half a message
                    return
                job.read, job.heard, job.started = file.tell(), time.monotonic(), True
                if message is not None:
                    yield TaskMessage(task=job.task, message=message)

    def _ended(self, job: _Job) -> Happening:
        reason = f"job {job.handle.job_id} ended without a result"
        if not job.handle.done():  # else the next line would wait for it for ever
            return TaskLost(task=job.task, reason=reason)
        try:
            error = job.handle.exception()
        except Exception as problem:  # submitit has no result: the job was killed
            error = problem
        if error is None:
            return TaskEnded(task=job.task)
        if isinstance(error, ScalingError):
            raise error
        # submitit hands on the traceback alone
        if mistakes := re.findall(r"^scaling\.errors\.(\w+): (.+)", str(error), re.MULTILINE):
            kind, line = mistakes[-1]  # the ones before are its causes
            raise getattr(errors, kind)(line.strip())
        return TaskLost(task=job.task, reason=reason)

    def _hung(self, job: _Job) -> Happening | None:
        """A started job that says nothing; one in the queue may be silent for days."""
        limit = self._launch.policy.hang_seconds
        if not job.started or time.monotonic() - job.heard < limit:
            return None
        self._end(job)
        return TaskLost(task=job.task, reason=f"hung: no sign of life for {limit:.0f} s")

    def _end(self, job: _Job) -> None:
        with suppress(Exception):  # it may have ended by itself
            job.handle.cancel()
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._executor.cluster == "local" and not job.handle.done():
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)  # submitit's controller ends the job and then itself

    def _end_earlier(self) -> None:
        """End jobs of a driver that was killed: nobody listens to them, and they would collide."""
        with suppress(OSError):
            ids = self._ids.read_text().split()
            subprocess.run(["scancel", "--quiet", *ids], check=False)
            self._ids.unlink()


def _states() -> dict[str, str] | None:
    """The state of each job in Slurm's queue, by id; None where Slurm does not answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %t"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return None
    return dict(line.split() for line in listed.stdout.splitlines())


def _preemption() -> int:
    """The signal by which submitit says that the time is over; its own choice of name."""
    from submitit.core.job_environment import JobEnvironment

    return getattr(signal, f"SIG{JobEnvironment.USR_SIG}")


def _key_file(messages: Path) -> Path:
    """What the nodes of a job know each other by, for its owner's eyes alone."""
    return messages.with_suffix(".key")


def _port(job_id: str) -> int:
    """Where the first node of a job listens: a port that all its nodes can work out, below those
    that the kernel gives away."""
    return 16_000 + zlib.crc32(job_id.encode()) % 16_000


def _stop_mark(messages: Path) -> Path:
    """The file that asks a job to save its state and end."""
    return messages.with_suffix(".stop")


def _executor(folder: Path, launch: LaunchConfig) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "launch.engine is slurm, which needs submitit; install scaling-forecast[slurm]"
        ) from error
    logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns of each question to sacct
    cluster = str(launch.slurm.get("cluster", "slurm"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.AutoExecutor(
            folder=folder, cluster=cluster, slurm_max_num_timeout=launch.policy.tries
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"launch.engine slurm: {error}; run it where sbatch is, or give slurm: "
            "{cluster: local}"
        ) from error
    further = {f"slurm_{key}": v for key, v in launch.slurm.items() if key not in _OURS}
    executor.update_parameters(
        name="scaling",
        timeout_min=int(launch.slurm.get("time", _MINUTES)),
        cpus_per_task=launch.reserved_cpus,
        gpus_per_node=launch.reserved_gpus,
        nodes=launch.resources.nodes,
        tasks_per_node=1,
        slurm_array_parallelism=launch.workers,
        **({} if launch.resources.memory_gb is None else {"mem_gb": launch.resources.memory_gb}),
        **(further if cluster == "slurm" else {}),
    )
    return executor
