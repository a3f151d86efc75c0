"""Tasks on a Ray cluster: Ray places them by their resources and tells which of them were lost."""

import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scaling.errors import ConfigError, ScalingError
from scaling.store.tracking_uri import tracking_environment
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
from sweeps.launchers.ray.nodes import (
    NodeGroup,
    further_nodes,
    placed,
    release_nodes,
    reserve_nodes,
)
from sweeps.launchers.ray.resources import require_resources, resources
from sweeps.launchers.versions import require_versions, versions
from sweeps.training.stop import Stopped

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 10.0  # for workers to save their states and leave


def launch_ray(
    tasks: Sequence[Any], work: Work, launch: LaunchConfig, again: Again
) -> Generator[Happening, None, None]:
    """Do the tasks on the Ray cluster at `launch.address`; see `Launcher`.

    Nodes need the project, its data and the tracking store; the checkpoint folder has to be one
    that they share, else a lost run starts anew.
    """
    ray = _connect(launch.address)
    try:
        require_resources(ray, launch)
        yield from _Crew(ray, work, launch, again).do(tasks)
    finally:
        ray.shutdown()


@dataclass
class _Job:
    task: Any
    number: int
    nodes: NodeGroup | None
    heard: float
    started: bool = False


class _Crew:
    """Submits as many tasks as may run at once, and listens to them."""

    def __init__(self, ray: Any, work: Work, launch: LaunchConfig, again: Again) -> None:
        self._ray, self._launch, self._again = ray, launch, again
        self._work = ray.put(work)
        self._mailbox = ray.remote(num_cpus=0, max_concurrency=1)(_Mailbox).options(
            scheduling_strategy=_here(ray)
        )
        self._mail = self._mailbox.remote()
        self._do = ray.remote(_do)
        self._driver = _Driver(os.getcwd(), versions(), tracking_environment())
        self._jobs: dict[Any, _Job] = {}
        self._submitted = 0

    def do(self, tasks: Sequence[Any]) -> Generator[Happening, None, None]:
        waiting = deque(tasks)
        try:
            while waiting or self._jobs:
                while waiting and len(self._jobs) < self._launch.workers:
                    self._submit(waiting.popleft())
                jobs = list(self._jobs)
                done, _ = self._ray.wait(jobs, timeout=_POLL_SECONDS)
                yield from self._messages()
                for happening in [self._end(reference) for reference in done] + self._hanging():
                    yield happening
                    if isinstance(happening, TaskLost):
                        retry = self._again(happening)
                        if retry is not None:
                            waiting.appendleft(retry)
        finally:
            self._end_all()

    def _end_all(self) -> None:
        """Let workers save what they have, and end those that take too long about it."""
        running = [reference for reference, job in self._jobs.items() if job.started]
        for reference in set(self._jobs) - set(running):
            self._cancel(reference)
        if running:
            with suppress(Exception):
                self._ray.get(self._mail.close.remote(), timeout=_GRACE_SECONDS)
                self._ray.wait(running, num_returns=len(running), timeout=_GRACE_SECONDS)
        for reference in running:
            self._cancel(reference)
        for job in self._jobs.values():
            release_nodes(job.nodes)

    def _cancel(self, reference: Any) -> None:
        with suppress(Exception):  # it may have ended by itself
            self._ray.cancel(reference, force=True)

    def _submit(self, task: Any) -> None:
        self._submitted += 1
        nodes = reserve_nodes(self._launch)
        job = _Job(task, self._submitted, nodes, time.monotonic())
        options = {"max_retries": 0, **resources(self._launch), **placed(nodes, 0)}
        reference = self._do.options(**options).remote(
            self._work, task, self._mail, job.number, self._driver, nodes
        )
        self._jobs[reference] = job

    def _messages(self) -> Generator[Happening, None, None]:
        by_number = {job.number: job for job in self._jobs.values()}
        for number, message in self._ray.get(self._mail.take.remote()):
            if (job := by_number.get(number)) is not None:  # else it was lost and given up
                job.heard, job.started = time.monotonic(), True
                if message is not None:
                    yield TaskMessage(task=job.task, message=message)

    def _end(self, reference: Any) -> Happening:
        job = self._jobs.pop(reference)
        release_nodes(job.nodes)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ScalingError):
                raise error.cause from error
            return TaskLost(task=job.task, reason=_first_line(error.cause))
        except self._ray.exceptions.RayError as error:
            return TaskLost(task=job.task, reason=f"{type(error).__name__}: {_first_line(error)}")
        return TaskEnded(task=job.task)

    def _hanging(self) -> list[Happening]:
        """Running tasks that say nothing; a task that Ray has not started yet may be silent."""
        limit = self._launch.policy.hang_seconds
        hung: list[Happening] = []
        for reference, job in list(self._jobs.items()):
            if job.started and time.monotonic() - job.heard > limit:
                self._cancel(reference)
                del self._jobs[reference]
                release_nodes(job.nodes)
                reason = f"hung: no sign of life for {limit:.0f} s"
                hung.append(TaskLost(task=job.task, reason=reason))
        return hung


class _Mailbox:
    """An actor beside the driver: workers put messages in, the driver takes them out."""

    def __init__(self) -> None:
        self._letters: list[tuple[int, Any]] = []
        self._closed = False

    def put(self, number: int, message: Any) -> bool:
        """Take a message, None from a task that starts; whether the worker may go on."""
        self._letters.append((number, message))
        return not self._closed

    def take(self) -> list[tuple[int, Any]]:
        letters, self._letters = self._letters, []
        return letters

    def close(self) -> None:
        self._closed = True


@dataclass(frozen=True)
class _Driver:
    """What a worker has to share with the driver."""

    folder: str
    versions: Mapping[str, str]
    environment: Mapping[str, str]


def _do(
    work: Work, task: Any, mail: Any, number: int, driver: _Driver, nodes: NodeGroup | None
) -> None:
    """One task in a Ray worker, which has imported everything if it worked before."""
    import ray

    require_versions(driver.versions)
    os.environ.update(driver.environment)
    with suppress(OSError):  # a node with other folders has absolute paths in the config
        os.chdir(driver.folder)
    with stopped_by(signal.SIGTERM) as asked:

        def send(message: Any) -> None:
            may_go_on = ray.get(mail.put.remote(number, message))
            if asked.is_set() or not may_go_on:
                raise Stopped

        try:
            send(None)
            with further_nodes(ray, nodes, driver.folder, driver.versions):
                work(task, send)
        except Stopped as stopped:
            raise RuntimeError("worker was asked to stop") from stopped


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "launch.engine is ray, which is not installed; install scaling-forecast[ray]"
        ) from error
    try:
        _require_answer(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f'launch.address "{address}": no Ray cluster answers ({_first_line(error)}); '
            "start one with: ray start --head"
        ) from error
    return ray


def _require_answer(address: str) -> None:
    """Ask before Ray does, which spends minutes on it and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _here(ray: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
