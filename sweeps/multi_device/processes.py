"""The ranks of one node: processes that each train a share of a run, as their parent sees them."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

_SECONDS_BETWEEN_LOOKS = 0.02


class Member(Protocol):
    """A rank of this node, or all ranks of another one."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def end(self) -> None:
        """See to it that it does not run any more."""


class Rank:
    """One process; it ends when this one does, even by SIGKILL."""

    def __init__(self, file: Path, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sweeps.multi_device.shared_training", str(file)],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,  # it closes when this process ends
        )

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        """Kill it where it still runs."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None, "it was opened as a pipe"
        self._process.stdin.close()


def start_ranks(
    file: Path, shared: Mapping[str, str], node: int, local_ranks: range, devices: int
) -> list[Rank]:
    """Start these ranks of a node, which has so many devices as every other; `file` says what to
    train, and `shared` where the ranks meet."""
    return [Rank(file, {**shared, **rank_variables(node, local, devices)}) for local in local_ranks]


def rank_variables(node: int, local_rank: int, devices: int) -> dict[str, str]:
    """What a rank's environment says of it, to torch and to Lightning."""
    return {
        "NODE_RANK": str(node),
        "LOCAL_RANK": str(local_rank),
        "RANK": str(node * devices + local_rank),
    }


def some_died(members: Sequence[Member]) -> bool:
    """Whether one of them has ended otherwise than well."""
    return any(member.poll() for member in members)


def some_die_within(members: Sequence[Member], seconds: float) -> bool:
    """Whether one of them has died, or does so before the time is over."""
    deadline = time.monotonic() + seconds
    while not some_died(members):
        if time.monotonic() > deadline:
            return False
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return True


def wait_for_all(members: Sequence[Member], seconds: float) -> None:
    """Return when all have ended, or the time is over."""
    deadline = time.monotonic() + seconds
    while any(member.poll() is None for member in members) and time.monotonic() < deadline:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
