"""What the store has to say beside its answer: one line on standard error, said once a process."""

import logging

from scaling.tables.notes import printable

_LONGEST = 1000  # characters
_TOLD: set[str] = set()
_LOG = logging.getLogger("scaling.store")


def tell(line: str) -> None:
    """Say a line, unless this process has said it already; `--quiet` and loggers may hold it."""
    if line not in _TOLD:
        _TOLD.add(line)
        _LOG.warning("note: %s", printable(line, _LONGEST))
