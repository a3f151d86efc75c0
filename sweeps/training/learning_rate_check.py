"""Is each rung trained at its best learning rate? A packed check a rung, and signs in its curves.

A forecast extrapolates what the recipe did at each rung. A rung trained at half its best learning
rate bends the law, and nothing in its loss says so. So the cheapest run of each shape is trained
again at learning rates around the rule's, with the same seed and data order, as one stack.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray
from scaling.extra_columns.rung_health import Health
from sweeps.config.launch import LaunchConfig
from sweeps.data.sources.base import Corpus
from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor
from sweeps.planning.run_plan import RunPlan

if TYPE_CHECKING:
    import torch


#: A relative loss gap below this is none.
OK_GAP = 0.001
ON_CPU = LaunchConfig(device="cpu")
SPIKE_WINDOW, SPIKE_DEVIATIONS = 50, 5.0


@dataclass(frozen=True, kw_only=True)
class LearningRateCheck:
    """What the losses at learning rates around the rule's say about the rule."""

    factors: tuple[float, ...]
    """Learning rates tried, over the rule's."""
    losses: tuple[float, ...]
    """Validation losses there, nats per token; NaN where the run diverged."""
    seed_losses: tuple[tuple[float, ...], ...]
    """The same of each seed, by factor."""
    status: Health
    offset: float
    """ln of the best learning rate over the rule's; at an edge, of the best one tried."""
    curvature: float
    """Second derivative of the loss in ln learning rate, nats."""
    gap: float
    """What the rule costs against the best learning rate, relative to the loss."""
    gap_stderr: float
    """Over validation sequences and, with two seeds or more, over seeds. With one seed it says
    nothing of the spread between seeds, which is larger in small runs."""

    def record(self) -> dict[str, float | str]:
        """Columns of the records table, on the row of the run that was checked."""
        return {
            "health": self.status.value,
            "lr_offset": self.offset,
            "lr_curvature": self.curvature,
            "lr_gap": self.gap,
            "lr_gap_stderr": self.gap_stderr,
        }


def check_learning_rate(
    plan: RunPlan,
    corpus: Corpus,
    factors: Sequence[float],
    *,
    seeds: int = 1,
    launch: LaunchConfig = ON_CPU,
    on_step: Callable[[], None] = lambda: None,
) -> LearningRateCheck:
    """Train the run at these factors of its learning rate and find the best by a parabola.

    Its own seed and the `seeds` - 1 after it are averaged. Where the best lies outside, the factors
    are extended once by a step each way. `launch` says on which device, and how fast; `on_step` is
    called after every step of the training.
    """
    factors = sorted(factors)
    runs = [dataclasses.replace(plan, seed=plan.seed + more) for more in range(seeds)]
    train = functools.partial(_losses_at, runs, corpus, launch=launch, on_step=on_step)
    losses = train(factors)
    check = judge(factors, losses, capped=plan.settings.learning_rate_capped)
    if check.status is not Health.EDGE:
        return check
    below, above = factors[0] ** 2 / factors[1], factors[-1] ** 2 / factors[-2]
    outer = train([below, above])
    return judge(
        [below, *factors, above],
        np.concatenate([outer[:1], losses, outer[1:]]),
        capped=plan.settings.learning_rate_capped,
    )


def judge(
    factors: Sequence[float], sequence_losses: FloatArray, *, capped: bool
) -> LearningRateCheck:
    """The verdict on losses (factors, seeds, sequences), or (factors, sequences) of one seed;
    factors ascend and the rule's, 1, is among them.

    A parabola in ln learning rate goes through the best point and its two neighbours. Seeds and
    sequences are the same for all, so easy and hard ones cancel in the gap's standard error.
    """
    x = np.log(np.asarray(factors, dtype=np.float64))
    sequence_losses = np.asarray(sequence_losses, dtype=np.float64)
    sequence_losses = sequence_losses.reshape(len(x), -1, sequence_losses.shape[-1])
    losses = sequence_losses.mean(axis=(1, 2))
    rule = int(np.argmin(np.abs(x)))
    known = np.where(np.isfinite(losses), losses, np.inf)
    best = int(known.argmin())
    middle = min(max(best, 1), len(x) - 2)
    near = slice(middle - 1, middle + 2)
    offset, curvature, status = float(x[best]), math.nan, Health.EDGE
    gap = float(losses[rule] / known[best] - 1)
    gap_stderr = _standard_error(sequence_losses[rule] - sequence_losses[best]) / known[best]
    if np.isfinite(losses[near]).all():
        parabola = _parabolas(x[near], sequence_losses[near])
        slope, half = parabola[1].mean(), parabola[2].mean()
        curvature = float(2 * half)
        if half > 0 and x[0] <= -slope / (2 * half) <= x[-1]:
            offset = float(-slope / (2 * half))
            gap = float(slope**2 / (4 * half) / known[best])
            # First order in slope and half: where the rule is nearly right the slope's noise is all
            # that is left, so its variance enters too.
            influence = slope / (2 * half) * parabola[1] - (slope / (2 * half)) ** 2 * parabola[2]
            noise = _standard_error(parabola[1]) ** 2 / (4 * half)
            gap_stderr = float(np.hypot(_standard_error(influence), noise) / known[best])
            status = Health.OK if gap < OK_GAP else Health.SOFT
            status = Health.CAP if capped else status
    return LearningRateCheck(
        factors=tuple(map(float, factors)),
        losses=tuple(map(float, losses)),
        seed_losses=tuple(tuple(map(float, row)) for row in sequence_losses.mean(axis=2)),
        status=status,
        offset=offset,
        curvature=curvature,
        gap=gap,
        gap_stderr=float(gap_stderr),
    )


def count_spikes(losses: npt.ArrayLike) -> int:
    """How often a training loss jumps: above the median of the 50 steps before by 5 robust standard
    deviations of theirs. Steps in a row are one spike. losses: (steps,)."""
    values = np.asarray(losses, dtype=np.float64)
    if len(values) <= SPIKE_WINDOW:
        return 0
    past = np.lib.stride_tricks.sliding_window_view(values[:-1], SPIKE_WINDOW)
    median = np.median(past, axis=1)
    spread = 1.4826 * np.median(np.abs(past - median[:, None]), axis=1)
    high = values[SPIKE_WINDOW:] > median + SPIKE_DEVIATIONS * spread
    return int(high[0]) + int((high[1:] & ~high[:-1]).sum())


def _losses_at(
    runs: Sequence[RunPlan],
    corpus: Corpus,
    factors: Sequence[float],
    *,
    launch: LaunchConfig,
    on_step: Callable[[], None],
) -> FloatArray:
    """(factors, runs, sequences) Validation losses of the runs at these factors of their learning
    rate."""
    plans = [
        dataclasses.replace(run, settings=with_learning_rate_factor(run.settings, factor))
        for factor in factors
        for run in runs
    ]
    losses = sequence_losses(plans, corpus, launch=launch, on_step=on_step)
    return losses.reshape(len(factors), len(runs), -1)


def sequence_losses(
    plans: Sequence[RunPlan],
    corpus: Corpus,
    *,
    launch: LaunchConfig = ON_CPU,
    on_step: Callable[[], None] = lambda: None,
) -> FloatArray:
    """(runs, sequences) Validation losses of runs that are trained as one stack, on one device;
    fewer at once where memory runs out."""
    import torch

    from sweeps.training.step import StackTooLargeError

    alone = launch.changed(
        resources={"devices": 1, "nodes": 1, "strategy": "auto"}, validation={"evaluations": 0}
    )

    def train(plans: Sequence[RunPlan]) -> list[torch.Tensor]:
        try:
            return _trained_together(plans, corpus, alone, on_step)
        except (torch.OutOfMemoryError, StackTooLargeError):
            if len(plans) == 1:
                raise
        middle = len(plans) // 2
        return train(plans[:middle]) + train(plans[middle:])

    return np.asarray(torch.stack(train(plans)), dtype=np.float64)


def _trained_together(
    plans: Sequence[RunPlan], corpus: Corpus, launch: LaunchConfig, on_step: Callable[[], None]
) -> "list[torch.Tensor]":
    """The losses of each validation sequence, run by run, by the step that trains sweeps."""
    from sweeps.training.devices.device import choose_device
    from sweeps.training.evaluation import stack_losses
    from sweeps.training.stack import Stack

    stack = Stack(plans, corpus, launch)
    try:
        stack.advance(plans[0].settings.steps, on_step=on_step)
        stack.forget_step()
        model = stack.model.to(choose_device(launch.device))
        found = stack_losses(model, corpus, plans[0].asks, at_once=stack.micro_sequences)
    finally:
        stack.close()
    return [*found]


def _parabolas(x: FloatArray, losses: FloatArray) -> FloatArray:
    """(3, seeds, sequences) Coefficients of the parabola through three points, lowest order
    first."""
    flat = np.linalg.solve(np.vander(x, 3, increasing=True), losses.reshape(3, -1))
    return np.asarray(flat.reshape(losses.shape))


def _standard_error(values: FloatArray) -> float:
    """Of the mean of (seeds, sequences), both drawn at random; of one seed, over sequences."""
    over = [values.mean(axis=0), *([values.mean(axis=1)] if len(values) > 1 else [])]
    return math.sqrt(sum(float(means.var(ddof=1)) / len(means) for means in over))
