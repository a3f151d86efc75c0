# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""The kernels of `fused`, in Triton: one pass over memory each, sums in float32.

`TRITON_INTERPRET=1`, set before this file is imported, runs them on a CPU, slowly.
"""

import os
from typing import Any

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # as it is, said before Triton asks

import torch  # noqa: E402
import triton  # noqa: E402
import triton.language as tl  # noqa: E402
from torch import Tensor  # noqa: E402

#: Whether Triton runs kernels on a CPU, as its own words have it.
INTERPRETED = os.environ.get("TRITON_INTERPRET", "") in ("1", "true", "on", "yes", "y")

_ENTRIES = 4096  # that a program holds at once
_FLAT = 1024  # of those that go through a tensor entry by entry


@triton.jit
def _norm(x, y, scale, rows, width, epsilon, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = (row < rows)[:, None] & (column < width)[None, :]
    places = row.to(tl.int64)[:, None] * width + column[None, :]
    entries = tl.load(x + places, mask=inside, other=0.0).to(tl.float32)
    factor = tl.rsqrt(tl.sum(entries * entries, axis=1) / width + epsilon)
    tl.store(scale + row, factor, mask=row < rows)
    tl.store(y + places, (entries * factor[:, None]).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _norm_back(
    of_stream, of_y, y, scale, found, rows, width,
    STREAM: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = (row < rows)[:, None] & (column < width)[None, :]
    places = row.to(tl.int64)[:, None] * width + column[None, :]
    slope = tl.load(of_y + places, mask=inside, other=0.0).to(tl.float32)
    unit = tl.load(y + places, mask=inside, other=0.0).to(tl.float32)
    factor = tl.load(scale + row, mask=row < rows, other=0.0)
    share = tl.sum(slope * unit, axis=1) / width
    through = (slope - unit * share[:, None]) * factor[:, None]
    if STREAM:
        through += tl.load(of_stream + places, mask=inside, other=0.0).to(tl.float32)
    tl.store(found + places, through.to(found.dtype.element_ty), mask=inside)


@triton.jit
def _turned(even, odd, cosine, sine):
    return even * cosine - odd * sine, odd * cosine + even * sine


@triton.jit
def _heads(
    heads, turns, scale, rows, length, epsilon,
    RUN: tl.constexpr, STEP: tl.constexpr, SIZE: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    # A row is one head of one token: RUN of them follow each other, STEP entries from token to
    # token.
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    pair = tl.arange(0, WIDTH // 2)
    token = row // RUN
    inside = (row < rows)[:, None] & (column < SIZE)[None, :]
    places = token.to(tl.int64)[:, None] * STEP + (row % RUN)[:, None] * SIZE + column[None, :]
    angles = (token % length)[:, None] * SIZE + 2 * pair[None, :]
    known = (row < rows)[:, None] & (2 * pair < SIZE)[None, :]
    entries = tl.load(heads + places, mask=inside, other=0.0).to(tl.float32)
    factor = tl.rsqrt(tl.sum(entries * entries, axis=1) / SIZE + epsilon)
    tl.store(scale + row, factor, mask=row < rows)
    cosine = tl.load(turns + angles, mask=known, other=0.0)
    sine = tl.load(turns + angles + 1, mask=known, other=0.0)
    even, odd = tl.split(tl.reshape(entries * factor[:, None], (ROWS, WIDTH // 2, 2)))
    even, odd = _turned(even, odd, cosine, sine)
    turned = tl.reshape(tl.join(even, odd), (ROWS, WIDTH))
    tl.store(heads + places, turned.to(heads.dtype.element_ty), mask=inside)


@triton.jit
def _head_back(
    part, of_part, by_sequence, by_head, by_place, pairs, scale, turns, found,
    rows, length, HEADS: tl.constexpr, PARTS: tl.constexpr, TURNED: tl.constexpr,
    SIZE: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    # One part's gradient, (sequences, heads, length, size), to its place among all parts.
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    pair = tl.arange(0, WIDTH // 2)
    token, head = row // HEADS, row % HEADS
    place = token % length
    inside = (row < rows)[:, None] & (column < SIZE)[None, :]
    start = (
        (token // length).to(tl.int64) * by_sequence
        + head.to(tl.int64) * by_head
        + place.to(tl.int64) * by_place
    )
    slope = tl.load(of_part + start[:, None] + column[None, :], mask=inside, other=0.0)
    slope = slope.to(tl.float32)
    line = (token.to(tl.int64) * PARTS + part) * HEADS + head
    places = line[:, None] * SIZE + column[None, :]
    if part < TURNED:
        unit = tl.load(pairs + places, mask=inside, other=0.0).to(tl.float32)
        kept = (token.to(tl.int64) * TURNED + part) * HEADS + head
        factor = tl.load(scale + kept, mask=row < rows, other=0.0)
        share = tl.sum(slope * unit, axis=1) / SIZE
        slope = (slope - unit * share[:, None]) * factor[:, None]
        angles = place[:, None] * SIZE + 2 * pair[None, :]
        known = (row < rows)[:, None] & (2 * pair < SIZE)[None, :]
        cosine = tl.load(turns + angles, mask=known, other=0.0)
        sine = tl.load(turns + angles + 1, mask=known, other=0.0)
        even, odd = tl.split(tl.reshape(slope, (ROWS, WIDTH // 2, 2)))
        even, odd = _turned(even, odd, cosine, -sine)
        slope = tl.reshape(tl.join(even, odd), (ROWS, WIDTH))
    tl.store(found + places, slope.to(found.dtype.element_ty), mask=inside)


@triton.jit
def _heads_back(
    of_0, sequence_0, head_0, place_0, of_1, sequence_1, head_1, place_1,
    of_2, sequence_2, head_2, place_2, pairs, scale, turns, found, rows, length,
    HEADS: tl.constexpr, PARTS: tl.constexpr, TURNED: tl.constexpr,
    SIZE: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    _head_back(
        0, of_0, sequence_0, head_0, place_0, pairs, scale, turns, found, rows, length,
        HEADS, PARTS, TURNED, SIZE, ROWS, WIDTH,
    )  # fmt: skip
    if PARTS > 1:
        _head_back(
            1, of_1, sequence_1, head_1, place_1, pairs, scale, turns, found, rows, length,
            HEADS, PARTS, TURNED, SIZE, ROWS, WIDTH,
        )  # fmt: skip
    if PARTS > 2:
        _head_back(
            2, of_2, sequence_2, head_2, place_2, pairs, scale, turns, found, rows, length,
            HEADS, PARTS, TURNED, SIZE, ROWS, WIDTH,
        )  # fmt: skip


@triton.jit
def _positive(hidden, place, inside):
    # No maximum: of 0 and what is no number that is 0, and a run that diverges would be hidden.
    value = tl.load(hidden + place, mask=inside, other=0.0).to(tl.float32)
    return tl.where(value < 0.0, 0.0, value)


@triton.jit
def _square(hidden, found, entries, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < entries
    positive = _positive(hidden, place, inside)
    tl.store(found + place, (positive * positive).to(found.dtype.element_ty), mask=inside)


@triton.jit
def _square_back(slope, hidden, entries, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < entries
    positive = _positive(hidden, place, inside)
    given = tl.load(slope + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(slope + place, (given * positive).to(slope.dtype.element_ty), mask=inside)
    tl.store(hidden + place, (positive * positive).to(hidden.dtype.element_ty), mask=inside)


@triton.jit
def _losses(
    logits, targets, loss, partition, rows, symbols, step,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = row < rows
    start = row.to(tl.int64)[:, None] * step
    largest = tl.full((ROWS,), -1e30, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    for first in range(0, symbols, BLOCK):
        column = first + tl.arange(0, BLOCK)
        inside = real[:, None] & (column < symbols)[None, :]
        value = tl.load(logits + start + column[None, :], mask=inside, other=-1e30).to(tl.float32)
        above = tl.maximum(largest, tl.max(value, axis=1))
        total = total * tl.exp(largest - above)
        total += tl.sum(tl.exp(value - above[:, None]), axis=1)
        largest = above
    target = tl.load(targets + row, mask=real, other=0)
    chosen = tl.load(logits + row.to(tl.int64) * step + target, mask=real, other=0.0)
    found = largest + tl.log(total)
    tl.store(partition + row, found, mask=real)
    tl.store(loss + row, found - chosen.to(tl.float32), mask=real)


@triton.jit
def _losses_back(
    logits, targets, partition, of_loss, of_partition, rows, symbols, step,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = row < rows
    start = row.to(tl.int64)[:, None] * step
    target = tl.load(targets + row, mask=real, other=0)[:, None]
    whole = tl.load(partition + row, mask=real, other=0.0)[:, None]
    of_target = tl.load(of_loss + row, mask=real, other=0.0)[:, None]
    of_all = of_target + tl.load(of_partition + row, mask=real, other=0.0)[:, None]
    for first in range(0, symbols, BLOCK):
        column = first + tl.arange(0, BLOCK)
        inside = real[:, None] & (column < symbols)[None, :]
        value = tl.load(logits + start + column[None, :], mask=inside, other=-1e30).to(tl.float32)
        slope = tl.exp(value - whole) * of_all
        slope -= tl.where(column[None, :] == target, of_target, 0.0)
        tl.store(logits + start + column[None, :], slope.to(logits.dtype.element_ty), mask=inside)


def rms_norm(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """x over the root of the mean square of its last dimension, and the factor, in float32."""
    x = x.contiguous()
    width = x.shape[-1]
    rows, y = x.numel() // width, torch.empty_like(x)
    scale = x.new_empty((*x.shape[:-1], 1), dtype=torch.float32)
    grid, sizes = _by_rows(rows, width)
    _norm[grid](x, y, scale, rows, width, epsilon, **sizes)
    return y, scale


def rms_norm_backward(of_y: Tensor, y: Tensor, scale: Tensor, of_stream: Tensor | None) -> Tensor:
    """The gradient of x from that of y; with what came past the norm (`of_stream`) added."""
    of_y, width, found = of_y.contiguous(), y.shape[-1], torch.empty_like(y)
    stream = of_y if of_stream is None else of_stream.contiguous()
    rows = y.numel() // width
    grid, sizes = _by_rows(rows, width)
    _norm_back[grid](
        stream, of_y, y, scale, found, rows, width, STREAM=of_stream is not None, **sizes
    )
    return found


def turn_heads_(heads: Tensor, turns: Tensor, turned: int, epsilon: float) -> Tensor:
    """Normalise the first `turned` parts of heads (sequences, length, parts, heads, size) and turn
    them by their places' angles, in place; the norms' factors, in float32."""
    sequences, length, parts, count, size = heads.shape
    rows = sequences * length * turned * count
    scale = heads.new_empty((sequences, length, turned, count, 1), dtype=torch.float32)
    grid, sizes = _by_rows(rows, size)
    _heads[grid](
        heads, turns.contiguous(), scale, rows, length, epsilon,
        RUN=turned * count, STEP=parts * count * size, SIZE=size, **sizes,
    )  # fmt: skip
    return scale


def turn_heads_backward(
    of_parts: list[Tensor], heads: Tensor, scale: Tensor, turns: Tensor, turned: int
) -> Tensor:
    """The gradient of heads before that, from those of the parts, (sequences, heads, length, size)
    each."""
    sequences, length, parts, count, size = heads.shape
    rows, found = sequences * length * count, torch.empty_like(heads)
    dense = [part if part.stride(3) == 1 else part.contiguous() for part in of_parts]
    given: list[Any] = []
    for part in (*dense, *dense[:1] * (3 - parts)):
        given += (part, part.stride(0), part.stride(1), part.stride(2))
    grid, sizes = _by_rows(rows, size)
    _heads_back[grid](
        *given, heads, scale, turns.contiguous(), found, rows, length,
        HEADS=count, PARTS=parts, TURNED=turned, SIZE=size, **sizes,
    )  # fmt: skip
    return found


def squared_relu(hidden: Tensor) -> Tensor:
    """relu(hidden)^2."""
    found = torch.empty_like(hidden)
    _square[(triton.cdiv(hidden.numel(), _FLAT),)](hidden, found, hidden.numel(), BLOCK=_FLAT)
    return found


def squared_relu_backward_(slope: Tensor, hidden: Tensor) -> None:
    """Half the gradient of hidden in place of `slope`, that of its squared ReLU; and relu(hidden)^2
    in place of hidden."""
    grid = (triton.cdiv(hidden.numel(), _FLAT),)
    _square_back[grid](slope, hidden, hidden.numel(), BLOCK=_FLAT)


def cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row of logits: the loss of its target in nats, and the log-partition; in float32."""
    loss = torch.empty(targets.shape, dtype=torch.float32, device=logits.device)
    partition = torch.empty_like(loss)
    rows, symbols = targets.numel(), logits.shape[-1]
    grid, sizes = _by_blocks(rows, symbols)
    _losses[grid](
        logits, targets.contiguous(), loss, partition, rows, symbols, logits.stride(-2), **sizes
    )
    return loss, partition


def cross_entropy_backward_(
    logits: Tensor, targets: Tensor, partition: Tensor, of_loss: Tensor, of_partition: Tensor
) -> None:
    """The gradient of the logits in their place, from those of losses and log-partitions."""
    rows, symbols = targets.numel(), logits.shape[-1]
    grid, sizes = _by_blocks(rows, symbols)
    _losses_back[grid](
        logits, targets.contiguous(), partition, of_loss.contiguous(), of_partition.contiguous(),
        rows, symbols, logits.stride(-2), **sizes,
    )  # fmt: skip


def _by_rows(rows: int, width: int) -> tuple[tuple[int], dict[str, Any]]:
    """The programs that take whole rows, as many each as hold some entries."""
    padded = triton.next_power_of_2(width)
    each = max(1, _ENTRIES // padded)
    return (triton.cdiv(rows, each),), {"ROWS": each, "WIDTH": padded}


def _by_blocks(rows: int, symbols: int) -> tuple[tuple[int], dict[str, Any]]:
    """The same where a row may be longer than a program holds."""
    block = min(_ENTRIES, triton.next_power_of_2(symbols))
    each = max(1, _ENTRIES // block)
    return (triton.cdiv(rows, each),), {"ROWS": each, "BLOCK": block}
