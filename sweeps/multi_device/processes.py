"""The other ranks of a run, as rank 0 sees them: processes of this node, and further nodes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

RANK_DIED = 70  # exit code of rank 0: its launcher takes the task for lost, and tries it again
_SECONDS_BETWEEN_LOOKS = 0.02
_SECONDS_BETWEEN_WATCHES = 0.2
_SECONDS_TO_EXPLAIN = 15.0  # for rank 0, whose own error says more than that a rank has died


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


class OtherRanks:
    """All of them end with the context, and rank 0 ends when one of them has died under it."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._ended = threading.Event()

    def __enter__(self) -> "OtherRanks":
        """Watch them from here on."""
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """End them."""
        self.end()

    def end(self) -> None:
        """End all that still run."""
        self._ended.set()
        for member in self.members:
            member.end()

    def some_die_within(self, seconds: float) -> bool:
        """Whether one of them has ended otherwise than well, or does so before the time is over."""
        deadline = time.monotonic() + seconds
        while not self._some_died():
            if time.monotonic() > deadline:
                return False
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return True

    def wait(self, seconds: float) -> None:
        """Return when all have ended, or the time is over."""
        deadline = time.monotonic() + seconds
        while any(one.poll() is None for one in self.members) and time.monotonic() < deadline:
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _some_died(self) -> bool:
        return any(member.poll() for member in self.members)

    def _watch(self) -> None:
        """End this process when a rank has died: collectives would wait for it for ever."""
        while not self._ended.wait(_SECONDS_BETWEEN_WATCHES):
            if self._some_died():
                if not self._ended.wait(_SECONDS_TO_EXPLAIN):
                    os._exit(RANK_DIED)
                return
