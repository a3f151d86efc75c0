"""What runs in a Slurm job: one task, on the first of the job's nodes, with the others at hand."""

import os
import pickle
import secrets
import signal
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling.errors import ScalingError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import AskedToStopError, Work, stopped_by
from sweeps.launchers.crash import Crash
from sweeps.launchers.versions import require_versions
from sweeps.multi_device.rendezvous import Allocation, MeetingPoint, serve_node
from sweeps.training.stop import Stopped


@dataclass(frozen=True)
class JobFiles:
    """What a job and its driver tell each other by, in a folder that both see."""

    messages: Path
    """What the work says, pickled, one after another; None first: it has begun."""

    @classmethod
    def new(cls, folder: Path, nodes: int) -> "JobFiles":
        """Names of their own in a folder, and a key where the nodes of a job have to meet."""
        files = cls(folder / f"{uuid.uuid4().hex}.messages")
        if nodes > 1:  # the job's own pickle may be for others to read
            files.key.touch(mode=0o600)
            files.key.write_bytes(secrets.token_bytes(32))
        return files

    @property
    def stop(self) -> Path:
        """The file that asks the job to save its state and end."""
        return self.messages.with_suffix(".stop")

    @property
    def key(self) -> Path:
        """What the nodes of the job know each other by, for its owner's eyes alone."""
        return self.messages.with_suffix(".key")

    def clear(self) -> None:
        """Remove what is left of them."""
        for path in (self.messages, self.stop, self.key):
            path.unlink(missing_ok=True)


class SlurmJob:
    """The work on a task. submitit pickles it, and on preemption asks it what to submit again."""

    def __init__(
        self,
        work: Work,
        task: Any,
        files: JobFiles,
        expected: Mapping[str, str],
        launch: LaunchConfig,
    ) -> None:
        self._work, self._task, self._files = work, task, files
        self._expected, self._folder = expected, os.getcwd()
        self._nodes, self._devices = launch.resources.nodes, launch.resources.devices

    def __call__(self) -> ScalingError | Crash | None:
        """Train; the result is a mistake of the user's, which submitit hands over as it is, or what
        there is to know of an exception of ours."""
        os.chdir(self._folder)
        try:
            if self._nodes > 1 and (place := self._place()):
                self._serve(*place)
            else:
                self._train()
        except ScalingError as mistake:
            return mistake
        except AskedToStopError:
            raise
        except Exception as error:
            return Crash.of(error)
        return None

    def checkpoint(self) -> Any:
        """What submitit queues again when the time is over: the same, which finds its state."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _serve(self, first: MeetingPoint, node: int) -> None:
        """Be a further node; at a preemption the first one saves, and lets this one go."""
        with stopped_by(_preemption()):
            serve_node(first, node, self._devices, check=lambda: require_versions(self._expected))

    def _train(self) -> None:
        preemption = _preemption()
        try:
            with stopped_by(preemption) as preempted:
                self._work_through(preempted)
        except Stopped as stopped:
            if preempted.is_set():
                signal.raise_signal(preemption)  # submitit's own handler submits the job again
            raise AskedToStopError("job was asked to stop") from stopped

    def _work_through(self, preempted: threading.Event) -> None:
        stop = self._files.stop
        with self._files.messages.open("ab", buffering=0) as file:
            file.write(pickle.dumps(None))
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
        return MeetingPoint(host=host, port=port, key=self._files.key.read_bytes()), job.global_rank

    @contextmanager
    def _task_with_nodes(self) -> Iterator[Any]:
        """The task, and the other nodes of the job ready while the body trains on the first."""
        if self._nodes == 1:
            yield self._task
            return
        import submitit

        job = submitit.JobEnvironment()
        key = self._files.key.read_bytes()
        with Allocation(self._nodes, job.hostnames[0], key, _port(job.job_id)) as allocation:
            allocation.meet()
            yield replace(self._task, allocation=allocation)


def _preemption() -> int:
    """The signal by which submitit says that the time is over; its own choice of name."""
    from submitit.core.job_environment import JobEnvironment

    return getattr(signal, f"SIG{JobEnvironment.USR_SIG}")


def _port(job_id: str) -> int:
    """Where the first node of a job listens: a port that all its nodes can work out, below those
    that the kernel gives away."""
    return 16_000 + zlib.crc32(job_id.encode()) % 16_000
