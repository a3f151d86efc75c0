"""Facts about tracking servers: stopped and started again, many writers, PostgreSQL."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.tracking_server import TrackingServer
from scaling.errors import StoreError
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from scaling.store.seals.kept import keep_seal, read_seals, sealed_names
from tests.docs.blocks import blocks_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]
FACTS = {"width": 32, "seed": 7}
RECORD = {"loss": 2.0 / 3.0, "params": 12_345, "tokens": 1e6, "train_flops": 7.5e10}


@pytest.fixture
def server(tmp_path):
    server = TrackingServer(tmp_path)
    server.start()
    yield server
    server.stop()


def points(first, last):
    return [{"step": step, "train_loss": 3.0 / step} for step in range(first, last)]


def test_a_server_that_is_away_for_a_while_loses_nothing_and_delays_nobody(
    server, state_folder, eventually
):
    store = RunStore.open("served", server.uri)
    writer = store.start_run("abc", "d32", FACTS)
    writer.log_curve(points(1, 50))
    assert writer.flush()
    server.stop()
    (spool,) = (state_folder / "spool" / store.key).iterdir()
    for first in range(50, 1000, 50):
        before = spool.stat().st_size
        writer.log_curve(points(first, first + 50))
        assert spool.stat().st_size > before  # a line of a file: nobody waits for the server
    writer.finish(RECORD)  # returns without it
    other = store.start_run("abd", "d48", FACTS)  # the sweep goes on
    other.finish(RECORD)
    with pytest.raises(StoreError, match="does not answer"):
        store.facts()
    server.start()
    assert eventually(writer.flush) and eventually(other.flush)
    assert store.states() == {"abc": RunState.FINISHED, "abd": RunState.FINISHED}
    curve = store.curves(run_ids=["abc"])
    assert curve["step"].tolist() == list(range(1, 1000))
    assert store.facts()["abc"]["tries"] == 1  # shipped again, not created again


def sealed_document(name, content=""):
    """What writes a document that holds its place in a chain, its name and its time."""

    def document_at(link):
        said = {"name": name, "sealed_at": datetime.now(UTC).isoformat(), "content": content}
        return json.dumps({**asdict(link), **said})

    return document_at


def test_a_seal_passes_through_the_server_and_is_held_to_its_digest(server, tmp_path):
    document = sealed_document("one", "0123456789" * 3000)
    kept = keep_seal("one", document, server.uri)
    second = keep_seal("two", sealed_document("two"), server.uri)
    chain = read_seals("one", server.uri)
    assert chain.named("one").document == kept.document and chain.count == second.number == 2
    assert not chain.limits and not any(seal.limits for seal in chain.seals)
    # the server's own folder, which no client is told
    (kept,) = (one for one in tmp_path.rglob("seal.json") if '"number": 1' in one.read_text())
    kept.write_text(kept.read_text().replace("9", "8", 1))
    with pytest.raises(StoreError, match="was changed after it was sealed"):
        read_seals("one", server.uri).named("one")
    kept.unlink()
    with pytest.raises(StoreError, match='"one" is not read') as caught:
        read_seals("one", server.uri).named("one")
    assert "\n" not in str(caught.value)


def test_a_server_whose_artifacts_cannot_be_written_seals_nothing(server, tmp_path):
    (tmp_path / "mlartifacts").write_text("a file where the folder of artifacts should be")
    with pytest.raises(StoreError, match='"one" is not sealed') as caught:
        keep_seal("one", sealed_document("one"), server.uri)
    assert "\n" not in str(caught.value)
    assert sealed_names(server.uri) == ()


DIES_WHILE_AWAY = """
import os, signal, sys
from scaling.store.run_store import RunStore
store = RunStore(sweep="served", tracking_uri=sys.argv[1], experiment_id=sys.argv[2])
writer = store.start_run("abe", "d64", {"width": 64})
writer.log_curve([{"step": step, "train_loss": 1.0} for step in range(30)])
writer.finish({"loss": 1.5, "params": 1.0, "tokens": 1.0, "train_flops": 6.0})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_dies_while_the_server_is_away_leaves_its_run_to_the_next(server):
    store = RunStore.open("served", server.uri)
    server.stop()
    command = [sys.executable, "-c", DIES_WHILE_AWAY, server.uri, store.experiment_id]
    subprocess.run(command, cwd=Path.cwd(), timeout=300)
    with pytest.raises(StoreError, match="does not answer"):
        store.replay()
    server.start()
    assert store.replay() == 1
    assert store.states() == {"abe": RunState.FINISHED}
    assert len(store.curves()) == 30


def log_two_runs(store, number):
    for run in range(2):
        name = f"{number}-{run}"
        writer = store.start_run(name, name, FACTS)
        for first in range(1, 101, 20):
            writer.log_curve(points(first, first + 20))
        writer.finish(RECORD)
    writer.flush(300)


def log_from_16_processes(uri):
    store = RunStore.open("crowd", uri)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sweeps.launchers.warm"])
    crowd = [context.Process(target=log_two_runs, args=(store, n)) for n in range(16)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    store.replay()
    assert [process.exitcode for process in crowd] == [0] * 16
    assert set(store.states().values()) == {RunState.FINISHED}
    assert len(store.curves()) == 16 * 2 * 100
    assert {facts["tries"] for facts in store.facts().values()} == {1}


def test_16_processes_logging_at_once_to_a_server_lose_nothing(server):
    log_from_16_processes(server.uri)


@pytest.fixture
def start_postgresql():
    """A function: options of initdb -> the port of a PostgreSQL of our own, whose sockets lie in
    the folder that it gives too; run by the user that Debian made for it."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    pytest.importorskip("psycopg")
    if not binaries or os.geteuid() != 0 or shutil.which("runuser") is None:
        pytest.skip("needs Debian's postgresql and root")
    folder = Path("/tmp") / f"scaling-postgres-{os.getpid()}"
    folder.mkdir()
    shutil.chown(folder, "postgres")
    data = str(folder / "data")
    port = free_port()

    def command(*arguments):
        as_user = ["runuser", "-u", "postgres", "--", f"{binaries[-1]}/{arguments[0]}"]
        subprocess.run([*as_user, *arguments[1:]], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def start(*options):
        command("initdb", "-D", data, *options)
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        command("pg_ctl", "-D", data, "-o", settings, "-l", f"{folder}/log", "-w", "start")
        return port, folder

    try:
        yield start
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            command("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def postgresql(start_postgresql):
    """The URI of a PostgreSQL database of our own."""
    port, _ = start_postgresql("-A", "trust", "-U", "scaling")
    return f"postgresql://scaling@127.0.0.1:{port}/postgres"


def test_16_processes_logging_at_once_over_postgresql_lose_nothing(postgresql, tmp_path):
    server = TrackingServer(tmp_path, postgresql)
    try:
        server.start()
        log_from_16_processes(server.uri)
    finally:
        server.stop()
    direct = RunStore.find("crowd", postgresql)  # the same runs by SQL, without the server
    assert len(direct.facts()) == 32
    assert len(direct.curves()) == 3200


def documented(page, first, **here):
    """The code of the block of a page that begins so, with names and ports of here put in."""
    blocks = blocks_of(ROOT / "docs" / f"{page}.md")
    (block,) = (block for block in blocks if block.code.startswith(first))
    assert block.elsewhere == str(Path(__file__).relative_to(ROOT))
    assert all(name in block.code for name in here)
    return re.sub("|".join(here) or "$^", lambda found: here[found[0]], block.code)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@contextmanager
def typed(command, folder, uri, eventually, **environment):
    """A server by a command as it is typed, while the context is entered; it answers at `uri`."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        ["bash", "-ec", command],
        env=os.environ | {"PATH": programs} | environment,
        cwd=folder,
        start_new_session=True,
    )

    def answers():
        with suppress(OSError):
            urllib.request.urlopen(f"{uri}/health").close()
            return True

    try:
        eventually(answers)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_the_tutorials_server_serves_the_runs_of_the_folder(tracking_uri, tmp_path, eventually):
    RunStore.open("tutorial").start_run("abc", "d32", FACTS).finish(RECORD)
    assert eventually(lambda: RunStore.find("tutorial").states())
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = documented("tutorial/first_ladder", "mlflow server", **{"5000": port})
    with typed(command, tmp_path, uri, eventually):
        assert RunStore.find("tutorial", uri).states() == {"abc": RunState.FINISHED}


def test_the_documented_commands_serve_a_store_on_a_postgresql_of_debians_rules(
    start_postgresql, tmp_path, monkeypatch, eventually
):
    port, sockets = start_postgresql("--auth-local=peer", "--auth-host=scram-sha-256")
    at = {"PGHOST": str(sockets), "PGPORT": str(port)}  # else Debian's own would be found
    password, page = "not in any command", "how-to/run_on_a_cluster"
    as_postgres = 'sudo() { shift; runuser -u "$1" -- "${@:2}"; }; cd /\n'
    subprocess.run(
        ["bash", "-ec", as_postgres + documented(page, "sudo -u postgres")],
        input=f"{password}\n{password}\n",
        env=os.environ | at,
        text=True,
        check=True,
        start_new_session=True,  # else createuser asks the terminal
    )
    here = {"SERVER": socket.gethostname(), "5000": free_port()}
    export = documented(page, "export MLFLOW_TRACKING_URI=", **here)
    uri = export.strip().partition("=")[2]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    command = documented(page, "mlflow server", **here, **{"/shared": str(tmp_path)})
    with typed(command, tmp_path, uri, eventually, PGPASSWORD=password, **at):
        RunStore.open("typed").start_run("abc", "d32", FACTS).finish(RECORD)
        assert eventually(lambda: RunStore.find("typed").states() == {"abc": RunState.FINISHED})
        kept = keep_seal("one", sealed_document("one"))
        assert read_seals("one").named("one").document == kept.document
        assert [file.name for file in (tmp_path / "artifacts").rglob("seal.json")]
