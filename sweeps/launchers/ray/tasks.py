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
from scaling.store.connection.tracking_uri import tracking_environment, without_secrets
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import (
    Again,
    AskedToStopError,
    Happening,
    TaskEnded,
    TaskLost,
    TaskMessage,
    Work,
    stopped_by,
)
from sweeps.launchers.ray.nodes import Place, enter, task_with_nodes
from sweeps.launchers.ray.resources import remote, require_resources
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
        waiting, submitted = deque(tasks), _SubmittedTasks(ray, work, launch)
        try:
            while waiting or submitted.count:
                while waiting and submitted.count < launch.workers:
                    submitted.add(waiting.popleft())
                for happening in submitted.happenings():
                    yield happening
                    if isinstance(happening, TaskLost):
                        retry = again(happening)
                        if retry is not None:
                            waiting.appendleft(retry)
        finally:
            submitted.end()
    finally:
        ray.shutdown()


@dataclass
class _Submitted:
    """A task that Ray has been given."""

    task: Any
    number: int
    place: Place
    heard: float
    started: bool = False


class _SubmittedTasks:
    """The tasks that Ray has been given and that have not ended, by Ray's reference to each."""

    def __init__(self, ray: Any, work: Work, launch: LaunchConfig) -> None:
        self._ray, self._launch = ray, launch
        self._work = ray.put(work)
        self._mailbox = self._new_mailbox()
        self._do = remote(ray, launch, _do_task)
        self._driver = _Driver(os.getcwd(), versions(), tracking_environment())
        self._running: dict[Any, _Submitted] = {}
        self._numbers = 0

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._running)

    def add(self, task: Any) -> None:
        """Give Ray a task, which starts when there is room for it."""
        self._numbers += 1
        place = Place.reserve(self._launch)
        reference = self._do.options(**place.options(0)).remote(
            self._work, task, self._mailbox, self._numbers, self._driver, place
        )
        self._running[reference] = _Submitted(task, self._numbers, place, time.monotonic())

    def happenings(self) -> Generator[Happening, None, None]:
        """What has happened to them since the last question, after a moment for something to."""
        ended, _ = self._ray.wait(list(self._running), timeout=_POLL_SECONDS)
        try:
            messages = self._ray.get(self._mailbox.take.remote())
        except self._ray.exceptions.RayActorError:
            yield from self._begin_anew()
            return
        yield from self._told(messages)
        for reference in ended:
            yield self._end_of(reference)
        yield from self._give_up_hanging()

    def _new_mailbox(self) -> Any:
        mailbox = self._ray.remote(num_cpus=0, max_concurrency=1)(_Mailbox)
        return mailbox.options(scheduling_strategy=_here(self._ray)).remote()

    def _begin_anew(self) -> Generator[Happening, None, None]:
        """The mailbox was killed, and what lay in it is gone: every task counts as lost, so that
        the store is asked how its runs have ended, and the rest is tried again."""
        self.end()
        lost, self._running = list(self._running.values()), {}
        self._mailbox = self._new_mailbox()
        for one in lost:
            yield TaskLost(task=one.task, reason="the process that takes word of it was lost")

    def end(self) -> None:
        """Let workers save what they have, and end those that take too long about it."""
        started = [reference for reference, one in self._running.items() if one.started]
        for reference in set(self._running) - set(started):
            self._cancel(reference)
        if started:
            with suppress(Exception):  # without a mailbox they leave by themselves
                self._ray.get(self._mailbox.close.remote(), timeout=_GRACE_SECONDS)
            with suppress(Exception):
                self._ray.wait(started, num_returns=len(started), timeout=_GRACE_SECONDS)
        for reference in started:
            self._cancel(reference)
        for one in self._running.values():
            one.place.release()

    def _cancel(self, reference: Any) -> None:
        with suppress(Exception):  # it may have ended by itself
            self._ray.cancel(reference, force=True)

    def _told(self, messages: list[tuple[int, Any]]) -> Generator[Happening, None, None]:
        by_number = {one.number: one for one in self._running.values()}
        for number, message in messages:
            if (one := by_number.get(number)) is not None:  # else it was lost and given up
                one.heard, one.started = time.monotonic(), True
                if message is not None:
                    yield TaskMessage(task=one.task, message=message)

    def _end_of(self, reference: Any) -> Happening:
        one = self._running.pop(reference)
        one.place.release()
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ScalingError):
                raise error.cause from error
            reason = _first_line(error.cause)
            if isinstance(error.cause, AskedToStopError):
                return TaskLost(task=one.task, reason=reason)
            return TaskLost(task=one.task, reason=reason, traceback=without_secrets(str(error)))
        except self._ray.exceptions.RayError as error:
            return TaskLost(task=one.task, reason=f"{type(error).__name__}: {_first_line(error)}")
        return TaskEnded(task=one.task)

    def _give_up_hanging(self) -> Generator[Happening, None, None]:
        """End running tasks that say nothing; one that Ray has not started yet may be silent."""
        limit = self._launch.policy.hang_seconds
        for reference, one in list(self._running.items()):
            if one.started and time.monotonic() - one.heard > limit:
                self._cancel(reference)
                del self._running[reference]
                one.place.release()
                reason = f"hung: no sign of life for {limit:.0f} s"
                yield TaskLost(task=one.task, reason=reason)


class _Mailbox:
    """An actor beside the driver: workers put messages in, the driver takes them out."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, Any]] = []
        self._closed = False

    def put(self, number: int, message: Any) -> bool:
        """Take a message, None from a task that starts; whether the worker may go on."""
        self._messages.append((number, message))
        return not self._closed

    def take(self) -> list[tuple[int, Any]]:
        messages, self._messages = self._messages, []
        return messages

    def close(self) -> None:
        self._closed = True


@dataclass(frozen=True)
class _Driver:
    """What a worker has to share with the driver."""

    folder: str
    versions: Mapping[str, str]
    environment: Mapping[str, str]


def _do_task(
    work: Work, task: Any, mailbox: Any, number: int, driver: _Driver, place: Place
) -> None:
    """One task in a Ray worker, which has imported everything if it worked before."""
    import ray

    require_versions(driver.versions)
    os.environ.update(driver.environment)
    enter(driver.folder)
    with stopped_by(signal.SIGTERM) as asked:

        def send(message: Any) -> None:
            try:
                may_go_on = ray.get(mailbox.put.remote(number, message))
            except ray.exceptions.RayActorError:  # it was killed, or its driver was
                may_go_on = False
            if asked.is_set() or not may_go_on:
                raise Stopped

        try:
            send(None)
            with task_with_nodes(ray, task, place, driver.folder, driver.versions) as task:
                work(task, send)
        except Stopped as stopped:
            raise AskedToStopError("worker was asked to stop") from stopped


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
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ConfigError(f'launch.address "{address}": {why_not(error)}') from error
    return ray


def why_not(error: BaseException) -> str:
    """Why there is no connection, and what next: nothing runs there, or it wants a token.

    Ray joins a cluster that it finds by itself (auto) with the token of ~/.ray, but one that is
    named only where RAY_AUTH_MODE says so; refused, it raises what it raises of a dead head, and
    the reason lies further down.
    """
    cause: BaseException | None = error
    while cause is not None:
        if "AuthenticationError" in f"{type(cause).__name__} {cause}":
            return (
                "the Ray cluster takes nobody without its token; have the ~/.ray/auth_token of its "
                "head on every node and here, and type in each shell: export RAY_AUTH_MODE=token"
            )
        cause = cause.__cause__ or cause.__context__
    return f"no Ray cluster answers ({_first_line(error)}); start one with: ray start --head"


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
