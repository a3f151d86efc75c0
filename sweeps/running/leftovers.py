"""What killed workers leave beside the states of unfinished runs."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sweeps.planning.packing import Row, state_name

_WRITING_SECONDS = 3600.0  # a state takes less, wherever its writer is


def remove_leftovers(rows: Iterable[Row], folder: Path, ended: frozenset[str]) -> None:
    """Delete the states of rows all of whose runs have `ended`, killed before they could do it, and
    half-written states of all."""
    for row in rows:
        name, is_over = state_name(row), all(run.run_id in ended for run in row)
        for path in folder.glob(f"{name}.*"):
            with suppress(OSError):  # it is gone already, or the disk is away
                if is_over or (path.suffix == ".tmp" and not _is_being_written(path)):
                    path.unlink()


def _is_being_written(path: Path) -> bool:
    """Whether the process in the file's name lives on this machine, and may be at it still."""
    process = path.name.split(".")[-2]
    is_old = time.time() - path.stat().st_mtime > _WRITING_SECONDS
    return not is_old and Path("/proc", process).exists()
