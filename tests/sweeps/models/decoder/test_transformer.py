"""Facts about the decoder: what every family keeps, and what its operations compute."""

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.compute import FlopConvention
from scaling.errors import ConfigError
from scaling.shape import TransformerShape
from sweeps.config.model import ModelConfig
from sweeps.models.decoder.family import DecoderFamily
from sweeps.models.decoder.stack import Transformer
from sweeps.models.family import ModelSizes
from sweeps.models.kernels.operations import (
    NORM_EPSILON,
    add_product,
    add_squared_relu_mlp,
    norm_project,
    project_heads,
    rms_norm,
)
from sweeps.models.registry import FAMILIES
from sweeps.objectives.cross_entropy import token_losses
from tests.conformance.family import FamilyContract

FAMILY = DecoderFamily()
SIZES = [
    ({"head_size": 16, "context": 64}, 32, 2, 16),
    ({"head_size": 8, "context": 16}, 8, 1, 64),
    ({"head_size": 16, "context": 64}, 48, 1, 256),
    ({"head_size": 32, "context": 128}, 64, 3, 96),
    ({"head_size": 8, "context": 24}, 96, 2, 256),
    ({"head_size": 2, "context": 7}, 24, 4, 33),
    ({"head_size": 16, "context": 64, "mlp": "swiglu"}, 32, 2, 16),
    ({"head_size": 16, "context": 24, "tied_head": True}, 48, 2, 96),
    ({"head_size": 8, "context": 24, "mlp": "swiglu", "tied_head": True}, 40, 3, 96),
]
SHAPES = [
    FAMILY.shape(ModelConfig(**model), ModelSizes(width=width, depth=depth, vocab_size=vocab_size))
    for model, width, depth, vocab_size in SIZES
]


class TestDecoderFamily(FamilyContract):
    family = FAMILY
    sizes = SIZES


@pytest.mark.parametrize("size", SIZES[:3])
def test_seeing_both_sides_it_has_the_same_weights_and_every_pair_counts(size):
    settings, width, depth, vocab_size = size
    sizes = {"width": width, "depth": depth, "vocab_size": vocab_size}
    model = ModelConfig(**settings)
    past, both = (FAMILY.shape(model, ModelSizes(**sizes, view=view)) for view in ("past", "both"))
    assert both.flops_per_token() == past.flops_per_token(FlopConvention.FULL)
    assert both.flops_per_token() > past.flops_per_token()
    one, other = scrambled(past), scrambled(both)
    assert torch.equal(one.weights, other.weights)
    tokens = random_tokens(both, sequences=1)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        before = other(tokens)
        before.sum().backward()
    assert counter.get_total_flops() == both.flops_per_token() * tokens.numel()
    changed = tokens.clone()
    changed[..., -1] = (changed[..., -1] + 1) % vocab_size
    assert torch.equal(one(tokens)[:, 0], one(changed)[:, 0])
    assert not torch.allclose(before[:, 0], other(changed)[:, 0])  # the first sees the last


def test_every_family_is_held_to_the_contract():
    from tests.sweeps.models.encoder_decoder import test_encoder_decoder  # noqa: F401 - theirs too
    from tests.sweeps.models.linear_lm import test_linear_lm  # noqa: F401

    tested = {contract.family.name for contract in FamilyContract.__subclasses__()}
    assert tested >= FAMILIES.keys()


def random_tokens(shape, replicas=1, sequences=3, extra=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = (replicas, sequences, shape.context + extra)
    return torch.randint(shape.vocab_size, size, generator=generator)


def scrambled(shape, seeds=(1,)):
    """A model whose matrices are all non-zero, as after training."""
    model = Transformer(shape, seeds)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(5)
        model.weights += 0.1 * torch.randn(model.weights.shape[1], generator=generator)
    return model


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_group_of_matrices_has_the_parameters_the_arithmetic_says(shape):
    model = Transformer(shape, [0])
    sizes = {name: matrix.numel() for name, matrix in model.matrices().items()}
    assert sizes["embedding"] == shape.params_embedding
    assert sizes.get("head", 0) == shape.params_head
    attention = sum(size for name, size in sizes.items() if "attention" in name)
    assert attention == shape.params_attention
    assert sum(size for name, size in sizes.items() if "mlp" in name) == shape.params_mlp


def test_only_relative_positions_matter():
    # Rotary positions: the same tokens further right have the same products of queries and keys,
    # up to float32 rounding of the rotations.
    shape = TransformerShape(width=32, depth=1, head_size=16, context=8, vocab_size=16)
    generator = torch.Generator().manual_seed(0)
    here, between = torch.randn(2, 1, 2, 32, generator=generator)
    x = torch.cat((here, between, between, here), dim=1)
    matrix = torch.randn(1, 32, 96, generator=generator)
    _, query, key, _ = project_heads(x, matrix, Transformer(shape, [1])._turns(8), 1, 2)
    products = query @ key.transpose(-1, -2)
    torch.testing.assert_close(products[..., 6:, 6:], products[..., :2, :2], rtol=0, atol=1e-4)
    assert not torch.allclose(products[..., 6:, :2], products[..., :2, :2], rtol=0, atol=1e-1)


def test_a_tied_head_starts_near_the_uniform_loss():
    shape = SHAPES[7]
    tokens = random_tokens(shape)
    losses, _ = token_losses(Transformer(shape, [1])(tokens[..., :-1]), tokens[..., 1:].flatten(1))
    # Logits of random vectors over the width have a spread of 1 / sqrt(48): half its square.
    assert losses.mean().item() == pytest.approx(math.log(96) + 0.5 / 48, abs=0.02)


def test_the_logits_of_a_tied_head_are_so_many_times_as_large():
    shape = SHAPES[7]
    tokens = random_tokens(shape)
    plain, larger = (Transformer(shape, [1], tied_logit_factor=factor) for factor in (1.0, 12.8))
    torch.testing.assert_close(larger(tokens), 12.8 * plain(tokens))
    states = larger.states(tokens)  # what its head makes of them are the logits
    torch.testing.assert_close(states @ larger.head, larger(tokens))
    assert torch.equal(larger.weights, plain.weights)


def test_a_gated_mlp_has_about_as_many_parameters():
    gated, plain = (
        TransformerShape(width=192, depth=2, head_size=16, context=8, vocab_size=8, mlp=mlp)
        for mlp in ("swiglu", "relu2")
    )
    assert gated.params_mlp == pytest.approx(plain.params_mlp, rel=0.01)


def test_an_unknown_mlp_is_refused():
    with pytest.raises(ConfigError, match="choose one of relu2, swiglu"):
        TransformerShape(width=8, depth=1, head_size=8, context=8, vocab_size=8, mlp="gelu")


def test_losses_and_their_gradients_are_those_of_automatic_differentiation():
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(2, 5, 7, generator=generator)).double().requires_grad_()
    targets = torch.randint(7, (2, 5), generator=generator)
    losses, log_partition = token_losses(logits, targets)
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none"
    ).view(2, 5)
    # Both return float32.
    torch.testing.assert_close(losses.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log_partition.double(), logits.logsumexp(-1), rtol=1e-6, atol=1e-6)
    (losses.sum() + 0.3 * log_partition.square().sum()).backward()
    gradient, logits.grad = logits.grad, None
    (expected.sum() + 0.3 * logits.logsumexp(-1).square().sum()).backward()
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-5, atol=1e-5)


def test_the_norm_and_its_gradient_are_those_of_automatic_differentiation():
    x = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(1))
    (rms_norm(x) * weight).sum().backward()
    gradient, x.grad = x.grad, None
    expected = torch.nn.functional.rms_norm(x, (8,), eps=NORM_EPSILON)
    torch.testing.assert_close(rms_norm(x), expected)
    (expected * weight).sum().backward()
    torch.testing.assert_close(gradient, x.grad)


def test_bfloat16_products_change_the_loss_by_rounding_alone():
    shape = SHAPES[2]
    model, tokens = scrambled(shape), random_tokens(shape, extra=1)
    exact, _ = token_losses(model(tokens[..., :-1]), tokens[..., 1:].flatten(1))
    model.compute_dtype = torch.bfloat16
    rounded, _ = token_losses(model(tokens[..., :-1]), tokens[..., 1:].flatten(1))
    assert rounded.dtype == torch.float32
    # Eight bits of mantissa: 0.4% of each logit, averaged over 192 tokens.
    assert rounded.mean().item() == pytest.approx(exact.mean().item(), rel=5e-3)
    rounded.sum().backward()
    assert model.weights.grad.dtype == torch.float32


@pytest.mark.filterwarnings("ignore")  # what PyTorch warns itself of while it traces
def test_compiled_blocks_compute_the_same():
    shape = SHAPES[3]
    model, tokens = scrambled(shape), random_tokens(shape)
    expected = model(tokens)
    expected.sum().backward()
    gradient, model.weights.grad = model.weights.grad, None
    # The whole way through tracing, forward and backward, but for the generation of machine code.
    model.compile_blocks(backend="aot_eager", fullgraph=True)
    found = model(tokens)
    found.sum().backward()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    # Traced operations are decomposed: float32 sums in another order.
    assert (model.weights.grad - gradient).norm() < 1e-5 * gradient.norm()


def random_inputs(*sizes):
    """Tensors with gradients, one of each size."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, generator=generator).requires_grad_() for size in sizes]


def unit(x):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], eps=NORM_EPSILON)


def assert_equal_with_gradients(found, expected, inputs):
    """Results and gradients of a random combination of them, of `found` and `expected`."""
    generator = torch.Generator().manual_seed(1)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)  # float32 sums, reordered
    directions = [torch.randn(one.shape, generator=generator) for one in found]
    gradients = [
        torch.autograd.grad(results, inputs, directions, retain_graph=True)
        for results in (found, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_norm_and_projection_are_those_of_automatic_differentiation():
    x, matrix = inputs = random_inputs((2, 5, 6), (2, 6, 7))
    assert_equal_with_gradients(norm_project(x, matrix), (x, unit(x) @ matrix), inputs)
    only_projected, expected = norm_project(x, matrix)[1:], (unit(x) @ matrix,)
    assert_equal_with_gradients(only_projected, expected, inputs)


def test_an_added_product_is_that_of_automatic_differentiation():
    x, branch, matrix = inputs = random_inputs((2, 5, 6), (2, 5, 7), (2, 7, 6))
    expected = x + 0.3 * branch @ matrix
    assert_equal_with_gradients([add_product(x, branch, matrix, 0.3)], [expected], inputs)


def test_the_mlp_with_squared_relu_is_that_of_automatic_differentiation():
    x, inner, outer = inputs = random_inputs((2, 5, 6), (2, 6, 7), (2, 7, 6))
    expected = x + 0.3 * (unit(x) @ inner).relu().square() @ outer
    assert_equal_with_gradients([add_squared_relu_mlp(x, inner, outer, 0.3)], [expected], inputs)


@pytest.mark.parametrize("form", [torch.view_as_complex, torch.clone])
def test_projected_heads_are_those_of_automatic_differentiation(form):
    x, matrix = inputs = random_inputs((2, 10, 24), (2, 24, 72))
    angles = torch.randn(5, 1, 1, 3, generator=torch.Generator().manual_seed(2))
    cosine, sine = angles.cos(), angles.sin()
    found = project_heads(x, matrix, form(torch.stack((cosine, sine), dim=-1)), 2, 4)
    heads = (unit(x) @ matrix).view(4, 5, 3, 4, 6)
    first, second = unit(heads[:, :, :2]).unflatten(-1, (3, 2)).unbind(-1)
    turned = torch.stack((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
    query, key = turned.flatten(-2).transpose(1, 3).unbind(2)
    expected = (x, query, key, heads[:, :, 2].transpose(1, 2))
    assert_equal_with_gradients(found, expected, inputs)


def test_what_a_seed_draws_is_turned_in_pairs_half_a_head_apart():
    # So it was when published numbers were measured: pairs are neighbours now, for speed.
    shape = SHAPES[2]
    drawn = torch.randn(256 * 48 + 48 * 144, generator=torch.Generator().manual_seed(3))
    drawn = drawn[256 * 48 :].view(48, 3, 3, 16) / math.sqrt(48)
    found = Transformer(shape, [3]).matrices()["block0.attention_in"].view(48, 3, 3, 16)
    torch.testing.assert_close(found[:, :2, :, 0::2], drawn[:, :2, :, :8])
    torch.testing.assert_close(found[:, :2, :, 1::2], drawn[:, :2, :, 8:])
    torch.testing.assert_close(found[:, 2], drawn[:, 2])
