"""One driver a sweep: whoever comes second is told who is first.

On one machine a locked file decides, which the system unlocks however its owner ends. Across
machines a tag of the sweep's own run in the store does, renewed while the driver lives.
"""

import fcntl
import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from scaling.errors import ScalingError, StoreError
from scaling.store.connection.notices import tell
from scaling.store.connection.state_folder import not_writable, state_folder
from scaling.store.run_store import RunStore

_RENEWED_SECONDS = 30.0
_STALE_SECONDS = 120.0


class DriverLock:
    """Held around the work of a driver. Entering raises StoreError where another one is at work."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._file: IO[str] | None = None
        self._done = threading.Event()

    def __enter__(self) -> "DriverLock":
        """Take the lock, from a driver that is gone if need be."""
        self._file = _open(self._store)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            with self._file:
                raise _refusal(self._store, _signature(self._file.read())) from error
        try:
            if elsewhere := _driver_elsewhere(self._store):
                raise _refusal(self._store, elsewhere)
            self._sign()
            self._store.set_driver(json.dumps(_myself()))
        except BaseException:  # Ctrl-C among them: whoever comes next in this process is free
            with suppress(OSError):  # what could not be written is tried once more on closing
                self._file.close()
            raise
        threading.Thread(target=self._renew, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """Let it go."""
        self._done.set()
        with suppress(ScalingError):  # a store that is away frees itself in time
            self._store.set_driver("")
        assert self._file is not None
        self._file.truncate(0)
        self._file.close()

    def _sign(self) -> None:
        """Write into the file whose it is. Raises StoreError on a full disk."""
        assert self._file is not None
        try:
            self._file.truncate(0)
            self._file.write(json.dumps(_myself()))
            self._file.flush()
        except OSError as error:
            raise not_writable(Path(self._file.name), error) from error

    def _renew(self) -> None:
        renewed = time.time()
        while not self._done.wait(_RENEWED_SECONDS):
            with suppress(ScalingError):
                is_late = time.time() - renewed > _STALE_SECONDS  # stopped, asleep, or cut off
                if is_late and (other := _driver_elsewhere(self._store)):
                    tell(f"{_refusal(self._store, other)}; this driver was silent and ends")
                    os.kill(os.getpid(), signal.SIGINT)
                    return
                self._store.set_driver(json.dumps(_myself()))
                renewed = time.time()


def is_driven(store: RunStore) -> bool:
    """Whether a driver of this sweep lives, here or elsewhere."""
    file = _open(store)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        file.close()
    return bool(_driver_elsewhere(store))


def _open(store: RunStore) -> IO[str]:
    path = state_folder("locks") / f"{store.key}.lock"
    try:
        return path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise not_writable(path, error) from error


def _myself() -> dict[str, str | int | float]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "at": time.time()}


def _driver_elsewhere(store: RunStore) -> dict[str, str | int | float]:
    """The driver on another machine that has said lately that it lives; empty for none."""
    driver = _signature(store.driver())
    if not driver or driver["host"] == socket.gethostname():
        return {}  # on this machine the locked file knows better
    return driver if abs(time.time() - float(driver["at"])) < _STALE_SECONDS else {}


def _signature(text: str) -> dict[str, str | int | float]:
    """What a driver has written of itself; empty where that is none, as after a power failure."""
    try:
        found = json.loads(text)
        at = float(found["at"])
        return {"host": str(found["host"]), "pid": int(found["pid"]), "at": at}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}


def _refusal(store: RunStore, driver: dict[str, str | int | float]) -> StoreError:
    return StoreError(
        f'the sweep "{store.sweep}" is being trained by process {driver.get("pid", "?")} on '
        f"{driver.get('host', 'this machine')}; follow it with `scaling status`, or end it first"
    )
