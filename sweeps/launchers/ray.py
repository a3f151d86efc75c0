"""Tasks on a Ray cluster: Ray places them by their resources and tells which of them were lost."""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scaling.errors import ConfigError, ScalingError
from sweeps.config import LaunchConfig
from sweeps.launchers.launcher import (
    Again,
    Happening,
    Stopped,
    TaskEnded,
    TaskLost,
    TaskMessage,
    Work,
)
from sweeps.launchers.versions import require_versions, versions

_POLL_SECONDS = 0.1


def launch_ray(
    tasks: Sequence[Any], work: Work, launch: LaunchConfig, again: Again
) -> Generator[Happening, None, None]:
    """Do the tasks on the Ray cluster at `launch.address`; see `Launcher`.

    Nodes need the project, its data and the tracking store; the checkpoint folder has to be one
    that they share, else a lost run starts anew.
    """
    ray = _connect(launch.address)
    try:
        _require_resources(ray, launch)
        yield from _Crew(ray, work, launch, again).do(tasks)
    finally:
        ray.shutdown()


@dataclass
class _Job:
    task: Any
    number: int
    heard: float


class _Crew:
    """Submits as many tasks as may run at once, and listens to them."""

    def __init__(self, ray: Any, work: Work, launch: LaunchConfig, again: Again) -> None:
        self._ray, self._launch, self._again = ray, launch, again
        self._work = ray.put(work)
        self._mailbox = ray.remote(num_cpus=0, max_concurrency=1)(_Mailbox).options(
            scheduling_strategy=_here(ray)
        )
        self._mail = self._mailbox.remote()
        self._do = ray.remote(_do).options(max_retries=0, **_resources(launch))
        self._jobs: dict[Any, _Job] = {}
        self._submitted = 0

    def do(self, tasks: Sequence[Any]) -> Generator[Happening, None, None]:
        waiting = deque(tasks)
        try:
            while waiting or self._jobs:
                while waiting and len(self._jobs) < self._launch.workers:
                    self._submit(waiting.popleft())
                done, _ = self._ray.wait(list(self._jobs), timeout=_POLL_SECONDS)
                yield from self._messages()
                for happening in [self._end(reference) for reference in done] + self._hanging():
                    yield happening
                    if isinstance(happening, TaskLost):
                        retry = self._again(happening)
                        if retry is not None:
                            waiting.appendleft(retry)
        finally:
            for reference in self._jobs:
                with suppress(Exception):
                    self._ray.cancel(reference, force=True)

    def _submit(self, task: Any) -> None:
        self._submitted += 1
        job = _Job(task, self._submitted, time.monotonic())
        reference = self._do.remote(
            self._work, task, self._mail, job.number, os.getcwd(), versions()
        )
        self._jobs[reference] = job

    def _messages(self) -> Generator[Happening, None, None]:
        by_number = {job.number: job for job in self._jobs.values()}
        for number, message in self._ray.get(self._mail.take.remote()):
            if (job := by_number.get(number)) is not None:  # else it was lost and given up
                job.heard = time.monotonic()
                yield TaskMessage(task=job.task, message=message)

    def _end(self, reference: Any) -> Happening:
        job = self._jobs.pop(reference)
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
        limit = self._launch.hang_seconds
        started = set(self._ray.get(self._mail.started.remote()))
        hung: list[Happening] = []
        for reference, job in list(self._jobs.items()):
            if job.number not in started:
                job.heard = time.monotonic()
            elif time.monotonic() - job.heard > limit:
                self._ray.cancel(reference, force=True)
                del self._jobs[reference]
                reason = f"hung: no sign of life for {limit:.0f} s"
                hung.append(TaskLost(task=job.task, reason=reason))
        return hung


class _Mailbox:
    """An actor beside the driver: workers put messages in, the driver takes them out."""

    def __init__(self) -> None:
        self._letters: list[tuple[int, Any]] = []
        self._started: list[int] = []

    def start(self, number: int) -> None:
        self._started.append(number)

    def put(self, number: int, message: Any) -> None:
        self._letters.append((number, message))

    def take(self) -> list[tuple[int, Any]]:
        letters, self._letters = self._letters, []
        return letters

    def started(self) -> list[int]:
        return self._started


def _do(
    work: Work, task: Any, mail: Any, number: int, folder: str, expected: Mapping[str, str]
) -> None:
    """One task in a Ray worker, which has imported everything if it worked before."""
    import ray

    require_versions(expected)
    with suppress(OSError):  # a node with other folders has absolute paths in the config
        os.chdir(folder)
    mail.start.remote(number)
    last: list[Any] = []

    def send(message: Any) -> None:
        last[:] = [mail.put.remote(number, message)]

    try:
        work(task, send)
    except Stopped as stopped:
        raise RuntimeError("worker was asked to stop") from stopped
    finally:
        ray.get(last)  # letters arrive in order, so all have arrived


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


def _resources(launch: LaunchConfig) -> dict[str, float]:
    resources: dict[str, float] = {"num_cpus": launch.threads, "num_gpus": launch.reserved_gpus}
    if launch.memory_gb is not None:
        resources["memory"] = launch.memory_gb * 1e9
    return resources


def _require_resources(ray: Any, launch: LaunchConfig) -> None:
    """Refuse what no node has; Ray itself would wait for ever, hoping for a larger one."""
    asked = {
        "CPU": launch.threads,
        "GPU": launch.reserved_gpus,
        "memory": (launch.memory_gb or 0) * 1e9,
    }
    nodes: list[dict[str, float]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fitting = [
        node for node in nodes if all(node.get(name, 0) >= amount for name, amount in asked.items())
    ]
    if not fitting:
        wanted = f"{launch.threads} CPUs, {launch.reserved_gpus} GPUs, {launch.memory_gb or 0:g} GB"
        most = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), default={})
        raise ConfigError(
            f"a run asks for {wanted}, which none of {len(nodes)} Ray nodes has (the largest: "
            f"{most.get('CPU', 0):g} CPUs, {most.get('GPU', 0):g} GPUs, "
            f"{most.get('memory', 0) / 1e9:.1f} GB); lower launch.threads, devices or memory_gb"
        )


def _here(ray: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
