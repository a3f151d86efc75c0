"""Facts about servers that are no tracking server, or lie: nothing lost, and a word in time."""

import threading

import pytest

from benchmarks.faults import servers
from benchmarks.faults.servers import BadServer
from scaling.errors import StoreError
from scaling.records import read_records
from scaling.store.connection import mlflow_client, notices, patience, spool
from scaling.store.connection.patience import answered
from scaling.store.import_runs import import_records
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore

RECORD = {"loss": 2.5, "params": 1e6, "tokens": 2e7, "train_flops": 1.2e14}


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(notices, "_TOLD", set())
    monkeypatch.setattr(spool, "_PATIENCE", 0.1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr(mlflow_client, "_HEALTH_SECONDS", 1.0)


@pytest.mark.parametrize("way", [*servers.SAME, *servers.MANNERS])
def test_what_is_no_tracking_server_is_one_line(way):
    with BadServer(way).serving() as server:
        for ask in (RunStore.find, RunStore.open):
            with pytest.raises(StoreError) as caught:
                ask("past", server.uri)
            assert server.uri in str(caught.value)
            assert str(caught.value).isprintable()


@pytest.mark.parametrize("lie", ["forgets", "refuses", "loses the end"])
def test_a_run_that_a_server_has_not_kept_stays_in_its_spool_and_is_no_finished_run(lie):
    with BadServer(lie).serving() as server:
        store = RunStore.open("past", server.uri).with_parent({})
        store.start_run("abc", "d32", {"width": 32}).finish(RECORD)
        (kept,) = store.spool_folder.glob("*.jsonl")
        assert b"2.5" in kept.read_bytes()


def test_an_import_that_a_server_has_not_kept_says_so_and_names_where_it_is(tmp_path):
    table = tmp_path / "runs.csv"
    table.write_text(servers.TABLE)
    with BadServer("forgets").serving() as server:
        store = RunStore.open("past", server.uri)
        with pytest.raises(StoreError, match="3 runs of 3 cannot be found .*kept in") as caught:
            import_records(read_records(table), store)
        assert str(store.spool_folder) in str(caught.value)
        assert len(list(store.spool_folder.glob("*.jsonl"))) == 3


@pytest.mark.parametrize("lie", ["nothing", "no run id", "another's run id"])
def test_a_run_is_stored_once_it_was_seen_under_its_id(lie, eventually):
    with BadServer(lie).serving() as server:
        store = RunStore.open("past", server.uri).with_parent({})
        store.start_run("abc", "d32", {"width": 32}).finish(RECORD)
        assert eventually(lambda: not list(store.spool_folder.glob("*.jsonl")))
        assert store.states() == {"abc": RunState.FINISHED}
        assert store.facts()["abc"]["tries"] == 1


def test_a_late_answer_is_said_to_be_late_and_one_that_never_comes_is_an_error(monkeypatch, caplog):
    monkeypatch.setattr(patience, "WORD_SECONDS", 0.01)
    late, never = threading.Event(), threading.Event()
    threading.Timer(0.1, late.set).start()
    assert answered("server", late.wait, 300.0)
    assert [record.getMessage() for record in caplog.records] == [
        "note: server: no answer yet; waiting up to 300 s, Ctrl-C ends it"
    ]
    with pytest.raises(StoreError, match="server: does not answer within"):
        answered("server", never.wait, 0.1)
    never.set()
