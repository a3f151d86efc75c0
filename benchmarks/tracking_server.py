"""A real `mlflow server` on the loopback interface that can be stopped and started."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

_TRIES = 3  # another process may hold its port for a moment
_PATIENCE = 900  # seconds for one that runs and does not answer


class TrackingServer:
    """One worker process over a SQLite database of the folder, or over the database given."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder, self._log = folder, folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._database = database or f"sqlite:///{folder}/mlflow.db"
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return when it answers, however busy the machine is; an error where it ends instead."""
        for _ in range(_TRIES):
            self.stop()
            self.begin()
            if self.answers():
                return
        raise RuntimeError(f"the server does not start: {self._log.read_text()[-2000:]}")

    def answers(self) -> bool:
        """Whether it answers, which is waited for; not where its process has ended."""
        deadline = time.monotonic() + _PATIENCE
        while self._process is not None and self._process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return True
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        return False

    def begin(self) -> None:
        """Start it and wait for nothing."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--backend-store-uri", self._database, "--port", str(self._port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--workers", "1"],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it at once, as a machine does that fails."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
