"""What every launcher does: take tasks to processes somewhere, and tell what happens to them.

Scheduling, resources, and the loss of workers or nodes are the engine's business; which tasks
there are, and whether a lost one is worth another try, is the runner's.
"""

import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sweeps.config.launch import LaunchConfig

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
    """The worker died, hung or was stopped under the task."""

    task: Any
    reason: str
    """One line."""
    traceback: str = ""
    """Whole, where an exception of ours ended it: in the work, or in what brings it to a worker."""


class AskedToStopError(RuntimeError):
    """A worker left because it was told to; nothing is wrong with its task."""


Happening = TaskMessage | TaskEnded | TaskLost
#: After a loss: the task to try again, perhaps less than before, or None to give it up.
Again = Callable[[TaskLost], Any]


class Launcher(Protocol):
    """Does tasks in order on the processes that the config asks for, and yields what happens.

    `work` and the tasks are picklable. Leaving the iterator early, as Ctrl-C does, ends what runs.
    Where `launch.resources.nodes` are several, tasks are dataclasses, and the launcher gives the
    work each one's nodes as its field `allocation`.
    Raises ConfigError where the resources asked for do not exist.
    """

    def __call__(
        self, tasks: Sequence[Any], work: Work, launch: LaunchConfig, again: Again
    ) -> Generator[Happening, None, None]:
        """Do the tasks."""


@contextmanager
def stopped_by(*signals: int) -> Iterator[threading.Event]:
    """Have these signals ask for a stop, at a moment that suits the work, instead of forcing it."""
    asked = threading.Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in signals}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
