"""Facts about baselines: counted in the training text, scored where the loss is measured."""

import math

import numpy as np
import pytest

from scaling.extra_columns.references import BASELINES
from sweeps.config.data import AnbnData, MarkovData, ShardsData, TextData
from sweeps.config.rules.targets import TargetsConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.data.tokens.tokenize import tokenize_corpus
from sweeps.generation.metrics.baselines import baselines, baselines_of
from sweeps.objectives.registry import find_objective
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep
from tests.conformance.memory_store import MemoryStore

CAUSAL = find_objective("causal")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Words of few letters, some of which stand in the validation text alone."""
    folder = tmp_path_factory.mktemp("text")
    draw = np.random.default_rng(1)
    for number in range(40):
        words = ("".join(draw.choice(list("abc"), 3)) for _ in range(120))
        (folder / f"{number:02}.txt").write_text(" ".join(words) + f" {number % 7}\n")
    return TextData(files=(str(folder / "*.txt"),), validation_windows=20)


def test_the_unigram_is_the_share_of_each_target_in_the_training_text(text):
    corpus = load_corpus(text, 8)
    found = baselines(corpus, CAUSAL)
    shares = np.bincount(corpus.train, minlength=256) / len(corpus.train)
    targets = corpus.held_back[:, 1:]
    assert found["baseline.unigram"] == pytest.approx(-np.log(shares[targets]).mean())
    assert found["baseline.counted_tokens"] == len(corpus.train)
    assert found["baseline.scored_tokens"] == targets.size


def test_each_target_has_a_loss_or_is_counted_as_lacking(text):
    found = baselines(load_corpus(text, 8), CAUSAL)
    for name in ("unigram", "bigram", "trigram", "empirical"):
        lacks = [found.get(f"baseline.{name}_unseen_{what}", 0) for what in ("contexts", "tokens")]
        assert (f"baseline.{name}" in found) != any(lacks)
    assert found["baseline.empirical_unseen_contexts"] > 0
    assert all(math.isfinite(value) for value in found.values())
    assert found["baseline.trigram_interpolated"] < math.log(256)


def test_what_is_asked_counts_and_nothing_else(text):
    corpus, asked = load_corpus(text, 8), TargetsConfig(source_tokens=6)
    found = baselines_of(text, 8, "conditional", asked)
    shares = np.bincount(corpus.train, minlength=256) / len(corpus.train)
    assert found["baseline.scored_tokens"] == 3 * len(corpus.held_back)
    expected = -np.log(shares[corpus.held_back[:, 6:]]).mean()
    assert found["baseline.unigram"] == pytest.approx(expected)
    assert baselines_of(text, 8, "masked", TargetsConfig(mask_share=0.2)) == {}


@pytest.mark.parametrize("data", [MarkovData(symbols=8), AnbnData()])
def test_a_source_without_a_text_has_none(data):
    assert baselines(load_corpus(data, 16), CAUSAL) == {}


def test_shards_have_those_of_the_text_that_they_hold(text, tmp_path):
    tokenize_corpus(list(text.files), tmp_path, tokenizer="bytes", validation_share=0.1)
    corpus = load_corpus(ShardsData(files=(str(tmp_path),)), 8)
    found = baselines(corpus, CAUSAL)
    whole = np.concatenate([shard.tokens for shard in corpus.train.shards])
    assert found["baseline.counted_tokens"] == len(whole)
    assert corpus.training_text(10).tolist() == whole[:10].tolist()


def test_a_sweep_logs_them_with_every_run(text, tmp_path, in_this_process):
    plan = plan_sweep(
        config_from_mapping(
            {
                "name": "lines",
                "grid": {"width": 16, "tokens": [2000], "seed": [1, 2]},
                "model": {"context": 8, "head_size": 8},
                "data": {"files": list(text.files), "validation_windows": 20},
                "recipe": {"name": "cpt-adamw-tiny/1"},
                "launch": {"checkpoints": {"folder": str(tmp_path)}, "workers": 1},
            }
        )
    )
    store = MemoryStore()
    run_sweep(plan, store)
    expected = baselines(load_corpus(text, 8), CAUSAL)
    assert len(store.records) == 2 and expected
    for record in store.records.values():
        assert expected.items() <= record.items()


def test_every_column_is_one_that_the_reader_knows(text):
    found = baselines(load_corpus(text, 8), CAUSAL)
    names = {name.removeprefix("baseline.").split("_unseen")[0] for name in found}
    assert names - {"counted_tokens", "scored_tokens"} == set(BASELINES)
