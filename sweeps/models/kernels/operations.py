"""Operations with gradients written out: they run on every token, and half the passes over memory
that automatic differentiation makes of them are saved.

Each function takes which of its operations are to run as one kernel (`fused`); a CPU runs none so.

Shapes: x is the residual stream (replicas, positions, width), a matrix (replicas, in, out).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import increment_version

from sweeps.models.kernels.fused import PLAIN, Fused, here, ops

NORM_EPSILON = 1e-6

Gradient = Tensor | None


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, fused: bool) -> Tensor:
        y, scale = _normalised(x, fused)
        ctx.save_for_backward(y, scale)
        ctx.fused = fused
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        y, scale = ctx.saved_tensors
        if not here(ctx.fused, y):
            gradient = gradient.clone()  # it is not ours to change
        return _through_norm(None, gradient, y, scale, ctx.fused), None


class _NormProject(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, fused: bool) -> tuple[Tensor, Tensor]:
        y, scale = _normalised(x, fused)
        ctx.save_for_backward(y, scale, matrix)
        ctx.fused = fused
        ctx.set_materialize_grads(False)
        return x, torch.bmm(y, matrix)

    @staticmethod
    def backward(ctx: Any, *gradients: Gradient) -> tuple[Tensor, Tensor, None]:
        of_stream, of_projected = gradients
        assert of_projected is not None, "what was projected is always used"
        y, scale, matrix = ctx.saved_tensors
        of_y = torch.bmm(of_projected, matrix.transpose(1, 2))
        of_matrix = torch.bmm(y.transpose(1, 2), of_projected)
        return _through_norm(of_stream, of_y, y, scale, ctx.fused), of_matrix, None


class _AddProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, branch: Tensor, matrix: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(branch, matrix)
        ctx.scale = scale
        return torch.baddbmm(x, branch, matrix, alpha=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (gradient,) = gradients
        branch, matrix = ctx.saved_tensors
        of_branch = _scaled_product(gradient, matrix.transpose(1, 2), ctx.scale)
        of_matrix = _scaled_product(branch.transpose(1, 2), gradient, ctx.scale)
        return gradient, of_branch, of_matrix, None


class _AddSquaredReluMlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, inner: Tensor, outer: Tensor, scale: float, fused: Fused
    ) -> Tensor:
        y, norm_scale = _normalised(x, fused.norm)
        hidden = torch.bmm(y, inner)
        squared = _squared_relu_(hidden, fused.mlp)
        ctx.save_for_backward(y, norm_scale, hidden, inner, outer)
        ctx.scale, ctx.fused = scale, fused
        return torch.baddbmm(x, squared, outer, alpha=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        y, norm_scale, hidden, inner, outer = ctx.saved_tensors
        # The derivative's factor 2 goes into the product.
        of_hidden = _scaled_product(gradient, outer.transpose(1, 2), 2 * ctx.scale)
        # Squared again, not kept: products are faster on what a cache holds. In place: nobody asks
        # for these gradients twice, and PyTorch would refuse.
        _squared_relu_backward_(of_hidden, hidden, ctx.fused.mlp)
        of_outer = _scaled_product(hidden.transpose(1, 2), gradient, ctx.scale)
        of_inner = torch.bmm(y.transpose(1, 2), of_hidden)
        of_y = torch.bmm(of_hidden, inner.transpose(1, 2))
        of_x = _through_norm(gradient, of_y, y, norm_scale, ctx.fused.norm)
        return of_x, of_inner, of_outer, None, None


class _ProjectHeads(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        matrix: Tensor,
        turns: Tensor,
        sizes: tuple[int, ...],
        turned: int,
        fused: Fused,
    ) -> tuple[Tensor, ...]:
        y, norm_scale = _normalised(x, fused.norm)
        heads = torch.bmm(y, matrix).view(sizes)
        scale = _turned_heads_(heads, turns, turned, fused.heads)
        ctx.save_for_backward(y, norm_scale, matrix, heads, scale, turns)
        ctx.turned, ctx.fused = turned, fused
        return x, *heads.transpose(1, 3).unbind(2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_stream, *of_parts = gradients
        y, norm_scale, matrix, heads, scale, turns = ctx.saved_tensors
        of_heads = _of_heads(of_parts, heads, scale, turns, ctx.turned, ctx.fused.heads)
        of_projected = of_heads.view(*y.shape[:2], -1)
        of_y = torch.bmm(of_projected, matrix.transpose(1, 2))
        of_matrix = torch.bmm(y.transpose(1, 2), of_projected)
        of_x = _through_norm(of_stream, of_y, y, norm_scale, ctx.fused.norm)
        return of_x, of_matrix, None, None, None, None


def _normalised(x: Tensor, fused: bool) -> tuple[Tensor, Tensor]:
    """x over the root of the mean square of its last dimension; and the factor that did it."""
    if here(fused, x):
        y, factor = ops.rms_norm(x, NORM_EPSILON)
        return y, factor
    scale = _norm_scale(x)
    return x * scale, scale


def _norm_scale(x: Tensor) -> Tensor:
    """One over the root of the mean square of the last dimension."""
    wide = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
    return norm.square_().div_(x.shape[-1]).add_(NORM_EPSILON).rsqrt_().to(x.dtype)


def _along_the_sphere(gradient: Tensor, y: Tensor) -> Tensor:
    """The gradient, in place, without its part along the normalised y."""
    share = (gradient * y).sum(dim=-1, keepdim=True)
    return gradient.addcmul_(y, share, value=-1 / y.shape[-1])


def _through_norm(
    of_stream: Gradient, of_y: Tensor, y: Tensor, scale: Tensor, fused: bool
) -> Tensor:
    """The stream's gradient: what comes past the norm and what comes through it. The gradient of y
    may be overwritten."""
    if here(fused, y):
        found: Tensor = ops.rms_norm_backward(of_y, y, scale, of_stream)
        return found
    through = _along_the_sphere(of_y, y)
    if of_stream is None:
        return through.mul_(scale)
    return torch.addcmul(of_stream, through, scale)


def _squared_relu_(hidden: Tensor, fused: bool) -> Tensor:
    """relu(hidden)^2; hidden may be changed, to what the backward takes."""
    if here(fused, hidden):
        found: Tensor = ops.squared_relu(hidden)
        return found
    return hidden.relu_().square()


def _squared_relu_backward_(slope: Tensor, hidden: Tensor, fused: bool) -> None:
    """The gradient of relu(hidden)^2, half of it, in place of that of its square; and that square
    in place of hidden."""
    if here(fused, hidden):
        ops.squared_relu_backward_(slope, hidden)
        increment_version(hidden)  # who asks for these gradients again is refused
    else:
        slope.mul_(hidden)
        hidden.square_()


def _turned_heads_(heads: Tensor, turns: Tensor, turned: int, fused: bool) -> Tensor:
    """Normalise, in place, the first parts of heads (sequences, length, parts, heads, size) and
    turn them; the norms' factors."""
    if here(fused, heads):
        factor: Tensor = ops.turn_heads_(heads, turns, turned, NORM_EPSILON)
        return factor
    pair = heads[:, :, :turned]
    scale = _norm_scale(pair)
    _turn_(pair.mul_(scale), turns)
    return scale


def _of_heads(
    of_parts: list[Tensor], heads: Tensor, scale: Tensor, turns: Tensor, turned: int, fused: bool
) -> Tensor:
    """The gradient of heads as they were projected, from those of the parts, (sequences, heads,
    length, size) each, of what `_turned_heads_` has made of them."""
    if here(fused, heads):
        found: Tensor = ops.turn_heads_backward(of_parts, heads, scale, turns, turned)
        return found
    of_heads = torch.stack([gradient.transpose(1, 2) for gradient in of_parts], dim=2)
    of_pair = _along_the_sphere(of_heads[:, :, :turned], heads[:, :, :turned]).mul_(scale)
    _turn_(of_pair, turns, back=True)
    return of_heads


def _scaled_product(one: Tensor, other: Tensor, scale: float) -> Tensor:
    """scale one other: the factor costs nothing inside the product."""
    return torch.baddbmm(one.new_empty(1, 1, 1), one, other, beta=0, alpha=scale)


def _turn_(x: Tensor, turns: Tensor, *, back: bool = False) -> None:
    """Turn, in place, each pair of neighbours in a head by an angle."""
    pairs = x.unflatten(-1, (-1, 2))
    if turns.is_complex():
        torch.view_as_complex(pairs).mul_(turns.conj() if back else turns)
        return
    cosine, sine = turns.unsqueeze(-1).unbind(-2)
    signed = torch.cat((sine, -sine) if back else (-sine, sine), dim=-1)
    swapped = pairs.flip(-1)
    pairs.mul_(cosine).addcmul_(swapped, signed)


def embedded(embedding: Tensor, tokens: Tensor) -> Tensor:
    """(replicas, positions, width) The rows of the tokens, (replicas, sequences, length), each from
    its replica's table, (replicas, vocabulary, width)."""
    replicas, vocab_size, width = embedding.shape
    offsets = torch.arange(replicas, device=tokens.device).view(-1, 1, 1) * vocab_size
    rows = F.embedding(tokens + offsets, embedding.reshape(replicas * vocab_size, width))
    return rows.view(replicas, -1, width)


def rms_norm(x: Tensor, fused: Fused = PLAIN) -> Tensor:
    """x over the root of the mean square of its last dimension; no gain."""
    result: Tensor = _RmsNorm.apply(x, fused.norm)
    return result


def norm_project(x: Tensor, matrix: Tensor, fused: Fused = PLAIN) -> tuple[Tensor, Tensor]:
    """x as it came, and rms_norm(x) matrix. Whoever adds to the stream takes the x given back: the
    gradients of both meet in one pass."""
    stream, projected = _NormProject.apply(x, matrix, fused.norm)
    return stream, projected


def add_product(x: Tensor, branch: Tensor, matrix: Tensor, scale: float) -> Tensor:
    """x + scale branch matrix."""
    result: Tensor = _AddProduct.apply(x, branch, matrix, scale)
    return result


def add_squared_relu_mlp(
    x: Tensor, inner: Tensor, outer: Tensor, scale: float, fused: Fused = PLAIN
) -> Tensor:
    """x + scale relu(rms_norm(x) inner)^2 outer."""
    result: Tensor = _AddSquaredReluMlp.apply(x, inner, outer, scale, fused)
    return result


def project_heads(
    x: Tensor, matrix: Tensor, turns: Tensor, sequences: int, heads: int, fused: Fused = PLAIN
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x as it came, and the queries, keys and values that rms_norm(x) matrix holds, each (all
    sequences, heads, length, head size).

    Queries and keys are normalised and turned by their positions' angles (rotary positions, Su et
    al. 2021, arXiv:2104.09864). turns: (length, 1, 1, head size / 2) complex numbers of modulus 1,
    or (..., head size / 2, 2) their parts, in float32 where `fused` has the heads.
    """
    sizes = x, matrix, turns, sequences, heads
    stream, query, key, value = _projected(*sizes, turned=2, fused=fused)
    return stream, query, key, value


def project_queries(
    x: Tensor, matrix: Tensor, turns: Tensor, sequences: int, heads: int, fused: Fused = PLAIN
) -> tuple[Tensor, Tensor]:
    """The same of queries alone, which ask another stream."""
    stream, query = _projected(x, matrix, turns, sequences, heads, turned=1, fused=fused)
    return stream, query


def project_memory(
    x: Tensor, matrix: Tensor, turns: Tensor, sequences: int, heads: int, fused: Fused = PLAIN
) -> tuple[Tensor, Tensor, Tensor]:
    """The same of keys and values alone, which another stream asks."""
    stream, key, value = _projected(x, matrix, turns, sequences, heads, turned=1, fused=fused)
    return stream, key, value


def _projected(
    x: Tensor,
    matrix: Tensor,
    turns: Tensor,
    sequences: int,
    heads: int,
    *,
    turned: int,
    fused: Fused,
) -> tuple[Tensor, ...]:
    """The first `turned` of the parts are normalised and turned."""
    replicas, positions, width = x.shape
    parts = matrix.shape[2] // width
    sizes = (replicas * sequences, positions // sequences, parts, heads, width // heads)
    found: tuple[Tensor, ...] = _ProjectHeads.apply(x, matrix, turns, sizes, turned, fused)
    return found
