"""Facts about `scaling score`: what it prints is a distribution that keeps the chain rule."""

import itertools
import json
import math

import pytest


@pytest.fixture
def weights(kept_sweeps):
    """A function: the file of the weights of a sweep's smallest run."""
    folder = kept_sweeps["folder"] / "weights"
    return lambda sweep: str(folder / f"{kept_sweeps[sweep][0].run_id}.safetensors")


@pytest.fixture
def score(document):
    """A function: the document of one run."""
    return lambda *argv: document(["score", *argv])["runs"][0]


def test_conditionals_add_up_to_the_joint(weights, score):
    path, text = weights("text"), "12 apples cost 3."
    joint = score(path, "--text", text)
    assert len(joint["tokens"]) == len(text) - 1 == len(joint["log_likelihoods"])
    parts = [
        score(path, "--prompt", text[:cut], "--text", text[cut:end])["log_likelihood"]
        for cut, end in ((1, 4), (4, 11), (11, 17))
    ]
    assert math.fsum(parts) == pytest.approx(joint["log_likelihood"], abs=1e-5)
    assert joint["log_likelihood"] == pytest.approx(math.fsum(joint["log_likelihoods"]))


def test_probabilities_of_all_sentences_of_a_length_add_up_to_one(weights, score):
    path, names = weights("anbn"), ("<start>", "<end>", "<pad>", "a", "b")
    total = math.fsum(
        math.exp(score(path, "--prompt", "a", "--text", f"{one} {two}")["log_likelihood"])
        for one, two in itertools.product(names, repeat=2)
    )
    assert total == pytest.approx(1, abs=1e-5)


def test_a_text_in_its_units(kept_sweeps, weights, score):
    found = score(weights("text"), "--text", "12 apples")
    assert found["bytes"] == 8
    assert found["bits_per_byte"] == pytest.approx(-found["log_likelihood"] / math.log(2) / 8)
    assert found["perplexity"] == pytest.approx(math.exp(-found["log_likelihood_per_token"]))
    assert found["least_given"] is None
    symbols = score(kept_sweeps["anbn"][0].run_id, "--text", "ab", "--end")
    assert (symbols["given_tokens"], symbols["tokens"]) == ([0], [3, 4, 1])
    assert symbols["bits_per_byte"] is symbols["bytes"] is None


def test_a_text_beyond_the_context_is_scored_and_that_is_said(kept_sweeps, told):
    path = kept_sweeps["folder"] / "long.txt"
    path.write_text("16 apples cost 4.\n" * 6)
    said = told(["score", kept_sweeps["text"][0].run_id, "--file", str(path)])
    assert "longer than the context of 24; tokens beyond it were given 13 tokens" in said.err
    assert "each run was given the first token of the text" in said.err


def test_several_runs_are_rows_of_one_table(kept_sweeps, told, tmp_path):
    asked = ["score", "text", "--text", "12 apples", "--prompt", "1"]
    path = tmp_path / "scores.json"
    said = told([*asked, "-o", str(path)])
    head, *rows = said.out.splitlines()
    assert head.split()[:2] == ["run", "parameters"]
    found = json.loads(path.read_text())["runs"]
    assert [one["run_id"] for one in found] == [run.run_id for run in kept_sweeps["text"]]
    for row, one in zip(rows, found, strict=True):
        assert one["run_id"] in row and f"{one['bits_per_byte']:.4f}" in row


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "there is no text to score"),
        (["--text", ""], "nothing to score"),
        (["--text", "1"], "nothing to score"),
        (["--text", "1", "--prompt", ""], "the prompt is empty"),
        (["--text", "1", "--prompt", "x" * 25], "the prompt has 25 tokens, and the model's"),
        (["--text", "12", "--end"], "its tokens have none that ends a text; drop --end"),
        (["--file", "nowhere.txt"], "nowhere.txt: cannot be read"),
    ],
)
def test_what_cannot_be_scored_is_one_line(weights, refusal, flags, said):
    assert said in refusal(["score", weights("text"), *flags])


def test_counts_of_another_text_stand_beside_the_runs(kept_sweeps, told, document, tmp_path):
    path = tmp_path / "counted.txt"
    path.write_text("12 apples cost 3.\n" * 3)
    asked = ["score", "text", "--text", "12 apples cost 4", "--counts", str(path)]
    found = document(asked)
    assert [one["before"] for one in found["counts"]] == [0, 1, 2, None]  # once, not once a run
    whole = found["counts"][-1]
    assert (whole["nats_per_token"], whole["unseen_tokens"]) == (None, 1)
    said = told(asked).out
    assert "infinite" in said and "1 token never seen after the context" in said


def test_a_text_without_two_tokens_is_not_counted(kept_sweeps, weights, refusal, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("1")
    asked = ["score", weights("text"), "--text", "12", "--counts", str(path)]
    assert "the text to count has 1 token; give one of 2" in refusal(asked)
