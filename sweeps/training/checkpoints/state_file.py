"""States on disk that survive a kill at any moment.

A file is written beside its place, flushed to the disk and renamed, so its place never holds half a
state; the state before it is kept as a second generation. Each carries its SHA-256. A damaged file
is passed over for the generation before it, and that is said.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scaling.errors import ConfigError

_DIGEST_LENGTH = 64  # hexadecimal SHA-256 at the head of the file


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A state from disk, and what had to be passed over to find it."""

    content: dict[str, Any]
    note: str
    """Empty, or why the latest generation was not used."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """The place of one state on disk."""

    path: Path
    identity: Mapping[str, str]
    """What a state must agree in to be resumed, by name."""

    @property
    def previous(self) -> Path:
        """The place of the generation before the latest."""
        return self.path.with_name(f"{self.path.name}.previous")

    def save(self, content: Mapping[str, Any]) -> None:
        """Write a new generation; the one before it stays."""
        buffer = io.BytesIO()
        torch.save({"identity": dict(self.identity), "content": dict(content)}, buffer)
        payload = buffer.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(hashlib.sha256(payload).hexdigest().encode())
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # a full disk, which half a state should not keep full
            unfinished.unlink(missing_ok=True)
            raise
        with suppress(FileNotFoundError):
            self.path.replace(self.previous)
        unfinished.replace(self.path)
        _flush_folder(self.path.parent)

    def load(self, step: int | None = None) -> Loaded | None:
        """The latest state that is whole, or None; with a `step`, only one that stands there.

        Raises ConfigError where it belongs to other data or rules than those at hand.
        """
        problems = []
        for path, document in self._documents():
            if isinstance(document, str):
                problems.append(f"{path}: {document}")
            elif step is None or document["content"]["step"] == step:
                note = "; ".join(problems) + "; went on from the state before it"
                return Loaded(content=document["content"], note=note if problems else "")
        if problems:
            return Loaded(content={}, note="; ".join(problems) + "; started from the beginning")
        return None

    def steps(self) -> list[int]:
        """Where the whole states stand, the latest first."""
        found = [document for _, document in self._documents()]
        return [one["content"]["step"] for one in found if not isinstance(one, str)]

    def _documents(self) -> Iterator[tuple[Path, dict[str, Any] | str]]:
        """The generations that exist, the latest first, or what is wrong with them."""
        for path in (self.path, self.previous):
            try:
                document = _read(path)
            except FileNotFoundError:
                continue
            except (ValueError, OSError) as error:
                yield path, str(getattr(error, "strerror", None) or error)
                continue
            self._check_identity(path, document["identity"])
            yield path, document

    def remove(self) -> None:
        """Delete all generations."""
        for path in (self.path, self.previous, *self.path.parent.glob(f"{self.path.name}.*.tmp")):
            with suppress(OSError):  # it is of no use, and whoever cleans up later sees it
                path.unlink()

    def _check_identity(self, path: Path, found: Mapping[str, str]) -> None:
        for name, wanted in self.identity.items():
            if found.get(name) != wanted:
                raise ConfigError(
                    f"{path}: its {name} is {found.get(name)}, but the run at hand has {wanted}; "
                    "restore what it was, or delete the file to start anew"
                )


class CheckpointClock:
    """Says when the next checkpoint is due: often enough, at less than 1% of the time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.perf_counter() + seconds

    def is_due(self) -> bool:
        """Whether the time since the latest checkpoint is over."""
        return time.perf_counter() >= self._next

    def time(self, save: Callable[[], None]) -> None:
        """Write a checkpoint and wait at least a hundred times as long for the next."""
        start = time.perf_counter()
        try:
            save()
        finally:
            end = time.perf_counter()
            self._next = end + max(self._seconds, 100 * (end - start))


def _read(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    digest, payload = raw[:_DIGEST_LENGTH], raw[_DIGEST_LENGTH:]
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        raise ValueError("damaged or cut short (its SHA-256 differs)")
    document: dict[str, Any] = torch.load(io.BytesIO(payload), weights_only=True)
    return document


def _flush_folder(folder: Path) -> None:
    """Make renames in it last through a power failure, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
