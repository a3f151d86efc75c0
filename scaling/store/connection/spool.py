"""What a run has to say goes to a local file first, and from there to the tracking store.

Training appends a line and goes on; a thread ships the lines in order. A store that does not
answer is asked again until it does, so training never waits for it and nothing is lost: what a
killed process left behind is adopted and shipped by the next one on this machine. Shipping the
same lines twice is harmless, because each carries its own time and the try's own identity.

Each line carries a digest of itself and of the line before it. A file is cut at the first line
that is damaged, missing or out of its place: what stands before it is shipped, and the whole file
is put aside as `.damaged`, which is said.
"""

import errno
import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from scaling.errors import StoreError
from scaling.store.connection.digests import DamagedError, digest_of, with_digest, without_digest
from scaling.store.connection.notices import tell
from scaling.words import counted

Operation = dict[str, Any]

_LONGEST_PAUSE = 10.0  # seconds between two questions to a store that does not answer
_PATIENCE = 3.0  # seconds without an answer after which nobody waits any more


class Unavailable(Exception):
    """The store does not answer at present; the same lines can be shipped later."""


class Spool:
    """One try of one run on its way to the store. The file is locked while its owner lives."""

    def __init__(self, path: Path, file: IO[bytes], *, adopted: bool) -> None:
        self.path = path
        self.try_id = path.stem
        self.store_run_id: str | None = None
        """The store's own name of the run, once it is known."""
        self.doubtful = adopted
        """Whether an earlier shipment may have reached the store without our knowing."""
        self.error: StoreError | None = None
        """Why the store refuses these lines for good."""
        self.shipped = 0
        """Bytes that reached the store."""
        self.is_damaged = False
        """Whether there are lines that cannot be read, after those that can."""
        self._file = file
        self._written = file.seek(0, 2)
        self._last_written = self.last_shipped = self.try_id
        """Digests of the last lines; the first line follows the name of the file."""
        self._lock = threading.Lock()

    @classmethod
    def create(cls, folder: Path) -> "Spool":
        """An empty spool of a name of its own; StoreError where the disk takes no file."""
        path = folder / f"{uuid.uuid4().hex}.jsonl"
        try:
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise _disk_error(path, error) from error
        fcntl.flock(file, fcntl.LOCK_EX)
        return cls(path, file, adopted=False)

    @classmethod
    def adopt(cls, path: Path) -> "Spool | None":
        """A spool that its process left behind; None where that process lives or has shipped it."""
        try:
            file = path.open("a+b", buffering=0)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        if not path.exists():  # shipped between the two calls
            file.close()
            return None
        return cls(path, file, adopted=True)

    def append(self, operation: Operation) -> None:
        """Add a line. Raises StoreError for a full disk, and for what the store refused before."""
        if self.error is not None:
            raise self.error
        with self._lock:
            text = with_digest(operation, self._last_written)
            line = text.encode() + b"\n"
            try:
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if operation["op"] == "end":
                    os.fsync(self._file.fileno())
            except OSError as error:
                with suppress(OSError):
                    self._file.truncate(self._written)
                raise _disk_error(self.path, error) from error
            self._written += len(line)
            self._last_written = digest_of(text)

    @property
    def waiting(self) -> bool:
        """Whether there are lines that have not been shipped."""
        return self.error is None and self.shipped < self._written

    def pending(self) -> tuple[list[Operation], int]:
        """The lines not yet shipped, and the size of the file after them; see `is_damaged`."""
        with self._lock:
            self._file.seek(self.shipped)
            size = self._written
            content = self._file.read(size - self.shipped)
        end = content.rfind(b"\n") + 1
        rest = content[end:]  # a killed writer may have left half a line
        self.is_damaged = not (rest.isascii() and rest.decode().isprintable())
        operations: list[Operation] = []
        try:
            for line in content[:end].splitlines():
                text = line.decode()
                operations.append(_checked(without_digest(text, self.last_shipped)))
                self.last_shipped = digest_of(text)
        except (DamagedError, UnicodeDecodeError):
            self.is_damaged = True
        return operations, size

    def refuse(self, error: StoreError, suffix: str = ".refused") -> None:
        """These lines will never be taken: put them aside, and say so at the next one."""
        self.error = error
        with suppress(OSError):
            self.path.rename(self.path.with_suffix(suffix))
        self._file.close()

    def release(self) -> None:
        """Leave the file to whoever adopts it next."""
        self._file.close()

    def discard(self) -> None:
        """Everything is in the store: forget the file."""
        self.path.unlink(missing_ok=True)
        self._file.close()


Send = Callable[[Spool, list[Operation]], None]


class Shipper:
    """A thread that brings this process's spools to the store, until each has ended."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._spools: list[Spool] = []
        self._changed = threading.Condition()
        self._silent_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._thread.start()

    def add(self, spool: Spool) -> None:
        """Take charge of a spool."""
        with self._changed:
            self._spools.append(spool)

    def wake(self) -> None:
        """There is something new to ship."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, spool: Spool, seconds: float) -> bool:
        """Whether the spool's lines reached the store; given up early while it does not answer."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._changed.notify_all()
            while spool.waiting:
                now = time.monotonic()
                silent = self._silent_since is not None and now - self._silent_since > _PATIENCE
                if silent or now > deadline:
                    return False
                self._changed.wait(0.1)
        if spool.error is not None:
            raise spool.error
        return True

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                if pause:
                    self._changed.wait_for(lambda: False, timeout=pause)
                else:
                    self._changed.wait_for(lambda: any(s.waiting for s in self._spools))
                waiting = [spool for spool in self._spools if spool.waiting]
            pause = self._ship(waiting, pause)
            with self._changed:
                self._spools = [s for s in self._spools if s.error is None and s.path.exists()]
                self._changed.notify_all()

    def _ship(self, spools: list[Spool], pause: float) -> float:
        """Ship what waits; the seconds to pause before the next attempt, 0 after a success."""
        for spool in spools:
            try:
                ship(spool, self._send)
            except Unavailable:
                self._silent_since = self._silent_since or time.monotonic()
                return min(_LONGEST_PAUSE, 2 * pause or 0.25)
            except StoreError as error:
                spool.refuse(error)
        self._silent_since = None
        return 0.0


def ship(spool: Spool, send: Send) -> None:
    """Bring what waits to the store; the file goes when the run has ended.

    Raises Unavailable, after which it may be tried again.
    """
    before = spool.last_shipped
    operations, end = spool.pending()
    if operations:
        try:
            send(spool, operations)
        except Unavailable:
            spool.doubtful, spool.last_shipped = True, before
            raise
    if spool.is_damaged:
        aside = spool.path.with_suffix(".damaged")
        spool.refuse(
            StoreError(f"{aside}: what a run wrote is damaged; it is kept there"), ".damaged"
        )
        tell(
            f"{aside}: what a run wrote is damaged after {counted(len(operations), 'line')}, which "
            "went to the store; put aside, and the run is trained again"
        )
    elif operations and operations[-1]["op"] == "end":
        spool.discard()
    spool.shipped = end


def left_behind(folder: Path) -> Iterator[Spool]:
    """The spools of processes that are gone, oldest first."""
    files = []
    for path in folder.glob("*.jsonl"):
        try:
            files.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # shipped in between
            continue
    for _, path in sorted(files):
        if (spool := Spool.adopt(path)) is not None:
            yield spool


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("op", "name", "status"), str),
    **dict.fromkeys(("params", "tags"), dict),
    "at": int,
    "metrics": list,
}


def _checked(operation: Operation) -> Operation:
    """An operation whose parts are of their kinds. Raises DamagedError for any other."""
    fits = all(isinstance(operation[name], _KINDS[name]) for name in _KINDS if name in operation)
    texts = [operation.get("params", {}), operation.get("tags", {})] if fits else []
    fits &= all(isinstance(value, str) for text in texts for value in text.values())
    metrics = operation.get("metrics", []) if fits else []
    fits &= all(isinstance(one, list) and _is_metric(*one) for one in metrics)
    if not fits or "op" not in operation:
        raise DamagedError("not what a run writes")
    return operation


def _is_metric(*parts: object) -> bool:
    kinds = (str, int | float, int, int)
    return len(parts) == len(kinds) and all(map(isinstance, parts, kinds))


def _disk_error(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path.parent}: cannot be written ({error.strerror}); make room there "
        "or point SCALING_STATE_DIR elsewhere"
    )
