"""Coordinate check: along width and depth, what blocks and head put out keeps its size.

Yang & Hu 2021 (arXiv:2011.14522) and the README of microsoft/mup: a parametrisation transfers only
if no activation grows or shrinks with the size of the model while it trains. EleutherAI/nanoGPT-mup
looks, as we do, at mean absolute outputs of attention, MLP and head over the first ten steps. Four
things are ours; docs/log.md has the numbers behind them:

- Blocks are compared where they correspond. The first block reads the embedding alone, whatever the
  depth, so it is compared with first blocks. The others read the stream at relative depths 1/L to
  1 - 1/L, whose mean is one half for every L. A mean over all blocks holds the first with a share
  of 1/L: its limit is approached as 1/L, which looks like a slope where there is none.
- The learning rate warms up over 40 steps, of which ten are taken. At the peak from the first step,
  or within ten, the stream grows to ten or thirty times the embedding, and differences of a percent
  grow with it: slopes then tell of that instability.
- Sizes are compared after the third step: branches and head start at zero.
- A slope may be as large as makes a fifth between the smallest model and the largest, which is what
  the check of learning rates allows them. Narrow models are short of their limit: some slopes are
  real, fall with every doubling, and stay within that; wrong rules give .3 and more.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from scaling.shape import TransformerShape
from scaling.words import counted
from sweeps.checks.finding import (
    MOST_APART,
    Bench,
    Finding,
    stderr_of_mean,
    until_decided,
)
from sweeps.models.decoder.stack import Transformer
from sweeps.training.batches import batch_of
from sweeps.training.plain_loop import backward
from sweeps.training.stack import build_model, build_optimizer

STEPS, SETTLED_STEP, WARMUP_STEPS = 10, 3, 40
#: Five seeds are some seconds; slopes of single seeds lie .02 to .11 apart.
LOOKS = ((1, 2, 3, 4, 5), (6, 7, 8, 9, 10), tuple(range(11, 21)), tuple(range(21, 41)))
_STACKED = 5  # seeds trained at once
QUANTITIES = (
    "attention of the first block",
    "attention of later blocks",
    "MLP of the first block",
    "MLP of later blocks",
    "stream of later blocks",
    "attention logits",
    "logits",
)


def check_coordinates(
    bench: Bench,
    *,
    doublings_of_width: int = 4,
    doublings_of_depth: int = 4,
    looks: Sequence[Sequence[int]] = LOOKS,
    most_flops: float = math.inf,
) -> Iterator[Finding]:
    """Slopes of log size on log width and on log depth, for each quantity, over the steps after the
    third. Looks after the first that would take more than so many FLOP along an axis are left
    out."""
    width, depth = bench.widths[0], bench.depths[0]
    if not isinstance(bench.plan(width, depth).shape, TransformerShape):
        yield Finding(
            check="coordinates",
            measured=None,
            threshold=MOST_APART,
            detail="looks inside the blocks of a decoder alone, and of no other family",
        )
        return
    wider = [(width * 2**times, depth) for times in range(doublings_of_width + 1)]
    deeper = [(width, depth * 2**times) for times in range(doublings_of_depth + 1)]
    if doublings_of_width:
        yield from _slopes(bench, "width", wider, _affordable(bench, wider, looks, most_flops))
    if doublings_of_depth:
        yield from _slopes(bench, "depth", deeper, _affordable(bench, deeper, looks, most_flops))


def _affordable(
    bench: Bench, shapes: Sequence[tuple[int, int]], looks: Sequence[Sequence[int]], most: float
) -> Sequence[Sequence[int]]:
    """The looks that together take at most so many FLOP, and the first in any case."""
    plans = [bench.plan(*shape) for shape in shapes]
    of_a_seed = sum(STEPS * plan.train_flops / plan.settings.steps for plan in plans)
    seeds = itertools.accumulate(map(len, looks))
    return [
        look
        for place, (look, count) in enumerate(zip(looks, seeds, strict=True))
        if place == 0 or count * of_a_seed <= most
    ]


def _slopes(
    bench: Bench, axis: str, shapes: Sequence[tuple[int, int]], looks: Sequence[Sequence[int]]
) -> list[Finding]:
    along = np.log([shape[axis == "depth"] for shape in shapes])

    def measured(seeds: Sequence[int]) -> np.ndarray:
        """(seeds, shapes, quantities) Mean log sizes after the settled step."""
        stacks = [seeds[first : first + _STACKED] for first in range(0, len(seeds), _STACKED)]
        return np.concatenate(
            [
                np.stack(
                    [
                        np.log(sizes_in_training(bench, *shape, stack)[SETTLED_STEP:]).mean(axis=0)
                        for shape in shapes
                    ],
                    axis=1,
                )
                for stack in stacks
            ]
        )

    def findings_of(sizes: np.ndarray) -> list[Finding]:
        return slopes_of(axis, along, sizes, looks=len(looks))

    return until_decided(looks, measured, findings_of)


def slopes_of(axis: str, along: np.ndarray, sizes: np.ndarray, *, looks: int) -> list[Finding]:
    """The finding of each quantity, looked at so often. along: (shapes,) logarithms of widths or
    depths; sizes: (seeds, shapes, quantities), logarithms"""
    return [
        _finding(f"{quantity} along {axis}", along, sizes[..., place], looks=looks)
        for place, quantity in enumerate(QUANTITIES)
    ]


def _finding(check: str, along: np.ndarray, sizes: np.ndarray, *, looks: int) -> Finding:
    """The slope of one quantity. sizes: (seeds, shapes), logarithms"""
    slopes = np.polyfit(along, sizes.T, 1)[0]  # (seeds,)
    return Finding(
        check=f"coordinates: {check}",
        measured=float(slopes.mean()),
        threshold=MOST_APART / float(along[-1] - along[0]),
        stderr=stderr_of_mean(slopes),
        degrees_of_freedom=len(slopes) - 1,
        looks=looks,
        detail=f"slope, {counted(len(slopes), 'seed')}; sizes "
        + " ".join(f"{size:.3g}" for size in np.exp(sizes.mean(axis=0))),
    )


def sizes_in_training(bench: Bench, width: int, depth: int, seeds: Sequence[int]) -> np.ndarray:
    """(steps, seeds, quantities) Mean absolute sizes after each of the first steps."""
    plans = []
    for seed in seeds:
        plan = bench.plan(width, depth, seed)
        settings = dataclasses.replace(plan.settings, warmup_steps=WARMUP_STEPS)
        plans.append(dataclasses.replace(plan, settings=settings))
    model = build_model(*plans)
    optimizer = build_optimizer(model, *plans)
    assert isinstance(model, Transformer), "asked of this family alone"
    probe = batch_of(plans, bench.corpus, STEPS).inputs
    sizes = []
    for step in range(STEPS):
        backward(plans[0], model, batch_of(plans, bench.corpus, step))
        optimizer.step()
        sizes.append(sizes_of(model, probe))
    return np.stack(sizes)


@dataclass(frozen=True)
class ForwardPass:
    """What a model computed on its way from tokens to logits."""

    branches: Tensor
    """(2 depth, replicas, positions, width) What attention and MLP of each block put out, in turns,
    before the residual factor."""
    score_sizes: Tensor
    """(depth, replicas) Mean absolute attention logit."""
    logits: Tensor
    """(replicas, positions, vocabulary)"""


@torch.no_grad()
def watch_forward(model: Transformer, tokens: Tensor) -> ForwardPass:
    """One forward pass, seen from inside. tokens: (replicas, sequences, length)"""
    with _Watch(model.replicas) as watch:
        logits = model(tokens)
    # What is added to the stream has the residual factor in it.
    branches = torch.stack(watch.additions) / model.residual_scale
    return ForwardPass(branches, torch.stack(watch.score_sizes), logits)


def sizes_of(model: Transformer, tokens: Tensor) -> np.ndarray:
    """(replicas, quantities) Mean absolute size of each quantity of a forward pass, of a model of
    at least two blocks."""
    seen, depth = watch_forward(model, tokens), model.shape.depth
    attention, mlp = seen.branches[::2], seen.branches[1::2]
    # What later blocks add to the stream, and one as strong as they are in the first one's place.
    later = model.residual_scale * seen.branches[2:].sum(dim=0) * depth / (depth - 1)
    columns = (
        _size(attention[0]),
        torch.stack([_size(part) for part in attention[1:]]).mean(dim=0),
        _size(mlp[0]),
        torch.stack([_size(part) for part in mlp[1:]]).mean(dim=0),
        _size(later),
        seen.score_sizes.mean(dim=0),
        _size(seen.logits),
    )
    return torch.stack(columns, dim=1).numpy()


class _Watch(TorchFunctionMode):
    """Sees what every branch adds to the stream, and every attention, and leaves them be."""

    def __init__(self, replicas: int) -> None:
        super().__init__()
        self._replicas = replicas
        self.additions: list[Tensor] = []
        """(replicas, positions, width) Of each branch, its residual factor included."""
        self.score_sizes: list[Tensor] = []
        """(replicas,) Of each block."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.baddbmm:
            self.additions.append(torch.bmm(args[1], args[2]) * kwargs.get("alpha", 1))
        elif function is F.scaled_dot_product_attention:
            scale, is_causal = kwargs["scale"], kwargs["is_causal"]
            self.score_sizes.append(_score_size(args[0], args[1], scale, self._replicas, is_causal))
        return function(*args, **kwargs)


def _score_size(query: Tensor, key: Tensor, scale: float, replicas: int, is_causal: bool) -> Tensor:
    """(replicas,) Mean absolute attention logit over the positions that are shown."""
    scores = (query @ key.transpose(-1, -2) * scale).abs()
    shown = torch.ones(scores.shape[-2:], dtype=torch.bool)
    shown = shown.tril() if is_causal else shown
    return scores[..., shown].view(replicas, -1).mean(dim=1)


def _size(x: Tensor) -> Tensor:
    """(replicas,)"""
    return x.abs().flatten(1).mean(dim=1)
