"""Facts about the run store, on a real MLflow SQLite database and a real MLflow server."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from scaling.errors import ConfigError, StoreError
from scaling.inputs.names import SEALS
from scaling.store.connection.mlflow_client import connect
from scaling.store.connection.tracking_uri import resolve_tracking_uri
from scaling.store.experiments import opened_experiment
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from tests.conformance.memory_store import MemoryStore
from tests.conformance.store import StoreContract

FACTS = {"width": 32, "depth": 1, "seed": 7, "recipe": "tiny/1"}
RECORD = {"loss": 2.0 / 3.0, "params": 12_345, "tokens": 1e6, "train_flops": 7.5e10}


@pytest.fixture(scope="session")
def database(tmp_path_factory, new_store):
    """One database for all tests."""
    uri = new_store(tmp_path_factory.mktemp("store"))
    RunStore.open("first", uri)
    return uri


@pytest.fixture
def store(database, sweep_name):
    return RunStore.open(sweep_name, database)


def test_a_finished_run_is_a_row_of_the_records_with_every_digit(store):
    writer = store.start_run("abc", "d32", FACTS)
    writer.log_curve([{"step": step, "train_loss": 3.0 - step / 10} for step in range(5)])
    writer.finish(RECORD)
    records = store.read_records()
    row = records.table.iloc[0]
    assert row["loss"] == RECORD["loss"]
    assert (row["run_id"], row["status"], row["recipe"]) == ("abc", "finished", "tiny/1")
    assert len(records.usable("params", "tokens")) == 1


def test_an_experiment_says_in_mlflow_its_kind_and_its_own_run_is_no_training_run(store):
    experiment = connect(store.tracking_uri).get_experiment(store.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    store.with_parent({"runs": 1}).start_run("abc", "d32", FACTS).finish(RECORD)
    assert store.read_records().table["run_id"].tolist() == ["abc"]


def test_the_pages_of_mlflow_say_who_made_a_run_and_with_what(store, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    store.with_parent({"runs": 1}).start_run("abc", "d32", FACTS).finish(RECORD)
    for run in connect(store.tracking_uri).search_runs([store.experiment_id]):
        assert run.data.tags["mlflow.user"] == "ada"
        assert run.data.tags["mlflow.source.name"].startswith("scaling ")


def test_facts_that_are_added_after_the_end_reach_every_reader(store, monkeypatch):
    monkeypatch.setattr("scaling.store.tags.cache._WORTH_WRITING", 1)
    for name in ("abc", "other"):
        store.start_run(name, "d32", FACTS).finish(RECORD)
    assert "health" not in store.facts()["abc"]  # which is in the cache from here on
    store.add_facts("abc", {"health": "soft", "lr_gap": 0.01})
    facts = store.facts()
    assert facts["abc"]["health"] == "soft"
    assert facts["abc"] == facts["other"] | {"run_id": "abc", "health": "soft", "lr_gap": 0.01}
    assert facts["abc"]["status"] == "finished"
    assert facts["abc"]["tries"] == 1
    assert "health" not in facts["other"]


def test_a_diverged_run_keeps_its_reason_and_stays_out_of_fits(store):
    store.start_run("abc", "d32", FACTS).fail(RunState.DIVERGED, "loss is nan at step 3")
    records = store.read_records()
    assert records.table["reason"].tolist() == ["loss is nan at step 3"]
    assert records.usable().dropped_by_reason == {"diverged": 1}


def test_a_settled_run_is_killed_to_mlflow_and_has_a_forecast_and_no_loss(store):
    writer = store.start_run("abc", "d32", FACTS)
    writer.log_facts({"forecast_loss": 2.5, "share_done": 0.8})
    writer.fail(RunState.SETTLED, "80% done, heading for 2.5")
    row = store.read_records().table.iloc[0]
    assert (row["status"], row["forecast_loss"]) == ("settled", 2.5) and math.isnan(row["loss"])
    assert store.read_records().usable().dropped_by_reason == {"settled": 1}
    (told,) = connect(store.tracking_uri).search_runs([store.experiment_id])
    assert told.info.status == "KILLED"


def test_a_curve_longer_than_one_batch_is_stored_whole(store):
    writer = store.start_run("abc", "d32", FACTS)
    writer.log_curve([{"step": s, "train_loss": 1.0, "tokens": 64.0 * s} for s in range(1200)])
    assert writer.flush()
    assert store.curves()["step"].tolist() == list(range(1200))


def test_a_curve_reads_back_by_run_and_step(store):
    for run_id in ("abc", "abd"):
        writer = store.start_run(run_id, run_id, FACTS)
        writer.log_curve([{"step": step, "train_loss": 3.0 - step} for step in range(3)])
        assert writer.flush()
    curves = store.curves()
    assert curves["run_id"].tolist() == ["abc"] * 3 + ["abd"] * 3
    assert curves["train_loss"].tolist() == [3.0, 2.0, 1.0] * 2


def test_sql_and_the_client_tell_the_same_of_a_sweep(store, monkeypatch):
    store.start_run("abc", "d32", FACTS).finish(RECORD)
    writer = store.start_run("abd", "d48", FACTS)
    writer.log_curve([{"step": 1, "train_loss": 2.0}])
    assert writer.flush()
    by_sql = (store.facts(), store.curves().to_dict())
    monkeypatch.setattr("scaling.store.run_store.speaks_sql", lambda uri: False)
    monkeypatch.setattr("scaling.store.tags.cache.speaks_sql", lambda uri: False)
    assert (store.facts(), store.curves().to_dict()) == by_sql


def test_a_loss_that_is_not_a_number_does_not_break_the_record(store):
    store.start_run("abc", "d32", FACTS).finish(RECORD | {"mfu": math.nan})
    assert math.isnan(store.read_records().column("mfu")[0])


def test_an_unknown_sweep_is_answered_with_the_nearest_name(database):
    with pytest.raises(StoreError, match='did you mean "first"'):
        RunStore.find("frist", database)


def test_an_unknown_sweep_that_is_near_none_is_answered_with_those_that_there_are(tracking_uri):
    RunStore.open("first")
    opened_experiment(SEALS, resolve_tracking_uri())
    with pytest.raises(StoreError, match='there are: "first"$'):
        RunStore.find("nosuch")


@pytest.mark.parametrize("name", ["../up", "a/b", "", "a\n", "\x1b[31m", "x" * 101, SEALS])
def test_what_is_no_name_of_a_sweep_opens_no_store(tmp_path, name):
    with pytest.raises(ConfigError, match="the name of the sweep"):
        RunStore.open(name, f"sqlite:///{tmp_path}/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()


def test_an_experiment_that_holds_something_else_is_not_written_to(database, store):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=database)
    client.create_run(client.create_experiment("somebodys-work"))
    with pytest.raises(StoreError, match="choose another name"):
        RunStore.open("somebodys-work", database)


def test_a_sweep_without_runs_says_how_to_start_it(store):
    with pytest.raises(StoreError, match="scaling run CONFIG"):
        store.read_records()


def test_a_server_that_does_not_answer_is_one_line_without_credentials():
    with pytest.raises(StoreError, match="does not answer") as caught:
        RunStore.open("sweep", "http://user:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)


def test_the_default_store_is_a_database_in_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert resolve_tracking_uri() == "http://127.0.0.1:5000"


@pytest.fixture
def server(tmp_path):
    """A real `mlflow server` on the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    command += ["--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=300)


class TestSqlite(StoreContract):
    """On the store of every other test here."""


@pytest.mark.slow
class TestServer(StoreContract):
    @pytest.fixture
    def store(self, server):
        return RunStore.open("served", server)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()


@pytest.mark.slow
def test_a_real_mlflow_server_holds_the_same_record(server):
    store = RunStore.open("served", server)
    writer = store.start_run("abc", "d32", FACTS)
    writer.log_curve([{"step": step, "train_loss": 3.0} for step in range(5)])
    writer.finish(RECORD)
    assert RunStore.find("served", server).read_records().column("loss")[0] == RECORD["loss"]
