"""What every launcher does: take tasks to processes somewhere, and tell what happens to them.

Scheduling, resources, and the loss of workers or nodes are the engine's business; which tasks
there are, and whether a lost one is worth another try, is the runner's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Trains one task, sending messages while it works; runs in the worker process.
Work = Callable[[Any, Callable[[Any], None]], None]


class Stopped(BaseException):
    """Raised out of `send` where the processor is wanted back: save what resumes, and leave."""


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


Happening = TaskMessage | TaskEnded | TaskLost
#: After a loss: the task to try again, perhaps less than before, or None to give it up.
Again = Callable[[TaskLost], Any]
