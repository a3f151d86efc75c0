"""The SQLite file of the run store: made in one piece, and looked at before it is used.

MLflow makes its tables one by one, so a kill in between, or a second process, leaves a database
that it can neither use nor mend. Here they are made in a file beside the place, under a lock, and
the file is renamed when it is whole. One that MLflow has left half-made holds no experiment and no
run; it is put aside as `.half-made` and made anew.
"""

import fcntl
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from scaling.errors import StoreError
from scaling.store.connection.notices import tell
from scaling.store.connection.patience import WORD_SECONDS, answered
from scaling.store.connection.state_folder import not_writable, state_folder
from scaling.tables.notes import printable

BUSY_SECONDS = 8.0  # how long a question waits for another process that writes
_MAKING_SECONDS = 600.0  # some take a moment on a busy machine, and more on a slow disk
_SETTLED_SECONDS = 3.0  # without a change: whoever began to make the file makes it no more
_CHECKED_WHOLE = 32 << 20  # bytes of a file that is looked through, page by page, once a process
_HEADER = b"SQLite format 3\0"
_JOURNALS = ("-journal", "-wal", "-shm")
_ELSEWHERE = "or set MLFLOW_TRACKING_URI to another store"
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_CHECKED: set[Path] = set()
_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


class Content(Enum):
    """What a database file holds."""

    NOTHING = "nothing"  # it is missing or has no byte: nothing was ever stored
    HALF_MADE = "half-made"  # MLflow's tables, not all of them, and nothing in them
    WHOLE = "whole"


def sqlite_file(uri: str) -> Path | None:
    """The file of a `sqlite:///` address; None for servers, other databases and memory."""
    path = uri.removeprefix("sqlite:///")
    return None if path in (uri, "", ":memory:") else Path(path)


def content_of(path: Path) -> Content:
    """What the file holds. StoreError, in one line, where that cannot be told."""
    if _kind(path) is Content.NOTHING:
        return Content.NOTHING
    try:
        with opened(path) as connection:
            _require_undamaged(path, connection)
            tables = {
                name
                for (name,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                )
            }
            kept = any(
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
                for table in ("experiments", "runs", "registered_models")
                if table in tables
            )
    except sqlite3.Error as error:
        raise trouble(path, error) from error
    if tables - {"alembic_version"} and "experiments" not in tables:
        raise StoreError(
            f"{path}: a database, but not one of MLflow's (its first table is "
            f"{printable(min(tables))}); set MLFLOW_TRACKING_URI to another store"
        )
    if kept and "alembic_version" not in tables:
        raise StoreError(
            f"{path}: holds runs, but lacks tables of MLflow's; restore a backup, {_ELSEWHERE}"
        )
    return Content.WHOLE if kept else Content.HALF_MADE


def _require_undamaged(path: Path, connection: sqlite3.Connection) -> None:
    """Look through a small file once: what is torn in it may lie where no question comes."""
    if path in _CHECKED or path.stat().st_size > _CHECKED_WHOLE:
        return
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise StoreError(
            f"{path}: damaged ({printable(str(found).strip(), 120)}); restore a backup, move it "
            f"away, {_ELSEWHERE}"
        )
    _CHECKED.add(path)


def _kind(path: Path) -> Content:
    """Whether there is anything to ask, seen from the first bytes of the file."""
    try:
        if path.is_dir():
            raise StoreError(f"{path}: is a folder, not a database; move it away, {_ELSEWHERE}")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return Content.NOTHING
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read ({error.strerror}); give this user access, {_ELSEWHERE}"
        ) from error
    if not size:
        return Content.NOTHING
    if not head.startswith(_HEADER) or len(head) < 100:
        raise StoreError(
            f"{path}: is no SQLite database; restore a backup, move it away, {_ELSEWHERE}"
        )
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    is_current = head[24:28] == head[92:96]  # else the number of pages is of an older SQLite
    journals = [Path(f"{path}{end}") for end in _JOURNALS[:2]]
    if is_current and not any(journal.exists() for journal in journals):
        told = pages * (65536 if page == 1 else page)
        if size < told:
            raise StoreError(
                f"{path}: cut short ({size} bytes of {told}); restore a backup, move it away, "
                f"{_ELSEWHERE}"
            )
    return Content.WHOLE


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads. After a kill in the middle of a write the file must first be put
    right, for which SQLite asks to be allowed to write."""
    name = quote(str(path))
    with closing(sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as c:
        try:
            c.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise
        else:
            c.text_factory = _text
            yield c
            return
    with closing(sqlite3.connect(f"file:{name}?mode=rw", uri=True, timeout=BUSY_SECONDS)) as c:
        c.text_factory = _text
        yield c


def _text(raw: bytes) -> str:
    """A damaged cell is a damaged record, which its digest tells, and no error of the database."""
    return raw.decode(errors="replace")


def trouble(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite says of a file, in one line with what to do."""
    said = printable(error, 120)
    if (code := _code(error)) in _LOCKED:
        return StoreError(
            f"{path}: locked by another process for {BUSY_SECONDS:.0f} s; end it (`fuser {path}` "
            f"names it) or wait, {_ELSEWHERE}"
        )
    if code == sqlite3.SQLITE_READONLY:
        return _read_only(path)
    if code in _DISK:
        return StoreError(f"{path}: {said}; make room and check its folder, {_ELSEWHERE}")
    return StoreError(f"{path}: damaged ({said}); restore a backup, move it away, {_ELSEWHERE}")


def _read_only(path: Path) -> StoreError:
    return StoreError(
        f"{path}: read-only, it or its folder; make both writable for this user, {_ELSEWHERE}"
    )


def is_of_the_file(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, and not what it was asked."""
    known = (*_LOCKED, *_DAMAGED, *_DISK, sqlite3.SQLITE_READONLY)
    return _code(error) in known or not isinstance(error, sqlite3.OperationalError)


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # without its extension


def require_database(path: Path, make: Callable[[str], None]) -> None:
    """Have a whole database in this place that can be written; `make` makes one at an address.

    Raises StoreError, in one line, where there is something else, or no room for one.
    """
    if content_of(path) is not Content.WHOLE:
        with _making(path):
            _await_settled(path)
            if (found := content_of(path)) is not Content.WHOLE:
                _make(path, found, make)
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise _read_only(path)
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as c:
            c.execute("BEGIN IMMEDIATE")
            c.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise trouble(path, error) from error


def _await_settled(path: Path) -> None:
    """Let whoever makes the file without our lock, as `mlflow server` does, come to an end."""
    with suppress(OSError):
        while (age := time.time() - path.stat().st_mtime) < _SETTLED_SECONDS and age >= 0:
            if content_of(path) is Content.WHOLE:
                return
            time.sleep(0.1)


def _make(path: Path, found: Content, make: Callable[[str], None]) -> None:
    unfinished = path.with_name(f"{path.name}.making")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(unfinished)
        unfinished.touch()
        answered(
            f"{path} (its tables are being made)",
            lambda: make(f"sqlite:///{unfinished}"),
            _MAKING_SECONDS,
        )
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        if path.exists():
            if found is Content.HALF_MADE:
                tell(f"{path}: its making was cut off; put aside as .half-made, and made anew")
            else:
                tell(f"{path}: was an empty file; made anew")
            path.replace(path.with_name(f"{path.name}.half-made"))
        for end in _JOURNALS:  # of a database that is gone; SQLite would take it for this one's
            Path(f"{path}{end}").unlink(missing_ok=True)
        unfinished.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path}: no database can be made there ({error.strerror}); make room and check its "
            f"folder, {_ELSEWHERE}"
        ) from error
    finally:
        with suppress(OSError):
            _remove(unfinished)


def _remove(path: Path) -> None:
    for end in ("", *_JOURNALS):
        Path(f"{path}{end}").unlink(missing_ok=True)


@contextmanager
def _making(path: Path) -> Iterator[None]:
    """Wait until no other process of this machine makes this database."""
    name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    lock = state_folder("locks") / f"{name}.database"
    try:
        file = lock.open("a")
    except OSError as error:
        raise not_writable(lock, error) from error
    began = time.monotonic()
    with file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                waited = time.monotonic() - began
            if waited > WORD_SECONDS:
                tell(f"{path}: another process is making it; waiting, Ctrl-C ends it")
            if waited > _MAKING_SECONDS:
                raise StoreError(f"{path}: another process has been making it for too long; end it")
            time.sleep(0.05)
        yield
