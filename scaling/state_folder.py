"""Where this machine keeps what is its own: spools on their way to the store, caches, locks."""

import os
from pathlib import Path


def state_folder(*parts: str) -> Path:
    """A folder below ``SCALING_STATE_DIR``, else ``~/.local/state/scaling``; made where missing.

    Nothing in it is the only copy of anything, but for spools of runs whose tracking server did
    not answer.
    """
    base = os.environ.get("SCALING_STATE_DIR")
    if not base:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        base = str(Path(home) / "scaling")
    folder = Path(base, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
