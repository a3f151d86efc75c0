"""Facts about the cache of ended runs: it saves questions, and never an answer that has changed."""

import pytest

from scaling.store import experiments as store_experiments
from scaling.store.connection.digests import with_digest
from scaling.store.connection.sql_reads import LayoutError, run_tags
from scaling.store.connection.state_folder import state_folder
from scaling.store.experiments import sweep_ids
from scaling.store.one_run import run_writer
from scaling.store.one_run.run_state import RunState
from scaling.store.one_run.run_writer import now_ms
from scaling.store.run_store import RunStore
from scaling.store.tags import cache as store_cache

RECORD = {"loss": 2.0, "params": 1e4, "tokens": 1e6, "train_flops": 7.5e10}


@pytest.fixture(scope="module")
def database(tmp_path_factory, new_store):
    uri = new_store(tmp_path_factory.mktemp("store"))
    RunStore.open("first", uri)
    return uri


@pytest.fixture
def store(database, sweep_name, monkeypatch):
    monkeypatch.setattr(store_cache, "_WORTH_WRITING", 1)
    return RunStore.open(sweep_name, database)


@pytest.fixture
def asked(monkeypatch):
    """The runs whose tags each question to the database was about; None for all."""
    questions = []

    def tags_of(uri, experiment_id, prefix, runs=None):
        if prefix != store_cache.EXCLUDED:
            questions.append(runs)
        return run_tags(uri, experiment_id, prefix, runs)

    monkeypatch.setattr(store_cache, "run_tags", tags_of)
    return questions


def train(store, *names):
    for name in names:
        store.start_run(name, name, {"width": 32}).finish(RECORD)


def test_only_runs_that_have_not_ended_are_asked_for_again(store, asked):
    train(store, "a", "b", "c")
    everything = store.facts()
    running = store.start_run("d", "d", {"width": 32})
    assert running.flush()
    assert set(store.facts()) == {"a", "b", "c", "d"}
    (unknown,) = asked[1]  # of four runs, one
    assert asked[0] is None
    assert unknown == store.tries()[0].store_run_id
    assert {name: store.facts()[name] for name in "abc"} == everything


def test_a_run_that_ends_is_read_as_ended(store):
    train(store, "a")
    running = store.start_run("b", "b", {"width": 32})
    assert running.flush()
    assert store.states()["b"] is RunState.RUNNING
    running.finish(RECORD)
    assert store.states()["b"] is RunState.FINISHED
    assert store.facts()["b"]["loss"] == RECORD["loss"]


def mlflow_id(store, name):
    return next(one.store_run_id for one in store.tries() if one.tags["scaling.run_id"] == name)


@pytest.mark.parametrize("way", ["database", "server"])
def test_what_a_person_changes_in_mlflow_s_pages_is_seen(store, way, monkeypatch):
    """A run deleted there is gone, an exclusion set there counts, and can be taken back."""
    from mlflow.tracking import MlflowClient

    if way == "server":  # asked by MLflow's client, as a tracking server is
        monkeypatch.setattr(store_cache, "speaks_sql", lambda uri: False)
    train(store, "a", "b", "c")
    assert set(store.states().values()) == {RunState.FINISHED}
    client = MlflowClient(tracking_uri=store.tracking_uri)
    excluded = mlflow_id(store, "a")
    client.set_tag(excluded, "scaling.excluded", "wrong data")
    client.delete_run(mlflow_id(store, "b"))
    assert store.states() == {"a": RunState.EXCLUDED, "c": RunState.FINISHED}
    assert store.facts()["a"]["reason"] == "wrong data"
    client.delete_tag(excluded, "scaling.excluded")
    assert store.states() == {"a": RunState.FINISHED, "c": RunState.FINISHED}


def test_a_server_is_asked_for_runs_that_end_between_two_questions_or_arrive_late(
    store, monkeypatch
):
    monkeypatch.setattr(store_cache, "speaks_sql", lambda uri: False)
    train(store, "a")
    assert set(store.states()) == {"a"}  # cached: from now on it is asked for what is new
    running, ask = store.start_run("b", "b", {"width": 32}), store_cache.pages
    assert running.flush()

    def end_after_the_first(client, experiment_id, condition="", **how):
        yield from ask(client, experiment_id, condition, **how)
        monkeypatch.setattr(store_cache, "pages", ask)
        running.finish(RECORD)

    monkeypatch.setattr(store_cache, "pages", end_after_the_first)
    assert store.states() == {"a": RunState.FINISHED, "b": RunState.FINISHED}
    yesterday = now_ms() - 86_400_000  # kept in a spool since then
    monkeypatch.setattr(run_writer, "now_ms", lambda: yesterday)
    train(store, "c")
    assert store.states().keys() == {"a", "b", "c"}


DAMAGE = {
    "cut short": lambda text: text[:60],
    "another loss": lambda text: text.replace("2.0", "1.0"),
    "too deep": lambda text: "[" * 100_000,
    "another sweep's": lambda text: with_digest({"rows": []}, "another"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_cache_is_no_cache_and_is_made_anew(how, store, asked):
    train(store, "a")
    before = store.facts()
    cache = state_folder("cache") / f"{store.key}.json"
    whole = cache.read_text()
    assert (damaged := DAMAGE[how](whole)) != whole
    cache.write_text(damaged)
    assert store.facts() == before
    assert cache.read_text() == whole


def test_a_database_that_must_be_read_slowly_is_said_to_be_once(database, monkeypatch, caplog):
    def other_layout(uri):
        raise LayoutError("no such table: experiments")

    quick = sweep_ids(database)
    monkeypatch.setattr(store_experiments, "experiments", other_layout)
    assert sweep_ids(database) == sweep_ids(database) == quick  # MLflow's client says the same
    (message,) = [record.getMessage() for record in caplog.records]
    assert "no such table: experiments" in message and "takes seconds" in message


def test_what_a_run_has_spent_is_read_anew_while_it_trains_and_kept_once_it_has_ended(store, asked):
    writer = store.start_run("a", "a", {"planned_tokens": 100})
    for tokens in (0, 40):
        writer.log_progress({"tokens": tokens})
        assert writer.flush()
        assert store.facts()["a"]["tokens"] == tokens
    writer.log_progress({"tokens": 60})
    writer.fail(RunState.FAILED, "broken")
    asked.clear()
    for _ in range(2):  # from the store, then from the cache
        facts = store.facts()["a"]
        assert (facts["tokens"], facts["planned_tokens"]) == (60, 100)
    assert asked[-1] == []
