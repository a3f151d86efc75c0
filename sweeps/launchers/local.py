"""Worker processes on this machine: each imports what it needs once and does task after task.

A worker that dies (out of memory, killed) takes only its run with it: the run is reported as lost
and another worker takes its place.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

#: Trains one task, sending messages while it works; runs in the worker process.
Work = Callable[[Any, Callable[[Any], None]], None]


@dataclass(frozen=True, kw_only=True)
class TaskMessage:
    """Something that the work on a task said."""

    task: Any
    message: Any


@dataclass(frozen=True, kw_only=True)
class TaskEnded:
    """The work on a task came to its end."""

    task: Any


@dataclass(frozen=True, kw_only=True)
class TaskLost:
    """The worker died under the task."""

    task: Any
    reason: str


class _Worker:
    def __init__(self, work: Work, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_serve, args=(theirs, work), daemon=True
        )
        with _thread_limit(threads):
            self.process.start()
        theirs.close()
        self.task: Any = None

    def assign(self, task: Any) -> None:
        self.task = task
        self.connection.send(task)

    def close(self) -> None:
        """Let an idle worker end; end a busy one."""
        if self.task is None:
            with suppress(OSError):
                self.connection.send(None)
            self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def work_through(
    tasks: Sequence[Any], work: Work, *, workers: int, threads: int
) -> Generator[TaskMessage | TaskEnded | TaskLost, None, None]:
    """Do the tasks in order on up to `workers` processes, and yield what happens as it happens.

    `work` and the tasks must be picklable. Leaving the iterator early, as Ctrl-C does, ends the
    workers.
    """
    waiting = list(tasks)
    crew: list[_Worker] = []
    try:
        for _ in range(min(workers, len(waiting))):
            crew.append(_Worker(work, threads))
        for worker in crew:
            worker.assign(waiting.pop(0))
        while any(worker.task is not None for worker in crew):
            busy = {worker.connection: worker for worker in crew if worker.task is not None}
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                event = _receive(worker)
                if event is not None:
                    yield event
                if isinstance(event, TaskLost):
                    crew.remove(worker)
                    worker.close()
                    if waiting:
                        crew.append(_Worker(work, threads))
                        crew[-1].assign(waiting.pop(0))
                elif worker.task is None and waiting:
                    worker.assign(waiting.pop(0))
    finally:
        for worker in crew:
            worker.close()


def _receive(worker: _Worker) -> TaskMessage | TaskEnded | TaskLost:
    task = worker.task
    try:
        kind, message = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(timeout=5)
        worker.task = None
        return TaskLost(task=task, reason=f"worker died (exit code {worker.process.exitcode})")
    if kind == "end":
        worker.task = None
        return TaskEnded(task=task)
    return TaskMessage(task=task, message=message)


def _serve(connection: Connection, work: Work) -> None:
    """The life of a worker: receive a task, do it, until told to stop or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    with suppress(EOFError, OSError):
        while (task := connection.recv()) is not None:
            work(task, lambda message: connection.send(("message", message)))
            connection.send(("end", None))


class _thread_limit:
    """Numerical libraries of a child process read these as it starts."""

    _NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

    def __init__(self, threads: int) -> None:
        self._threads = str(threads)

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._NAMES}
        os.environ.update(dict.fromkeys(self._NAMES, self._threads))

    def __exit__(self, *error: object) -> None:
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
