"""One fault caused on purpose, and what came of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trial:
    """What was done, in words that suffice to do it again, and what went wrong.

    `wrong` is empty where the promise held, and else says how it was broken.
    """

    cause: str
    wrong: str = ""


@dataclass(frozen=True)
class FaultClass:
    """One class of faults: its promise, how often it is tried, and what tries it.

    `trials(count, seed, folder)` causes about `count` faults in an empty folder and yields a Trial
    for each; the same seed causes the same faults.
    """

    name: str
    promise: str
    sample: int
    full: int
    trials: Callable[[int, int, Path], Iterator[Trial]]
