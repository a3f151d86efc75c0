"""Runs of a plan that are hardly another experiment than a run beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweeps.models.family import encoder_apart
from sweeps.planning.run_plan import RunPlan

_NEAR = 0.05  # of the tokens: a term B D^-0.3 of the loss moves by 1.5%


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    """A number of tokens of a shape that another of the plan all but repeats."""

    width: int
    depth: int
    tokens: int
    beside: int
    """The tokens of the run that stays."""
    runs: int
    flops: int
    """What leaving them out would save."""
    encoder_depth: int | None = None
    """None: the family has no encoder, or that has `depth` blocks, too."""

    def __str__(self) -> str:
        encoder = "" if self.encoder_depth is None else f"encoder depth {self.encoder_depth}, "
        size = f"width {self.width}, {encoder}depth {self.depth}"
        return f"{size}: {self.tokens:,} beside {self.beside:,}"


def near_duplicates(runs: Sequence[RunPlan]) -> tuple[NearDuplicate, ...]:
    """The tokens of each shape that lie within 5% of more tokens of it, which stay; seeds of one
    are one."""
    by_shape: dict[object, dict[int, list[RunPlan]]] = {}
    for run in runs:
        by_shape.setdefault(run.shape, {}).setdefault(run.tokens, []).append(run)
    found = []
    for horizons in by_shape.values():
        beside = None
        for tokens in sorted(horizons, reverse=True):
            if beside is None or np.log(beside / tokens) > _NEAR:
                beside = tokens
                continue
            near = horizons[tokens]
            found.append(
                NearDuplicate(
                    width=near[0].shape.width,
                    depth=near[0].shape.depth,
                    tokens=tokens,
                    beside=beside,
                    runs=len(near),
                    flops=sum(run.marginal_flops for run in near),
                    encoder_depth=encoder_apart(near[0].shape),
                )
            )
    return tuple(found)
