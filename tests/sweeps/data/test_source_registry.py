"""Facts about the sources of data: each has the settings that it uses, and one from elsewhere is
one file."""

import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from scaling.errors import ConfigError, CorpusError
from sweeps.config.data import SOURCES, DataConfig, ShardsData, TextData
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import LOADERS, load_corpus
from sweeps.planning.plan import plan_sweep
from sweeps.training.pack import train_run

ROOT = Path(__file__).parents[3]

COUNTING = '''
"""A source from elsewhere, whole: sequences that count, round and round."""

from dataclasses import dataclass

import numpy as np

from sweeps.config.data import StoredData
from sweeps.data.registry import LOADERS
from sweeps.data.sources.base import CorpusFacts, StreamCorpus, hash_of, spaced_windows


@dataclass(frozen=True, kw_only=True)
class CountingData(StoredData, source="counting"):
    """Numbers up to `top`, again and again."""

    top: int = 10
    """The first number that does not occur."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("top")


def load_counting(config: CountingData, context: int) -> StreamCorpus:
    stream = np.arange(4096, dtype=np.uint16) % config.top
    validation = spaced_windows(stream, context, config.validation_windows)
    facts = CorpusFacts(
        data_hash=hash_of(stream),
        eval_hash=hash_of(validation),
        tokenizer="numbers",
        tokenizer_hash=str(config.top),
        vocab_size=config.top,
        train_tokens=4095 // context * context,
        validation_sequences=len(validation),
        bytes_per_token=None,
    )
    return StreamCorpus(facts=facts, train=stream, held_back=validation, context=context)


LOADERS[CountingData] = load_counting
'''


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """The type of a source that a file outside the package defines; afterwards unknown again."""
    (tmp_path / "counting_source.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(str(tmp_path))
    kind = importlib.import_module("counting_source").CountingData
    yield kind
    del SOURCES["counting"], LOADERS[kind], sys.modules["counting_source"]
    load_corpus.cache_clear()


def mapping(**data):
    return {
        "name": "sources",
        "grid": {"width": 16, "tokens": 4000},
        "model": {"context": 16, "head_size": 8},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"device": "cpu"},
        "data": data,
    }


def refusal(**data):
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(mapping(**data))
    return str(caught.value)


def test_a_source_from_elsewhere_is_one_file_and_trains_through_the_same_door(counting):
    config = config_from_mapping(mapping(source="counting", top=4, validation_windows=16))
    assert config.data == counting(top=4, validation_windows=16)
    (run,) = plan_sweep(config).runs
    trained = train_run(run, load_corpus(config.data, 16), config.launch)
    assert run.data.vocab_size == 4
    assert trained.loss < 0.5  # of ln 4 = 1.39 at first: what comes next is certain
    assert refusal(source="counting", top=0) == "data.top is 0; it must be positive"
    assert refusal(source="counting", symbols=4).startswith(
        "data.symbols is not used by source counting; it is for data.source markov or bigram-tasks"
    )


def test_another_process_knows_a_source_from_elsewhere_by_its_config(counting, tmp_path):
    config = counting(top=4, validation_windows=16)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import pickle, sys; config = pickle.load(sys.stdin.buffer)\n"
            "from sweeps.data.registry import load_corpus\n"
            "print(load_corpus(config, 16).facts.data_hash)",
        ],
        input=pickle.dumps(config),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.decode().strip() == load_corpus(config, 16).facts.data_hash, done.stderr


def test_every_source_has_a_loader_and_a_type_without_one_is_refused():
    assert set(SOURCES.values()) == set(LOADERS)
    with pytest.raises(CorpusError, match=r"no loader; enter one in sweeps.data.registry.LOADERS"):
        load_corpus(DataConfig(), 16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"source": "markov", "vocab_size": 16},
            "data.vocab_size is not used by source markov; its size is data.symbols",
        ),
        (
            {"source": "markov", "max_epochs": 3},
            "data.max_epochs is not used by source markov; it never repeats itself",
        ),
        (
            {"source": "markov", "tasks": 3},
            "data.tasks is not used by source markov; it is for data.source bigram-tasks",
        ),
        ({"vocab_size": 16}, "data.vocab_size is not used by source text; the tokenizer has it"),
        (
            {"symbols": 16},
            "data.symbols is not used by source text; it is for data.source markov or bigram-tasks",
        ),
        (
            {"source": "shards", "validation_share": 0.1},
            "data.validation_share is not used by source shards; `scaling tokenize` split them",
        ),
    ],
)
def test_a_setting_of_another_source_is_refused_with_where_it_belongs(data, message):
    assert refusal(**data).startswith(message)


def test_no_source_has_a_setting_that_its_loader_does_not_read():
    """The loaders' module reads each, but for what the plan reads of all."""
    for kind in (TextData, ShardsData, SOURCES["markov"], SOURCES["bigram-tasks"]):
        source = Path(sys.modules[LOADERS[kind].__module__].__file__).read_text()
        for name in kind.field_types().keys() - {"max_epochs"}:
            assert f"config.{name}" in source, f"{kind.__name__}.{name}"
