"""Runs train on every source through one call, and a loss below the entropy fails the run."""

import numpy as np
import pytest

from scaling.errors import ConfigError
from scaling.store.one_run.run_state import RunState
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.data.sources.generated.markov_chains import MarkovChain
from sweeps.planning.plan import plan_sweep
from sweeps.running.events import EventKind
from sweeps.running.task import Task
from sweeps.running.worker import train_task
from sweeps.training.pack import train_run


class OneRun:
    """A store and a writer for one run, in memory."""

    def __init__(self):
        self.state, self.record = None, {}

    def start_run(self, run_id, name, facts):
        self.state, self.record = RunState.RUNNING, dict(facts)
        return self

    def log_curve(self, points):
        pass

    def log_progress(self, facts):
        pass

    def finish(self, record):
        self.state, self.record = RunState.FINISHED, self.record | dict(record)

    def fail(self, state, reason):
        self.state = state


@pytest.fixture(autouse=True)
def nothing_cached():
    load_corpus.cache_clear()


def mapping(data, tokens=8000, **model):
    return {
        "name": "sources",
        "grid": {"width": 16, "tokens": tokens},
        "model": {"context": 16, "head_size": 8, **model},
        "data": {"validation_windows": 200, **data},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"device": "cpu"},
    }


def trained(config):
    (run,) = plan_sweep(config).runs
    store, events = OneRun(), []
    train_task(Task.of_one(run, config.data, config.launch, store), events.append)
    return run, store, events


@pytest.mark.parametrize(
    "data",
    [
        {"source": "markov", "symbols": 8},
        {"source": "bigram-tasks", "symbols": 8, "tasks": 4},
        {"source": "anbn", "q": 0.6},
        {"source": "grammar", "rules": ["S -> a S b [0.4]", "S -> c [0.6]"]},
    ],
    ids=lambda data: data["source"],
)
def test_a_run_on_a_generated_source_is_recorded_with_its_entropy(data):
    run, store, _ = trained(config_from_mapping(mapping(data)))
    assert store.state is RunState.FINISHED
    assert store.record["entropy"] == run.data.entropy
    assert store.record["loss"] > run.data.entropy - 3 * store.record["loss_stderr"]
    assert store.record["excess_loss"] == store.record["loss"] - run.data.entropy
    assert store.record["unique_tokens"] == store.record["tokens"] == run.tokens
    assert store.record["bits_per_byte"] is None


def test_a_loss_below_the_entropy_fails_the_run(monkeypatch):
    monkeypatch.setattr(MarkovChain, "entropy", lambda self, context: 9.0)
    data = {"source": "markov", "symbols": 8}
    _, store, events = trained(config_from_mapping(mapping(data)))
    assert store.state is RunState.FAILED
    assert events[-1].kind is EventKind.FAILED
    assert "something leaks" in events[-1].reason


def test_a_run_of_sentences_says_how_many_targets_its_entropy_is_over():
    run, store, _ = trained(config_from_mapping(mapping({"source": "anbn", "q": 0.6})))
    entropy, targets = store.record["sequence_entropy"], store.record["sequence_targets"]
    assert entropy / targets == pytest.approx(store.record["entropy"])
    assert targets == pytest.approx(3.7267, abs=1e-4)  # 4 but for those of 16 tokens and more


def test_a_run_of_an_ambiguous_grammar_has_no_entropy_and_no_excess():
    rules = ["S -> a S [0.25]", "S -> a a S [0.25]", "S -> b [0.5]"]
    _, store, _ = trained(config_from_mapping(mapping({"source": "grammar", "rules": rules})))
    assert store.state is RunState.FINISHED
    assert not {"entropy", "sequence_entropy", "excess_loss"} & store.record.keys()


def test_a_run_on_shards_may_repeat_them_only_if_the_config_says_so(tmp_path):
    tokens = np.tile(np.arange(100, dtype=np.uint16), 30)
    tokens.tofile(tmp_path / "train.bin")
    tokens.tofile(tmp_path / "val.bin")
    data = {
        "source": "shards",
        "files": str(tmp_path / "train.bin"),
        "validation_files": str(tmp_path / "val.bin"),
        "vocab_size": 100,
    }
    with pytest.raises(ConfigError, match="more than the text's 2,992 x data.max_epochs 1"):
        plan_sweep(config_from_mapping(mapping(data)))
    run, store, _ = trained(config_from_mapping(mapping({**data, "max_epochs": 3})))
    assert store.state is RunState.FINISHED
    assert store.record["unique_tokens"] == 2992
    assert store.record["loss"] < 1.0  # counting to 100, of ln 128 = 4.85 nats at first


def test_settings_of_sources_are_checked():
    with pytest.raises(ConfigError, match='data.source is "web"; choose one of text, shards'):
        config_from_mapping(mapping({"source": "web"}))
    with pytest.raises(ConfigError, match='unknown key "data.smybols"; did you mean "symbols"'):
        config_from_mapping(mapping({"source": "markov", "smybols": 8}))
    with pytest.raises(ConfigError, match="data.symbols is 1"):
        config_from_mapping(mapping({"source": "markov", "symbols": 1}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        {"source": "markov", "symbols": 8, "order": 1},
        {"source": "bigram-tasks", "symbols": 8, "tasks": 8},
    ],
)
def test_with_budget_a_run_comes_within_a_hundredth_of_the_entropy(data):
    config = config_from_mapping(
        {**mapping(data, context=32), "grid": {"width": 32, "depth": 2, "tokens": 5e5}}
    )
    (run,) = plan_sweep(config).runs
    result = train_run(run, load_corpus(config.data, 32), config.launch)
    assert result.loss > run.data.entropy - 3 * result.loss_stderr
    assert result.loss < 1.01 * run.data.entropy + 3 * result.loss_stderr
