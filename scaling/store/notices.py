"""What the store has to say beside its answer: one line on standard error, said once a process."""

import logging

_TOLD: set[str] = set()
_LOG = logging.getLogger("scaling.store")


def tell(line: str) -> None:
    """Say a line, unless this process has said it already; `--quiet` and loggers may hold it."""
    if line not in _TOLD:
        _TOLD.add(line)
        _LOG.warning("note: %s", printable(line))


def printable(text: str) -> str:
    """The text in one line, with control characters shown instead of obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
