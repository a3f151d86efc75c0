"""Where this machine keeps what is its own: spools on their way to the store, caches, locks."""

import os
from pathlib import Path

from scaling.errors import StoreError

_NAME = "SCALING_STATE_DIR"


def state_dir() -> str | None:
    """What this process was told of where to keep it; None where it was told nothing."""
    told = os.environ.get(_NAME)
    return str(Path(told).absolute()) if told else None


def keep_state_in(folder: str | None) -> None:
    """Have this process, and those that it starts, keep its state there, where its machine has the
    folder and did not tell it another."""
    if folder is not None and not os.environ.get(_NAME) and Path(folder).is_dir():
        os.environ[_NAME] = folder


def state_folder(*parts: str) -> Path:
    """A folder below ``SCALING_STATE_DIR``, else ``~/.local/state/scaling``; made where missing.

    Nothing in it is the only copy of anything, but for spools of runs whose tracking server did
    not answer. Raises StoreError where it cannot be made.
    """
    base = os.environ.get(_NAME)
    if not base:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        base = str(Path(home) / "scaling")
    folder = Path(base, *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from error
    return folder


def not_writable(path: Path, error: OSError) -> StoreError:
    """What to say where the folder, or a file in it, cannot be written."""
    return StoreError(
        f"{path}: cannot be written ({error.strerror}); make room there, or set SCALING_STATE_DIR "
        "to another folder"
    )
