"""Facts about `scaling probe`: two kept runs, their source's truth, and prompts by probability."""

import math

import numpy as np
import pytest
import torch
import yaml

from sweeps.config.data import AnbnData
from sweeps.data.registry import load_corpus
from sweeps.generation.weights import read_weights

RULES = ["grammatical", "as many a as b", "no a after b"]


ANBN = {"source": "anbn", "q": 0.5, "validation_windows": 16}
PROBES = {"prompt_tokens": 3, "rules": RULES, "low_probability": 0.6}


def written(path, data=ANBN, probes=PROBES):
    """A config of a sweep of these data, as a file."""
    grid = {"width": [16], "tokens": [2000]}
    model = {"head_size": 8, "context": 24}
    mapping = {"name": "other", "grid": grid, "model": model, "data": data, "probes": probes}
    path.write_text(yaml.safe_dump(mapping))
    return str(path)


@pytest.fixture
def config(tmp_path):
    return written(tmp_path / "anbn.yaml")


def test_divergences_are_those_of_the_two_models_next_tokens(kept_sweeps, config, document):
    found = document(["probe", "anbn", "--config", config])
    ids = [one["run_id"] for one in found["runs"]]
    assert sorted(ids) == sorted(run.run_id for run in kept_sweeps["anbn"])
    groups = {group["kind"]: group for group in found["groups"]}
    assert set(groups) == {"in_distribution", "low_probability", "zero_probability"}
    weights = kept_sweeps["folder"] / "weights"
    models = [read_weights(weights / f"{run_id}.safetensors").model for run_id in ids]
    corpus = load_corpus(AnbnData(q=0.5, validation_windows=16), 24)
    rows = np.array([[0, 3, 3, 3], [0, 3, 3, 4]])  # aaa and aab begin a sentence
    with torch.inference_mode():
        logs = [
            model(torch.from_numpy(rows)[None]).unflatten(1, rows.shape)[0, :, -1].log_softmax(-1)
            for model in models
        ]
    first, second = (one.double().numpy() for one in logs)
    group = groups["in_distribution"]
    assert group["prompts"] == 2
    between = (np.exp(first) * (first - second)).sum(-1).mean()
    assert group["between"]["KL(first || second)"]["mean"] == pytest.approx(between, rel=1e-4)
    js = group["between"]["Jensen-Shannon"]["mean"]
    assert 0 <= js <= math.log(2)
    truth = corpus.truth(rows)[:, -1]
    parts = np.where(truth > 0, truth * (np.log(np.where(truth > 0, truth, 1)) - first), 0)
    measured = group["measures"]["kl_truth_to_model"]
    assert measured["first"]["mean"] == pytest.approx(parts.sum(-1).mean(), rel=1e-4)
    assert measured["difference"]["mean"] == pytest.approx(
        measured["first"]["mean"] - measured["second"]["mean"]
    )


def test_where_no_sentence_begins_so_rules_are_compared_and_no_truth(config, told, document):
    found = document(["probe", "anbn", "--config", config])
    (zero,) = (group for group in found["groups"] if group["kind"] == "zero_probability")
    assert set(zero["measures"]) == {"ended", "grammatical", "as_many_a_as_b", "no_a_after_b"}
    assert zero["measures"]["grammatical"]["first"]["mean"] == 0
    said = told(["probe", "anbn", "--config", config])
    assert "there is no truth to be held against" in said.err
    assert "infinite where the impossible mass is above 0" in said.err
    assert "zero probability: 6 prompts" in said.out


def test_a_run_beside_itself_differs_in_nothing(kept_sweeps, config, document):
    run_id = kept_sweeps["anbn"][0].run_id
    path = str(kept_sweeps["folder"] / "weights" / f"{run_id}.safetensors")
    for group in document(["probe", run_id, path, "--config", config])["groups"]:
        assert all(one["difference"]["mean"] == 0 for one in group["measures"].values())
        assert all(one["mean"] == pytest.approx(0, abs=1e-9) for one in group["between"].values())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["anbn", "text"], "4 runs named, and two are compared"),
        (["text"], "trained on other tokens than those of this config's data"),
    ],
)
def test_what_cannot_be_compared_is_one_line(config, refusal, names, said):
    assert said in refusal(["probe", *names, "--config", config])


def test_a_text_has_no_truth(kept_sweeps, tmp_path, refusal):
    text = {"files": [str(kept_sweeps["folder"] / "text.txt")], "validation_windows": 16}
    path = written(tmp_path / "text.yaml", data=text, probes={})
    assert "nobody knows the next-token prob" in refusal(["probe", "text", "--config", path])


def test_without_prompts_validation_sequences_are_compared(tmp_path, told, document):
    ask = ["probe", "anbn", "--config", written(tmp_path / "bare.yaml", probes={})]
    (group,) = document(ask)["groups"]
    assert group["kind"] == "validation" and "KL(first || second)" in group["between"]
    assert "probes.prompt_tokens is not set" in told(ask).err
