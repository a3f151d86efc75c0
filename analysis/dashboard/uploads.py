"""Tables that viewers drop in: kept by their content while the server runs, refused in one line."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from analysis.dashboard import LARGEST_UPLOAD_MB
from scaling.errors import RecordError
from scaling.tables.notes import printable

PREFIX = "upload:"
MOST = 64
"""Tables that are kept; the oldest make room."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A kept table: where it lies, and the name that its viewer knows it by."""

    name: str
    path: Path


def keep(name: str, content: bytes) -> str:
    """Keep a table; its source, named by the content, so that a link finds it and none guesses it.

    Raises RecordError where it is empty or too large.
    """
    shown = printable(name)
    if len(content) > LARGEST_UPLOAD_MB << 20:
        raise RecordError(
            f"{shown}: {len(content) >> 20} MB, and an upload has at most {LARGEST_UPLOAD_MB} MB; "
            f"name the file where the server runs: scaling dashboard FILE"
        )
    if not content.strip():
        raise RecordError(f"{shown}: is empty; give a table of runs")
    digest = hashlib.sha256(name.encode() + b"\0" + content).hexdigest()[:24]
    shelf = _kept()
    if digest not in shelf:
        ending = "".join(c for c in Path(name).suffix if c.isalnum() or c == ".")[:10]
        path = _folder() / f"{digest}{ending}"
        path.write_bytes(content)
        shelf[digest] = Upload(name=shown, path=path)
        while len(shelf) > MOST:
            shelf.pop(next(iter(shelf))).path.unlink(missing_ok=True)
    return f"{PREFIX}{digest}"


def path_of(source: str) -> Path | None:
    """Where an uploaded table lies; None of another source, and of one that is not kept."""
    found = _kept().get(source.removeprefix(PREFIX)) if source.startswith(PREFIX) else None
    return found.path if found else None


def name_of(source: str) -> str:
    """How a viewer knows a source."""
    found = _kept().get(source.removeprefix(PREFIX)) if source.startswith(PREFIX) else None
    return f"{found.name} (uploaded)" if found else printable(source, 120)


@st.cache_resource(show_spinner=False)
def _kept() -> dict[str, Upload]:
    return {}


@st.cache_resource(show_spinner=False)
def _folder() -> Path:
    holder = tempfile.TemporaryDirectory(prefix="scaling-uploads-")
    _HOLDERS.append(holder)
    return Path(holder.name)


#: Folders that go when the process does.
_HOLDERS: list[tempfile.TemporaryDirectory] = []
