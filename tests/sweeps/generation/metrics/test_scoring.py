"""Facts about log-likelihoods: they are a distribution, and the chain rule holds."""

import itertools
import math

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.generation.metrics.scoring import (
    Score,
    least_given,
    log_likelihoods,
    text_log_likelihoods,
)
from sweeps.models.family import ModelOptions
from tests.sweeps.generation.decoding.test_sampling import CONTINUING, built


@pytest.mark.parametrize("family", sorted({*CONTINUING} - {"encoder_decoder/1"}))
def test_probabilities_of_all_texts_of_a_length_add_up_to_one(family):
    model = built(family, (1, 2), ModelOptions(used_vocab_size=3))
    texts = torch.tensor([(1, *text) for text in itertools.product(range(3), repeat=4)])
    total = log_likelihoods(model, texts).sum(-1).exp().sum(-1)
    assert total.tolist() == pytest.approx([1, 1], abs=1e-5)  # 81 texts in float32


def test_conditionals_add_up_to_the_joint():
    model = built()
    text = torch.randint(32, (2, 25), generator=torch.Generator().manual_seed(1))
    joint = log_likelihoods(model, text).sum(-1)
    parts = [log_likelihoods(model, text[:, : n + 1], given=n).sum(-1) for n in range(1, 25)]
    # 24 sums in float32, each of other shapes; as a share of some 80 nats
    assert torch.stack(parts).sum(0).tolist()[0] == pytest.approx(joint.tolist()[0], rel=1e-5)


def test_it_is_minus_the_loss_that_training_measures():
    from sweeps.data.batch import Batch
    from sweeps.objectives.causal import Causal

    model = built(seeds=(1, 2))
    text = torch.randint(32, (3, 25), generator=torch.Generator().manual_seed(1))
    batch = Batch.of_windows(text.expand(2, -1, -1))
    with torch.no_grad():
        losses = Causal().sequence_losses(model, batch)
    assert torch.allclose(log_likelihoods(model, text).mean(-1), -losses, atol=1e-5)


def test_a_score_in_its_units():
    score = Score(log_likelihoods=(-math.log(2), -math.log(8)), bytes_scored=4)
    assert score.total == pytest.approx(-4 * math.log(2))
    assert score.perplexity == pytest.approx(4)
    assert score.bits_per_byte == pytest.approx(1)
    assert Score(log_likelihoods=(-1.0,)).bits_per_byte is None


@pytest.mark.parametrize(
    ("length", "given", "said"),
    [
        (5, 0, "the prompt is empty"),
        (5, 5, "nothing to score"),
        (26, 1, "26 tokens, and a context of 24 scores 25 at most"),
    ],
)
def test_what_cannot_be_scored_is_refused(length, given, said):
    with pytest.raises(ConfigError, match=said):
        log_likelihoods(built(), torch.ones(1, length, dtype=torch.long), given=given)


def test_a_last_token_that_the_model_does_not_know_is_refused():
    with pytest.raises(ConfigError, match="token 32"):
        log_likelihoods(built(), torch.tensor([[1, 32]]))


@pytest.mark.parametrize("length", [26, 37, 38, 61, 900])
def test_a_text_beyond_the_context_is_scored_in_windows_that_leave_nothing_out(length):
    model = built()
    text = torch.randint(32, (length,), generator=torch.Generator().manual_seed(length))
    found = text_log_likelihoods(model, text.tolist(), given=3)
    assert len(found) == length - 3
    assert least_given(model) == 13
    assert torch.allclose(found[:22], log_likelihoods(model, text[None, :25], given=3)[0, 0])
    for place in (25, length - 1):  # given half a context, or a few tokens more
        starts = range(place - 24, place - 12)
        ways = [log_likelihoods(model, text[None, s : s + 25])[0, 0, place - s - 1] for s in starts]
        assert min(abs(float(found[place - 3] - way)) for way in ways) < 1e-5


def test_a_perplexity_beyond_all_floats_is_infinite():
    assert Score(log_likelihoods=(-1e4,)).perplexity == math.inf
