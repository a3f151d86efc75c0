"""Facts about the commands for Ray in the documents: typed as they stand, they train a sweep."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from tests.docs.blocks import blocks_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "how-to" / "run_on_a_cluster.md"


def commands() -> list[str]:
    """Those that the page gives, without their comments."""
    here = str(Path(__file__).relative_to(ROOT))
    (block,) = (block for block in blocks_of(PAGE) if block.elsewhere == here)
    return [re.sub(r"\s+#.*", "", line) for line in block.code.splitlines()]


class Shells:
    """Shells of one person on one machine that poses as several: a home, a folder, nothing set."""

    def __init__(self, home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.store = f"sqlite:///{home}/mlflow.db"
        self.home = home
        self.environment = kept | {"HOME": str(home), "RAY_TMPDIR": f"{home}/ray"}
        self.environment |= {"PATH": programs, "PYTHONPATH": str(ROOT)}
        self.environment |= {"MLFLOW_TRACKING_URI": self.store, "OMP_NUM_THREADS": "1"}

    def type(self, *lines: str) -> str:
        """What a new shell prints to these lines; CalledProcessError where one fails."""
        with (self.home / "typed.log").open("w+") as log:  # a pipe would stay open in Ray's nodes
            done = subprocess.run(
                ["bash", "-e", "-c", "\n".join(lines)],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            log.seek(0)
            printed = log.read()
        assert done.returncode == 0, printed
        return printed

    def processes(self) -> list[int]:
        """All that was started from these shells and still runs."""
        mark, found = f"RAY_TMPDIR={self.home}/ray".encode(), []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        """End all of them."""
        while found := self.processes():
            for process in found:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


@pytest.fixture
def shells():
    """Shells in a home with a short path, which Ray's sockets need."""
    pytest.importorskip("ray", reason="the ray extra is not installed")
    with socket.socket() as probe:
        if not probe.connect_ex(("127.0.0.1", 6379)):
            pytest.skip("something else has the port of Ray's head")
    shells = Shells(Path(tempfile.mkdtemp(prefix="ray", dir="/tmp")))
    try:
        yield shells
    finally:
        shells.end()
        shutil.rmtree(shells.home, ignore_errors=True)


def test_the_documented_commands_start_two_nodes_and_train_a_sweep(shells, write_config):
    config = write_config("typed", {"tokens": 8000}, workers=2)
    shutil.copy(config, shells.home / "ladder.yaml")
    token, mode, head, node, run = commands()
    assert "ray get-auth-token" in token and mode.startswith("export ")
    shells.type(token)
    shells.type(mode, head)
    shells.type(mode, node.replace("HEAD", "127.0.0.1"))
    status = shells.type(mode, "ray status")
    assert len(re.findall(r"^ 1 node_", status, re.MULTILINE)) == 2, status
    shells.type(mode, run)
    states = RunStore.find("typed", shells.store).states()
    assert list(states.values()) == [RunState.FINISHED] * 2
    elsewhere = f"{run} --set launch.address=127.0.0.1:6379"
    shells.type(mode, elsewhere)
    refused = shells.type(f"{elsewhere} 2>&1 || test $? = 2")  # without the mode
    assert "takes nobody without its token" in refused
    assert mode in refused
