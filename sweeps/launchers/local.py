"""Worker processes on this machine, each training run after run.

A worker that dies (out of memory, killed) or hangs takes only its task with it, and another takes
its place within milliseconds: workers are forked from a process that has imported torch and
trained nothing. They end with their driver, however it ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from scaling.errors import ConfigError, LaunchError
from scaling.words import counted
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import Again, Happening, TaskEnded, TaskLost, TaskMessage, Work
from sweeps.launchers.crash import Crash
from sweeps.planning.gpus import uses_cuda, workers_for
from sweeps.training.stop import Stopped

_GRACE_SECONDS = 5.0  # for a worker to save its state and leave
_STARTS = 6  # of a worker, over six seconds
_WARM = ["sweeps.launchers.warm"]  # what workers have imported before they are forked
_STOPPED = 128 + signal.SIGTERM


def launch_local(
    tasks: Sequence[Any], work: Work, launch: LaunchConfig, again: Again
) -> Generator[Happening, None, None]:
    """Do the tasks on processes of this machine; see `Launcher`."""
    yield from work_through(
        tasks,
        work,
        workers=workers_for(launch),
        threads=launch.resources.threads,
        gpus=_gpus_each(launch),
        hang_seconds=launch.policy.hang_seconds,
        again=again,
    )


def work_through(
    tasks: Sequence[Any],
    work: Work,
    *,
    workers: int,
    threads: int,
    gpus: int = 0,
    hang_seconds: float = float("inf"),
    again: Again = lambda lost: None,
) -> Generator[Happening, None, None]:
    """Do the tasks in order on up to `workers` processes, and yield what happens as it happens.

    A worker that says nothing for `hang_seconds` is ended. Leaving the iterator early, as Ctrl-C
    does, ends the workers.
    """
    waiting = deque(tasks)
    crew: list[_Worker] = []
    try:
        for slot in range(min(workers, len(waiting))):
            crew.append(_Worker(work, threads, _visible_gpus(slot, gpus)))
        for worker in crew:
            worker.assign(waiting.popleft())
        while busy := {w.connection: w for w in crew if w.task is not None}:
            oldest = min(worker.heard for worker in busy.values())
            patience = max(0.0, oldest + hang_seconds - time.monotonic())
            ready = wait(list(busy), None if patience == float("inf") else patience)
            events = [_receive(busy[connection]) for connection in ready]  # type: ignore[index]
            events += [w.give_up(hang_seconds) for w in busy.values() if w.hangs(hang_seconds)]
            for event in events:
                yield event
                if isinstance(event, TaskLost):
                    retry = again(event)
                    if retry is not None:
                        waiting.appendleft(retry)
            for worker in [worker for worker in crew if worker.dead]:
                crew.remove(worker)
                worker.close()
                if waiting:
                    crew.append(_Worker(work, threads, worker.gpus))
            for worker in crew:
                if worker.task is None and waiting:
                    worker.assign(waiting.popleft())
    finally:
        for worker in crew:
            worker.stop()
        for worker in crew:
            worker.close()


class _Worker:
    def __init__(self, work: Work, threads: int, gpus: str) -> None:
        self.gpus = gpus
        with _thread_limit(threads):
            self.connection, self.process = _forked(work, threads, gpus)
        self.task: Any = None
        self.dead = False
        self.heard = time.monotonic()

    def assign(self, task: Any) -> None:
        self.task = task
        self.heard = time.monotonic()
        with suppress(OSError):  # it died idle: the next look at its pipe says so
            self.connection.send(task)

    def hangs(self, seconds: float) -> bool:
        return self.task is not None and time.monotonic() - self.heard > seconds

    def give_up(self, seconds: float) -> TaskLost:
        """End a worker that says nothing: it would not listen to a request."""
        self.process.kill()
        self.process.join()
        return self.lose(f"hung: no sign of life for {seconds:.0f} s")

    def lose(self, reason: str, traceback: str = "") -> TaskLost:
        task, self.task, self.dead = self.task, None, True
        return TaskLost(task=task, reason=reason, traceback=traceback)

    def stop(self) -> None:
        """Ask an idle worker to end, and a busy one to save its state and end."""
        if self.task is None:
            with suppress(OSError):
                self.connection.send(None)
        elif self.process.is_alive():
            self.process.terminate()
        self._deadline = time.monotonic() + _GRACE_SECONDS

    def close(self) -> None:
        if self.process.is_alive() and not self.dead:
            self.process.join(timeout=max(0.0, self._deadline - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()


def _forked(work: Work, threads: int, gpus: str) -> tuple[Connection, ForkServerProcess]:
    """A process that serves, and our end of the pipe to it.

    The process that workers are forked from may die while it is asked, as any other may; the next
    start makes it anew.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_WARM)
    for start in range(_STARTS):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work, threads, gpus), daemon=True)
        try:
            _ensure_forker()
            process.start()
        except (EOFError, OSError):
            ours.close()
            time.sleep(0.1 * 2**start)  # a large process takes a moment to be gone
        else:
            return ours, process
        finally:
            theirs.close()
    raise LaunchError(
        f"no worker could be started: the process that they are forked from died {_STARTS} times; "
        "is memory short? Finished runs are stored: run it again with fewer launch.workers"
    )


def _ensure_forker() -> None:
    """Start the process that workers are forked from, if it does not live.

    Ctrl-C at a terminal reaches all processes there. This one and its children never hear it:
    their driver does, and ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _receive(worker: _Worker) -> Happening:
    worker.heard = time.monotonic()
    try:
        kind, message = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(timeout=_GRACE_SECONDS)
        return worker.lose(_death(worker.process.exitcode))
    if kind == "crash":
        worker.process.join(timeout=_GRACE_SECONDS)
        return worker.lose(message.reason, message.traceback)
    if kind == "end":
        task, worker.task = worker.task, None
        return TaskEnded(task=task)
    return TaskMessage(task=worker.task, message=message)


def _death(exit_code: int | None) -> str:
    if exit_code == _STOPPED:
        return "worker was asked to stop (SIGTERM)"
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = "; out of memory?" if name == "SIGKILL" else ""
        return f"worker was killed ({name}{hint})"
    return f"worker died (exit code {exit_code})"


def _serve(connection: Connection, work: Work, threads: int, gpus: str) -> None:
    """The life of a worker: receive a task, do it, until told to stop or left alone."""
    threading.Thread(target=_end_with_driver, daemon=True).start()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus  # CUDA reads it when it is first used
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # denormals make a CPU slower a hundredfold

    def send(message: Any) -> None:
        connection.send(("message", message))
        if stop.is_set():
            raise Stopped

    try:
        while not stop.is_set() and (task := connection.recv()) is not None:
            try:
                work(task, send)
            except Stopped:
                raise
            except Exception as error:
                connection.send(("crash", Crash.of(error)))
                sys.exit(1)
            connection.send(("end", None))
    except (EOFError, OSError):
        return  # the driver is gone
    except Stopped:
        sys.exit(_STOPPED)


def _end_with_driver() -> None:
    """End this process when the driver ends, even by SIGKILL: nobody would collect its work."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
    os._exit(1)


def require_devices(launch: LaunchConfig) -> None:
    """Refuse GPUs that are asked for where all jobs run on this machine, and that it has not.

    Raises ConfigError.
    """
    if not launch.on_one_machine or not uses_cuda(launch):
        return
    import torch

    have, wanted = torch.cuda.device_count(), launch.resources.devices
    if not have and launch.device == "cuda":
        raise ConfigError(
            "launch.device is cuda, but this machine has no GPU that PyTorch can use; give "
            "launch.device auto or cpu, or run it where there is one"
        )
    if have and wanted > have:
        raise ConfigError(
            f"launch.resources.devices is {wanted}, but this machine has {counted(have, 'GPU')}; "
            "lower it or use launch.engine ray or slurm"
        )


def _gpus_each(launch: LaunchConfig) -> int:
    """How many of this machine's GPUs a worker needs; 0 where it trains without."""
    require_devices(launch)
    if not uses_cuda(launch):
        return 0
    import torch

    return launch.resources.devices if torch.cuda.device_count() else 0


def _visible_gpus(slot: int, gpus: int) -> str:
    """Which devices the worker in this slot sees, in turn, of those that this process sees; empty
    for whatever is there."""
    if not gpus:
        return ""
    seen = _gpus_seen()
    return ",".join(seen[(slot * gpus + index) % len(seen)] for index in range(gpus))


def _gpus_seen() -> list[str]:
    """What CUDA calls the devices that this process sees: numbers, or names of GPUs or of parts of
    them as the environment gives them. Of parts (MIG) a process sees one, and each worker another.
    """
    import torch

    have, stated = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if not stated:
        return [str(number) for number in range(have)]
    names = [name.strip() for name in stated.split(",")]
    parts = [name for name in names if name.startswith("MIG-")]
    return parts or names[:have]


class _thread_limit:
    """Numerical libraries read these as they are imported, before they can be told."""

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
