"""Facts about the server of the dashboard: what it is started with, and how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import files
from benchmarks.faults.damage import DAMAGES
from scaling.cli import main
from scaling.cli.verbs.pages import dashboard as verb
from scaling.store.run_store import RunStore
from scaling.store.seals.kept import keep_seal
from scaling.tables.reading import Reading
from sweeps.running.driver_lock import DriverLock
from tests.analysis.dashboard.conftest import shown

ROOT = Path(__file__).parents[3]


def test_without_sources_the_page_offers_the_sweeps_of_the_store(tracking_uri, monkeypatch):
    from streamlit.testing.v1 import AppTest

    assert verb.stored_sweeps() == []
    store = RunStore.open("ladder", tracking_uri)
    keep_seal("kept-apart", lambda link: "{}", tracking_uri)
    for number in range(5):
        facts = {"params": 1000 * (number + 1), "planned_steps": 20, "held_out": False}
        writer = store.start_run(f"r{number}", "d16", facts)
        losses = [3.0 - step / 20 + number / 100 for step in range(1, 21)]
        done = losses if number < 4 else losses[:15]
        writer.log_curve([{"step": i + 1, "train_loss": loss} for i, loss in enumerate(done)])
        writer.log_progress({"tokens": 50_000 * len(done), "steps": len(done), "train_flops": 6e9})
        writer.finish({"loss": losses[-1]}) if number < 4 else writer.flush()
    assert verb.stored_sweeps() == ["mlflow:ladder"]
    assert verb.outlooks_of("mlflow:ladder") == {}  # nobody drives it: it was interrupted
    assert verb.outlooks_of("runs.csv") == {}

    def script():
        from analysis.dashboard.app import draw_page
        from analysis.dashboard.registry import PAGES
        from scaling.cli.verbs.pages.dashboard_page import feeds_of

        feeds = feeds_of({"sources": [], "reading": {}, "where": []})
        draw_page(feeds, next(row for row in PAGES if row.name == "sweep"))

    monkeypatch.setattr("scaling.cli.verbs.pages.dashboard_page.seal_standings", lambda: ())
    with DriverLock(store.with_parent({})):
        outlooks = verb.outlooks_of("mlflow:ladder")
        assert outlooks["r4"].line.startswith("75% done, heading for 2.0")
        test = AppTest.from_function(script, default_timeout=120).run()
    assert not test.exception and not test.error
    assert "running 1" in shown(test) and outlooks["r4"].line in shown(test)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store of a sweep and a seal, of which trials damage copies."""
    return files.Store(tmp_path_factory.mktemp("whole"))


def damaged_by(how):
    def damage(path):
        path.write_bytes(how(path.read_bytes(), np.random.default_rng(0)))

    damage.__name__ = how.__name__
    return damage


def as_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [*map(damaged_by, DAMAGES), Path.unlink, as_a_folder], ids=lambda one: one.__name__
)
def test_a_damaged_database_is_one_line_on_the_page(damage, whole, tmp_path):
    from streamlit.testing.v1 import AppTest

    def script():
        from scaling.cli.verbs.pages.dashboard_page import draw

        draw({"sources": [], "reading": {}, "where": []})

    with files.stored_in(tmp_path / "copy"):
        whole.copy(tmp_path / "copy")
        damage(tmp_path / "copy" / "mlflow.db")
        test = AppTest.from_function(script, default_timeout=300).run()
    assert not test.exception
    lines = [error.value.replace("\\", "") for error in test.error]
    assert len(lines) <= 1 and not any("\n" in line for line in lines)
    if not lines:  # nothing that is asked for was hit, nothing is left, or its row says so
        said = ("12 finished", "No sweep yet", "set MLFLOW_TRACKING_URI")
        assert any(words in shown(test) for words in said)
    else:
        assert "mlflow.db" in lines[0] and "set MLFLOW_TRACKING_URI" in lines[0]


def test_a_source_that_cannot_be_read_is_one_line_before_anything_is_served(tmp_path, capsys):
    assert main(["dashboard", str(tmp_path / "gone.csv")]) == 2
    err = capsys.readouterr().err
    assert "no such file" in err and len(err.strip().splitlines()) == 1


def test_without_streamlit_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(verb.importlib.util, "find_spec", lambda name: None)
    assert main(["dashboard"]) == 2
    assert "scaling-forecast[dashboard]" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", "--port", str(port)]) == 2
    assert "choose another --port" in capsys.readouterr().err


def test_the_server_takes_the_place_of_the_command(runs, monkeypatch, capsys):
    started = []
    monkeypatch.setattr(verb.os, "execv", lambda program, words: started.append(words))
    assert main(["dashboard", runs, "--where", "params > 0", "--port", "0"]) == 0
    (words,) = started
    assert words[1:3] == ["-m", "scaling.cli.verbs.pages.dashboard_server"]
    assert Path(words[3]).is_file()
    request = json.loads(words[-1])
    assert (request["sources"], request["where"]) == ([runs], ["params > 0"])
    assert Reading(**request["reading"]) == Reading()
    assert words[words.index("--browser.gatherUsageStats") + 1] == "false"


@pytest.mark.slow
def test_the_server_answers_on_this_machine_and_ends_on_a_signal(runs, tmp_path, eventually):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "scaling", "dashboard", runs, "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        assert eventually(lambda: _answer(f"{address}/_stcore/health")) == "ok"
        assert re.search("<title>.*</title>", eventually(lambda: _answer(address)))
        assert _upgraded(port, host=f"127.0.0.1:{port}", origin=address) == 101
        assert _upgraded(port, host="evil.example", origin="http://evil.example") == 403
        assert _upgraded(port, host=f"127.0.0.1:{port}", origin="http://evil.example") == 403
    finally:
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=300)
    assert process.returncode is not None
    assert f"dashboard: {address}" in messages


def _answer(address):
    """What the address answers; nothing while it does not."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def _upgraded(port, host, origin):
    """The status by which the page's stream answers a browser that came by these names."""
    lines = (
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}",
        f"Origin: {origin}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(stream.recv(1024).split()[1])
