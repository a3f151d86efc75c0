"""Where this machine keeps what is its own: spools on their way to the store, caches, locks."""

import os
from pathlib import Path

from scaling.errors import StoreError


def state_folder(*parts: str) -> Path:
    """A folder below ``SCALING_STATE_DIR``, else ``~/.local/state/scaling``; made where missing.

    Nothing in it is the only copy of anything, but for spools of runs whose tracking server did
    not answer. Raises StoreError where it cannot be made.
    """
    base = os.environ.get("SCALING_STATE_DIR")
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
