"""Facts about what probes ask: prompts by their probability, a user's answers, and the truth."""

import json

import numpy as np
import pytest

from scaling.errors import ConfigError
from sweeps.config.data import AnbnData, BigramTasksData, GrammarData, MarkovData, TextData
from sweeps.config.probes import ProbesConfig
from sweeps.data.questions import questions
from sweeps.data.registry import load_corpus

A, B = 3, 4
ANBN = AnbnData(lengths="uniform", longest=8)


def asked(data=ANBN, context=17, **probes):
    return questions(ProbesConfig(**probes), load_corpus(data, context))


def test_prompts_are_parted_by_how_likely_a_sentence_begins_with_them():
    prompts = asked(prompt_tokens=4).prompts
    possible = {(0, A, A, A, A), (0, A, A, A, B), (0, A, A, B, B)}
    assert set(prompts["in_distribution"]) == possible
    # of the 7 sentences that are so long, 5 begin with aaaa, and one with each of the others
    assert "low_probability" not in prompts
    assert len(prompts["zero_probability"]) == 2**4 - 3
    found = asked(prompt_tokens=4, low_probability=0.2).prompts["low_probability"]
    assert set(found) == possible - {(0, A, A, A, A)}


@pytest.mark.parametrize(
    ("probes", "said"),
    [
        ({"prompt_tokens": 13}, r"prompt_tokens is 13, which makes 8,192 prompts; at most 4,096"),
        ({"prompt_tokens": 16}, "prompt_tokens is 16; sentences have at most 16 tokens"),
        ({"prompt_tokens": 2, "rules": ("as many a as c",)}, 'is about "c", and the grammar has'),
        ({"answers": "nowhere.jsonl"}, "nowhere.jsonl: cannot be read"),
    ],
)
def test_what_a_source_cannot_be_asked_is_one_line(probes, said):
    with pytest.raises(ConfigError, match=said):
        asked(**probes)


def test_a_text_has_neither_prompts_nor_a_known_truth(text_files):
    text = TextData(files=(str(text_files / "*.txt"),), validation_windows=4)
    with pytest.raises(ConfigError, match="prompts are made of a grammar's symbols"):
        asked(text, prompt_tokens=2)
    with pytest.raises(ConfigError, match="nobody knows the next-token probabilities"):
        asked(text, divergence=True)


def test_answers_are_tokens_of_the_source(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt": "aab", "accepted": ["b", "b <end>"]}\n\n')
    (one,) = asked(answers=str(path)).answers
    assert (one.prompt, one.accepted) == ((0, A, A, B), ((B,), (B, 1)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not of the form"),
        ("[1]", "not of the form"),
        (json.dumps({"prompt": "a", "accepted": "b"}), "not of the form"),
        (json.dumps({"prompt": "a", "accepted": [1]}), "not of the form"),
        (json.dumps({"prompt": "a", "accepted": []}), "not of the form"),
        (json.dumps({"prompt": "ac", "accepted": ["b"]}), '"ac" is none of the run'),
        (json.dumps({"prompt": "a", "accepted": [""]}), "prompt and answer need a token each"),
        (json.dumps({"prompt": "a" * 17, "accepted": ["b"]}), "together at most 18"),
        ("", "no line holds a prompt"),
    ],
)
def test_a_file_of_answers_that_is_none_is_one_line(tmp_path, line, said):
    path = tmp_path / "answers.jsonl"
    path.write_text(line)
    with pytest.raises(ConfigError, match=said):
        asked(answers=str(path))


@pytest.mark.parametrize(
    ("data", "context"),
    [
        (MarkovData(symbols=6, order=2, validation_windows=200), 32),
        (BigramTasksData(symbols=5, tasks=7, validation_windows=200), 32),
        (AnbnData(q=0.6, validation_windows=400), 40),
        (ANBN, 17),
        (GrammarData(rules=("S -> a S b [0.4]", "S -> c [0.6]"), validation_windows=400), 24),
    ],
)
def test_the_truth_is_a_distribution_whose_entropy_is_the_source_s(data, context):
    corpus = load_corpus(data, context)
    batch = corpus.validation
    inputs, targets = batch.inputs.numpy(), batch.targets.numpy()
    truth = corpus.truth(inputs)
    known = np.isfinite(truth).all(-1)
    assert truth[known].sum(-1) == pytest.approx(1)
    if batch.weights is not None:
        assert (known == (batch.weights.numpy() > 0)).all()  # what counts, and nothing else
    costs = -np.log(np.take_along_axis(truth, targets[..., None], -1)[..., 0])
    costs = np.where(known, costs, 0.0)
    mean = costs.sum() / known.sum()
    spread = (costs.sum(1) - mean * known.sum(1)).std() / known.sum(1).mean()
    # four standard errors; the first places of a chain of order 2 are dearer, and left out
    assert abs(mean - corpus.facts.entropy) < 4 * spread / np.sqrt(len(costs)) + 1e-9
