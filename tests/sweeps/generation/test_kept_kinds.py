"""Facts about kept runs of every kind: what continues a prompt does, and what cannot says so."""

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.generation.continuations import continue_prompt
from sweeps.generation.kept_runs import KeptRun
from sweeps.generation.sampling import GREEDY
from sweeps.generation.scored_texts import score_text
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
    ("encoder_decoder/1", "conditional"): "neither",
}


@pytest.fixture
def kept(tmp_path):
    """A function: an untrained run of a kind whose weights were kept."""

    def keep(family, objective):
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
        said = write_weights(tmp_path, run, weights[0], model.layout, corpus.vocabulary)
        return KeptRun(path=said["weights_file"], sha256=said["weights_sha256"])

    return keep


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
    with pytest.raises(ConfigError, match=r"run \w+: a model of (objective|family) .*; name a run"):
        continue_prompt(run, b"1 2", rule=GREEDY, tokens=3)
    if can == "neither":
        with pytest.raises(ConfigError, match="reads more than a prompt"):
            score_text(run, b"3", prompt=b"1 2")


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
