"""Facts about the encoder-decoder: what every family keeps, and who sees whom."""

from typing import Any, ClassVar

import pytest
import torch

from scaling.compute import FlopConvention
from scaling.errors import ConfigError
from sweeps.config.model import ModelConfig
from sweeps.models.encoder_decoder import EncoderDecoderFamily
from sweeps.models.family import ModelOptions
from tests.conformance.family import FamilyContract

FAMILY = EncoderDecoderFamily()


class TestEncoderDecoderFamily(FamilyContract):
    family = FAMILY
    sizes = [
        ({"head_size": 8, "context": 24}, 16, 2, 33),
        ({"head_size": 4, "context": 9, "mlp": "swiglu"}, 24, 1, 48),
        ({"head_size": 8, "context": 12, "tied_head": True}, 32, 3, 32),
    ]
    further: ClassVar[dict[str, Any]] = {"source_tokens": 7}

    @staticmethod
    def seen(shape, tokens):
        return tokens[..., shape.source_tokens - 1 :], tokens[..., : shape.source_tokens]


def shape(source=5, **changes):
    model = ModelConfig(**{"family": FAMILY.name, "head_size": 8, "context": 12} | changes)
    return FAMILY.shape(model, width=16, depth=2, vocab_size=20, source_tokens=source)


@pytest.fixture(scope="module")
def model():
    """A model whose matrices are all non-zero, as after training."""
    built = FAMILY.build(shape(), [1], ModelOptions())
    generator = torch.Generator().manual_seed(0)
    built.hold(built.held_weights() + 0.2 * torch.randn(1, shape().params, generator=generator))
    return built


def pair():
    generator = torch.Generator().manual_seed(3)
    source = torch.randint(20, (1, 1, 5), generator=generator)
    return torch.randint(20, (1, 1, 8), generator=generator), source


def changed(tokens, place):
    other = tokens.clone()
    other[..., place] = (other[..., place] + 1) % 20
    return other


@pytest.mark.parametrize("place", range(5))
def test_every_position_of_the_target_sees_every_token_of_the_source(model, place):
    tokens, source = pair()
    with torch.no_grad():
        gaps = (model(tokens, source) - model(tokens, changed(source, place))).abs().amax(-1)
    assert (gaps > 1e-4).all()


@pytest.mark.parametrize("place", range(8))
def test_no_position_of_the_target_sees_a_later_one(model, place):
    tokens, source = pair()
    with torch.no_grad():
        before, after = model(tokens, source), model(changed(tokens, place), source)
    assert torch.equal(before[:, :place], after[:, :place])
    assert not torch.allclose(before[:, place], after[:, place])


def test_the_order_of_the_source_matters(model):
    tokens, source = pair()
    with torch.no_grad():
        assert not torch.allclose(model(tokens, source), model(tokens, source.flip(-1)))


def test_flop_of_a_pair_by_hand():
    # Width 16, depth 2, vocabulary 20; 5 tokens of source, 8 of target.
    made, w = shape(), 16
    encoder, decoder = 12 * w * w, 16 * w * w
    assert made.params == 2 * 20 * w + 2 * (encoder + decoder)
    products = 2 * (5 * (encoder + 2 * w * w) + 8 * (decoder - 2 * w * w)) + 8 * 20 * w
    assert made.flops_per_sequence(FlopConvention.STANDARD) == 6 * products
    pairs = 5 * 5 + 8 * 5 + 8 * 9 // 2
    assert made.flops_per_sequence() == 6 * products + 12 * pairs * w * 2
    counts = [made.flops_per_sequence(convention) for convention in FlopConvention]
    assert counts == sorted(counts)


@pytest.mark.parametrize("source", [0, 13])
def test_a_source_that_leaves_no_target_is_refused(source):
    with pytest.raises(ConfigError, match="of a block of 13 tokens it is from 1 to 12"):
        shape(source)
