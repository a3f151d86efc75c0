"""Facts about the encoder-decoder: what every family keeps, and who sees whom."""

from typing import Any, ClassVar

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.compute import FlopConvention
from scaling.errors import ConfigError
from sweeps.config.model import ModelConfig
from sweeps.models.encoder_decoder.family import EncoderDecoderFamily
from sweeps.models.family import ModelOptions, ModelSizes
from tests.conformance.family import FamilyContract

FAMILY = EncoderDecoderFamily()


SIZES = [
    ({"head_size": 8, "context": 24}, 16, 2, 33),
    ({"head_size": 4, "context": 9, "mlp": "swiglu"}, 24, 1, 48),
    ({"head_size": 8, "context": 12, "tied_head": True}, 32, 3, 32),
]


def seen_by(shape, tokens):
    return tokens[..., shape.source_tokens - 1 :], tokens[..., : shape.source_tokens]


class TestEncoderDecoderFamily(FamilyContract):
    family, sizes = FAMILY, SIZES
    further: ClassVar[dict[str, Any]] = {"source_tokens": 7}
    seen = staticmethod(seen_by)


class TestEncoderOfAnotherDepth(FamilyContract):
    family, sizes = FAMILY, SIZES[:2]
    further: ClassVar[dict[str, Any]] = {"source_tokens": 7, "encoder_depth": 4}
    seen = staticmethod(seen_by)


def shape(source=5, *, depth=2, encoder_depth=None, **changes):
    model = ModelConfig(**{"family": FAMILY.name, "head_size": 8, "context": 12} | changes)
    sizes = {"width": 16, "depth": depth, "encoder_depth": encoder_depth, "vocab_size": 20}
    return FAMILY.shape(model, ModelSizes(source_tokens=source, **sizes))


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


@pytest.mark.parametrize("length", range(1, 5))
def test_padding_of_a_source_is_seen_by_nobody_whatever_stands_there(model, length):
    tokens, source = pair()
    is_source = (torch.arange(5) < length).expand(1, 1, 5)
    with torch.no_grad():
        found = model(tokens, source, is_source)
        for place in range(length, 5):
            assert torch.equal(found, model(tokens, changed(source, place), is_source))
        for place in range(length):
            assert not torch.allclose(found, model(tokens, changed(source, place), is_source))
        # float32 sums over fewer places
        torch.testing.assert_close(found, model(tokens, source[..., :length]))


def test_the_padding_of_a_source_has_no_gradient(model):
    tokens, source = pair()
    source = source % 10 + 10 * (torch.arange(5) >= 3)  # the padding has tokens of its own
    weights = model.weights.detach().clone().requires_grad_(True)
    rows = torch.func.functional_call(
        model, {"weights": weights}, (tokens % 10, source, torch.arange(5).expand(1, 1, 5) < 3)
    )
    rows.square().sum().backward()
    embedding = weights.grad[0, model.groups["embedding"]].view(20, 16)
    assert not embedding[10:].any()
    assert embedding[source[0, 0, :3]].any()


def test_padding_is_counted_as_the_rest_by_the_frameworks_counter():
    made = shape()
    model, (tokens, source) = FAMILY.build(made, [1], ModelOptions()), pair()
    is_source = torch.arange(5).expand(1, 1, 5) < 3
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(tokens, source, is_source).sum().backward()
    assert counter.get_total_flops() == made.flops_per_sequence(FlopConvention.FULL)
    # and cross-attention is among it: it alone reads both 8 places and 5
    crossed = 2 * 2 * 8 * 5 * 16 * 2 * 3  # scores and sums; width, depth; forward and backward
    without = counter.get_total_flops() - crossed
    assert without == made.flops_per_sequence(FlopConvention.STANDARD) + 12 * 2 * 16 * (25 + 64)


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


@pytest.mark.parametrize("source", [1, 5, 12])
@pytest.mark.parametrize("depths", [(1, 1), (4, 1), (1, 3)])
@pytest.mark.parametrize("mlp", ["relu2", "swiglu"])
@pytest.mark.parametrize("tied_head", [False, True])
def test_flop_equal_the_frameworks_counter_whatever_the_options(source, depths, mlp, tied_head):
    encoder, decoder = depths
    made = shape(source, depth=decoder, encoder_depth=encoder, mlp=mlp, tied_head=tied_head)
    model = FAMILY.build(made, [1], ModelOptions())
    tokens = torch.zeros(1, 2, made.targets, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(tokens, torch.zeros(1, 2, source, dtype=torch.long)).sum().backward()
    assert counter.get_total_flops() == 2 * made.flops_per_sequence(FlopConvention.FULL)


@pytest.mark.parametrize("mlp", ["relu2", "swiglu"])
def test_parameters_of_each_stack_are_those_of_its_matrices(mlp):
    made = shape(depth=3, encoder_depth=2, mlp=mlp)
    matrices = FAMILY.build(made, [1], ModelOptions()).matrices()
    for stack in ("encoder", "decoder"):
        own = sum(one.numel() for name, one in matrices.items() if name.startswith(stack))
        assert made.facts()[f"params_{stack}"] == own
    assert made.params == made.params_encoder + made.params_decoder + 2 * 20 * 16


def test_an_encoder_as_deep_as_the_decoder_is_the_same_shape_however_it_is_said():
    assert shape(depth=2, encoder_depth=2) == shape(depth=2)
    assert shape(depth=2, encoder_depth=3) != shape(depth=2)
    assert shape(depth=2, encoder_depth=3).facts()["encoder_depth"] == 3
    with pytest.raises(ConfigError, match="encoder_depth is 0"):
        shape(encoder_depth=0)


def test_branches_of_each_stack_count_as_one_over_its_blocks():
    made = shape(depth=2, encoder_depth=8)
    model = FAMILY.build(made, [1], ModelOptions(residual_scale=1.0))
    assert model.encoder_scale * 8 == model.residual_scale * 2


@pytest.mark.filterwarnings("ignore")  # what PyTorch warns itself of while it traces
@pytest.mark.parametrize("is_padded", [False, True])
def test_compiled_blocks_compute_the_same(is_padded):
    made = shape(depth=2, encoder_depth=3)
    built, (tokens, source) = FAMILY.build(made, [1], ModelOptions()), pair()
    noise = torch.randn(1, made.params, generator=torch.Generator().manual_seed(0))
    built.hold(built.held_weights() + 0.2 * noise)
    seen = (tokens, source, torch.arange(5)[None, None] < 3) if is_padded else (tokens, source)
    expected = built(*seen)
    expected.sum().backward()
    gradient, built.weights.grad = built.weights.grad, None
    # The whole way through tracing, forward and backward, but for the generation of machine code.
    built.compile_blocks(backend="aot_eager", fullgraph=True)
    found = built(*seen)
    found.sum().backward()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    # Traced operations are decomposed: float32 sums in another order.
    assert (built.weights.grad - gradient).norm() < 1e-5 * gradient.norm()
