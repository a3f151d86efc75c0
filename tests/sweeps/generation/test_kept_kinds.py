"""Facts about kept runs of every kind: what continues a prompt does, and what cannot says so."""

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.generation.decoding.sampling import GREEDY, SamplingRule
from sweeps.generation.kept_runs import KeptRun
from sweeps.generation.texts.continuations import continue_prompt
from sweeps.generation.texts.scored_texts import score_text
from sweeps.generation.weights import write_weights
from sweeps.models.registry import FAMILIES
from sweeps.objectives.registry import OBJECTIVES
from sweeps.planning.plan import plan_sweep
from sweeps.training.stack import build_model

#: (family, objective) -> what it can.
KINDS = {
    ("slt-dec/1", "causal"): "continue",
    ("slt-dec/1", "conditional"): "continue",
    ("slt-dec/1", "masked"): "fill in",
    ("linear_lm/1", "causal"): "continue",
    ("linear_lm/1", "conditional"): "continue",
    ("encoder_decoder/1", "conditional"): "continue",
}


def untrained(folder, family, objective):
    """A run of a kind whose weights were kept: large ones, that nobody trained."""
    mapping = {
        "name": "kinds",
        "grid": {"width": 16, "tokens": 2000},
        "model": {"family": family, "context": 12},
        "objective": objective,
        "data": {"source": "markov", "symbols": 7, "order": 1, "validation_windows": 4},
    }
    if not family.startswith("linear"):
        mapping["model"]["head_size"] = 8
    plan = plan_sweep(config_from_mapping(mapping))
    (run,), corpus = plan.runs, load_corpus(plan.config.data, 12)
    model = build_model(run)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(model.held_weights().shape, generator=generator) / 3
    said = write_weights(folder, run, weights[0], model.layout, corpus.vocabulary)
    return KeptRun(path=said["weights_file"], sha256=said["weights_sha256"])


@pytest.fixture
def kept(tmp_path):
    """A function: an untrained run of a kind whose weights were kept."""
    return lambda family, objective: untrained(tmp_path, family, objective)


def test_every_family_and_objective_is_among_the_kinds():
    assert {family for family, _ in KINDS} == set(FAMILIES)
    assert {objective for _, objective in KINDS} == set(OBJECTIVES)


@pytest.mark.parametrize(("kind", "can"), KINDS.items(), ids=" ".join)
def test_a_run_continues_scores_or_says_why_not(kept, kind, can):
    run = kept(*kind)
    if can == "continue":
        found = continue_prompt(run, b"1 2", rule=GREEDY, tokens=3)
        assert len(found.continuations[0].tokens) == 3
        assert score_text(run, b"3", prompt=b"1 2").kind == "log-likelihood"
        return
    with pytest.raises(ConfigError, match=r"run \w+: a model of objective masked .*; name a run"):
        continue_prompt(run, b"1 2", rule=GREEDY, tokens=3)


def test_a_family_that_cannot_go_on_is_refused_by_its_name(kept, monkeypatch):
    family = type(FAMILIES["linear_lm/1"])
    run = kept("linear_lm/1", "causal")
    monkeypatch.setitem(FAMILIES, "linear_lm/1", family(can=frozenset()))
    for asked in (
        lambda: continue_prompt(run, b"1 2", rule=GREEDY, tokens=3),
        lambda: score_text(run, b"3", prompt=b"1 2"),
    ):
        with pytest.raises(ConfigError, match="of family linear_lm/1 goes on from no prompt"):
            asked()


def test_the_prompt_of_an_encoder_decoder_is_its_source(kept):
    run = kept("encoder_decoder/1", "conditional")
    found = continue_prompt(run, b"1 2 3 4 5 6", rule=GREEDY)
    assert found.prompt_tokens == (1, 2, 3, 4, 5, 6)
    (one,) = found.continuations
    assert len(one.tokens) == 7  # of 13 tokens of a block, all behind the source
    assert one.ending == "context"
    assert found.to_dict()["source_tokens"] == 6
    score = score_text(run, one.text.encode(), prompt=b"1 2 3 4 5 6")
    assert score.given_tokens == found.prompt_tokens
    assert score.tokens == one.tokens  # the first, too, which follows the start
    assert score.to_dict()["source_tokens"] == 6


@pytest.mark.parametrize(
    ("prompt", "text", "said"),
    [
        (b"", b"3", r"run \w+: .* scores a text given its source; give that with --prompt"),
        (None, b"3", r"run \w+: .* scores a text given its source; give that with --prompt"),
        (b"1 " * 7, b"3", "the source has 7 tokens, and the model's sources have 6 tokens at most"),
        (b"9", b"3", '"9" is none of the run\'s 7 tokens'),
        (b"1", b"7", '"7" is none of the run\'s 7 tokens'),
        (b"1", b"3 " * 8, "the text has 8 tokens, and the model's targets have 7 at most"),
        (b"1", b"", "there is nothing to score after the source"),
    ],
)
def test_what_an_encoder_decoder_cannot_score_is_said(kept, prompt, text, said):
    with pytest.raises(ConfigError, match=said):
        score_text(kept("encoder_decoder/1", "conditional"), text, prompt=prompt)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (b"", "the source is empty; give it one token at least"),
        (b"1 " * 7, "the source has 7 tokens, and the model's sources have 6 tokens at most"),
        (b"9", '"9" is none of the run\'s 7 tokens'),
    ],
)
def test_sources_that_an_encoder_decoder_does_not_take_are_refused(kept, prompt, said):
    with pytest.raises(ConfigError, match=said):
        continue_prompt(kept("encoder_decoder/1", "conditional"), prompt, rule=GREEDY)


def test_a_masked_run_scores_each_token_by_both_sides_and_says_so(kept):
    run = kept("slt-dec/1", "masked")
    whole = score_text(run, b"1 2 3 4")
    assert (whole.kind, whole.given_tokens) == ("pseudo-log-likelihood", ())
    assert whole.score.bits_per_byte is None
    # each token's probabilities are of one distribution, which the token itself has no part in
    for place in range(4):
        texts = [[1, 2, 3, 4] for _ in range(7)]
        for token, text in enumerate(texts):
            text[place] = token
        found = [score_text(run, " ".join(map(str, text)).encode()) for text in texts]
        values = torch.tensor([one.score.log_likelihoods[place] for one in found])
        assert values.exp().sum().item() == pytest.approx(1, abs=1e-5)
    part = score_text(run, b"3 4", prompt=b"1 2").score
    assert part.log_likelihoods == pytest.approx(whole.score.log_likelihoods[2:], abs=1e-5)
    with pytest.raises(ConfigError, match="a masked model scores 12 at most"):
        score_text(run, b"1 " * 13)


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_deterministic_algorithms_say_the_same_on_a_cpu(kept, kind):
    run = kept(*kind)
    prompt = None if "masked" in kind else b"1 2"
    scores = [
        score_text(run, b"3 4", prompt=prompt, device="cpu", deterministic=asked)
        for asked in (False, True)
    ]
    assert scores[0].score == scores[1].score
    assert [one.to_dict()["deterministic"] for one in scores] == [False, True]
    assert {one.to_dict()["device"] for one in scores} == {"cpu"}
    if "masked" in kind:
        return
    rule = SamplingRule(top_p=0.9)
    first, again, other = (
        continue_prompt(run, b"1 2", rule=rule, samples=3, device="cpu", deterministic=asked)
        for asked in (False, True, True)
    )
    assert first.continuations == again.continuations == other.continuations
    assert again.to_dict()["deterministic"]


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_a_device_that_is_not_here_is_refused(kept, kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device cuda: PyTorch sees no CUDA device here"):
        score_text(kept(*kind), b"1 2 3", device="cuda")
    with pytest.raises(ConfigError, match="device cuda: PyTorch sees no CUDA device here"):
        continue_prompt(kept(*kind), b"1", rule=GREEDY, device="cuda")
