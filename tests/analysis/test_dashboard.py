"""Facts about the dashboard: it shows what the calls behind it return, a mistake in one line."""

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
import pandas as pd
import pytest

from benchmarks.faults import files
from benchmarks.faults.damage import DAMAGES
from scaling.cli import main
from scaling.cli.verbs import dashboard as verb
from scaling.store.run_store import RunStore
from scaling.store.seals.kept import keep_seal
from scaling.tables.reading import Reading
from sweeps.running.driver_lock import DriverLock
from tests.grids import grid_of_runs

ROOT = Path(__file__).parents[2]
without_streamlit = pytest.mark.skipif(
    verb.importlib.util.find_spec("streamlit") is None,
    reason="needs the extra `dashboard` (Streamlit)",
)
# Streamlit warns of its own parts when a page runs without a browser.
quiet = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A ladder of 16 runs, one of them held out, one failed, one still training."""
    table = grid_of_runs(4)
    table["run_id"] = [f"r{i}" for i in range(16)]
    table["status"], table["reason"] = "finished", None
    table.loc[3, ["status", "loss", "reason"]] = ["running", None, None]
    table.loc[5, ["status", "loss", "reason"]] = ["failed", None, "out of memory"]
    table["held_out"] = table["run_id"] == "r15"
    path = tmp_path_factory.mktemp("dashboard") / "runs.csv"
    table.to_csv(path, index=False)
    return str(path)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    if verb.importlib.util.find_spec("streamlit") is not None:
        import analysis.dashboard

        monkeypatch.setattr(analysis.dashboard, "BOOTSTRAP", 20)


def page(sources, **feeds):
    """The page as Streamlit draws it, without a server."""
    from streamlit.testing.v1 import AppTest

    def script(sources, feeds):
        import pandas as pd

        from analysis.dashboard import Feeds, show_dashboard
        from analysis.evaluation.sealed import Seal, SealedTarget
        from analysis.evaluation.verdicts import SealStanding, Verdict
        from analysis.intervals import Interval
        from scaling.errors import StoreError
        from scaling.records import read_records

        def seals():
            if feeds.get("no_store"):
                raise StoreError("the store does not answer; start it")
            target = SealedTarget(
                at={"train_flops": 1e21},
                asked=("train_flops",),
                median=2.5,
                intervals={0.9: Interval(2.4, 2.6)},
                decades_beyond=1.0,
            )
            seal = Seal(
                name="bold",
                sealed_at="2026-01-01T00:00:00+00:00",
                source="runs.csv",
                data_hash="h",
                seen_runs=(),
                recipe="",
                code_version="1",
                law="auto",
                targets=(target,),
            )
            verdict = Verdict(
                seal="bold",
                at=target.at,
                run="r9",
                predicted=2.5,
                measured=2.7,
                error=0.077,
                inside={0.9: False},
            )
            return (SealStanding(seal=seal, verdicts=(verdict,), limits=()),)

        curves = pd.DataFrame(
            [{"run_id": "r0", "step": s, "train_loss": 3 - s / 10} for s in range(1, 9)]
        )
        show_dashboard(
            Feeds(
                sources=lambda: sources,
                load=read_records,
                curves=lambda source: curves,
                outlooks=lambda source: {"r3": "40% done, heading for 2.5"},
                seals=seals,
            )
        )

    test = AppTest.from_function(script, args=(sources, feeds), default_timeout=120)
    return test.run()


HOSTILE = "<script>alert(1)</script>**b** [x](javascript:alert(1)) $x$ :red[r] \x1b[31m"


@quiet
@without_streamlit
def test_names_and_cells_of_a_table_are_text_on_the_page(runs, tmp_path):
    table = pd.read_csv(runs)
    table["run_id"] = [f"{HOSTILE}{i}" for i in range(len(table))]
    table["reason"] = HOSTILE
    path = tmp_path / "<b>runs.csv"
    table.to_csv(path, index=False)
    test = page([str(path)])
    assert not test.exception
    assert "alert" in shown(test)
    marked = [
        one.value for kind in ("title", "markdown", "info", "warning") for one in test.get(kind)
    ]
    assert not any("<" in text.replace("\\<", "") for text in marked)
    assert not any("<script" in one.proto.body for one in test.get("html"))


def shown(test):
    """Everything on the page as one text."""
    kinds = ("title", "markdown", "info", "warning", "error", "caption", "code", "metric")
    texts = [
        str(getattr(one, "label", "")) + " " + str(one.value) for k in kinds for one in test.get(k)
    ]
    texts += [one.proto.body for one in test.get("html")]
    return "\n".join(texts)


@without_streamlit
@quiet
def test_the_page_shows_standing_forecast_health_backtests_and_seals(runs):
    from analysis.report import gather_findings
    from analysis.report.tables import forecast_table, held_out_table
    from scaling.records import read_records

    test = page([runs])
    assert not test.exception and not test.error
    text = shown(test)
    assert [tab.label for tab in test.tabs] == [
        "Standing",
        "Forecast",
        "Rung health",
        "Was it right?",
        "Sealed forecasts",
    ]
    assert "finished 14" in text and "running 1" in text and "failed 1" in text
    assert "40% done, heading for 2.5" in text and "out of memory" in text
    findings = gather_findings(read_records(runs), bootstrap=20)
    for table in (forecast_table(findings), held_out_table(findings)):
        for cell in table.rows[0]:
            assert f"<td>{cell}</td>" in text
    assert text.count("data:image/svg+xml") >= 4
    assert "says nothing of the health" in text.replace("\\", "")
    assert "bold" in text and "OUTSIDE" in text
    assert "0 of 1 inside the 90% interval" in text.replace("\\", "")


@without_streamlit
@quiet
def test_a_further_point_is_answered_as_the_command_line_answers(runs, capsys):
    test = page([runs])
    test.text_input[0].input("3e19").run()
    assert main(["forecast", runs, "--flops", "3e19"]) == 0
    assert test.code[0].value.strip() == capsys.readouterr().out.strip()
    test.text_input[0].input("a lot").run()
    assert "is not a number" in test.error[0].value


@without_streamlit
@quiet
def test_an_empty_store_and_one_that_is_away_are_told_in_one_line(runs, tmp_path):
    empty = page([])
    assert not empty.exception and "No sweep yet" in shown(empty)
    away = page([runs], no_store=True)
    assert not away.exception
    assert [error.value.replace("\\", "") for error in away.error] == [
        "the store does not answer; start it"
    ]
    gone = page([str(tmp_path / "gone.csv")])
    assert not gone.exception
    assert "no such file" in gone.error[0].value


@without_streamlit
@quiet
def test_runs_that_have_just_begun_have_a_standing_and_nothing_else(tmp_path):
    path = tmp_path / "young.csv"
    path.write_text("run_id,params,tokens,loss,status\na,1e6,0,,running\n")
    test = page([str(path)])
    assert not test.exception
    assert "no usable run" in shown(test) and "running 1" in shown(test)


@without_streamlit
@quiet
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
        from scaling.cli.dashboard_page import draw

        draw({"sources": [], "reading": {}, "where": []})

    monkeypatch.setattr("scaling.cli.dashboard_page.seal_standings", lambda: ())
    with DriverLock(store.with_parent({})):
        outlooks = verb.outlooks_of("mlflow:ladder")
        assert outlooks["r4"].startswith("75% done, heading for 2.0")
        test = AppTest.from_function(script, default_timeout=120).run()
    assert not test.exception and not test.error
    assert "running 1" in shown(test) and outlooks["r4"] in shown(test)


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
@without_streamlit
@quiet
@pytest.mark.parametrize(
    "damage", [*map(damaged_by, DAMAGES), Path.unlink, as_a_folder], ids=lambda one: one.__name__
)
def test_a_damaged_database_is_one_line_on_the_page(damage, whole, tmp_path):
    from streamlit.testing.v1 import AppTest

    def script():
        from scaling.cli.dashboard_page import draw

        draw({"sources": [], "reading": {}, "where": []})

    with files.stored_in(tmp_path / "copy"):
        whole.copy(tmp_path / "copy")
        damage(tmp_path / "copy" / "mlflow.db")
        test = AppTest.from_function(script, default_timeout=300).run()
    assert not test.exception
    lines = [error.value.replace("\\", "") for error in test.error]
    assert len(lines) <= 1 and not any("\n" in line for line in lines)
    if not lines:  # nothing that is asked for was hit, or nothing is left
        assert "12 runs are used" in shown(test) or "No sweep yet" in shown(test)
    else:
        assert "mlflow.db" in lines[0] and "set MLFLOW_TRACKING_URI" in lines[0]


def test_a_source_that_cannot_be_read_is_one_line_before_anything_is_served(tmp_path, capsys):
    if verb.importlib.util.find_spec("streamlit") is None:
        pytest.skip("needs the extra `dashboard` (Streamlit)")
    assert main(["dashboard", str(tmp_path / "gone.csv")]) == 2
    err = capsys.readouterr().err
    assert "no such file" in err and len(err.strip().splitlines()) == 1


def test_without_streamlit_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(verb.importlib.util, "find_spec", lambda name: None)
    assert main(["dashboard"]) == 2
    assert "scaling-forecast[dashboard]" in capsys.readouterr().err


@without_streamlit
def test_a_port_that_is_taken_is_one_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", "--port", str(port)]) == 2
    assert "choose another --port" in capsys.readouterr().err


@without_streamlit
def test_the_server_takes_the_place_of_the_command(runs, monkeypatch, capsys):
    started = []
    monkeypatch.setattr(verb.os, "execv", lambda program, words: started.append(words))
    assert main(["dashboard", runs, "--where", "params > 0", "--port", "0"]) == 0
    (words,) = started
    assert words[1:4] == ["-m", "streamlit", "run"]
    assert Path(words[4]).is_file()
    request = json.loads(words[-1])
    assert (request["sources"], request["where"]) == ([runs], ["params > 0"])
    assert Reading(**request["reading"]) == Reading()
    assert words[words.index("--browser.gatherUsageStats") + 1] == "false"


@pytest.mark.slow
@without_streamlit
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
