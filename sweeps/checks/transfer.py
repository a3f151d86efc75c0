"""Does the best learning rate stay where the rule says, over width and over depth?

The coordinate check alone is not enough: here short runs on the config's own text are swept over
learning rates, all seeds and rates of a shape as one stack.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from scaling.words import counted
from sweeps.checks.finding import MOST_APART, Bench, Finding, until_decided
from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor
from sweeps.training.plain_loop import train_plainly

FACTORS = tuple(1.8**power for power in (-2, -1, 0, 1, 2))
_VALIDATION_SEQUENCES = 256


def check_transfer(bench: Bench) -> Iterator[Finding]:
    """|ln ratio of optima| from the narrowest to the widest model, and from the shallowest to the
    deepest."""
    small = (bench.widths[0], bench.depths[0])
    ends = {"width": (bench.widths[-1], small[1])}
    if len(bench.depths) > 1:
        ends["depth"] = (small[0], bench.depths[-1])
    shapes = (small, *ends.values())

    def findings_of(losses: np.ndarray) -> list[Finding]:
        """losses: (seeds, shapes, factors)"""
        best = _best_rates(losses)
        without = np.array([_best_rates(losses[list(rows)]) for rows in _leave_one_out(losses)])
        return [
            Finding(
                check=f"learning-rate transfer over {axis}",
                measured=float(best[place] - best[0]),
                threshold=MOST_APART,
                stderr=_jackknife_error(without[:, place] - without[:, 0])
                if len(without)
                else np.nan,
                degrees_of_freedom=len(losses) - 1,
                looks=len(bench.looks),
                detail=f"ln ratio of optima, {small} to {large} (width, depth), "
                f"{counted(len(losses), 'seed')}; optima over the rule's: {np.exp(best[0]):.2f}, "
                f"{np.exp(best[place]):.2f}",
            )
            for place, (axis, large) in enumerate(ends.items(), start=1)
        ]

    def measured(seeds: Sequence[int]) -> np.ndarray:
        return np.stack([losses_over_rates(bench, *shape, seeds) for shape in shapes], axis=1)

    yield from until_decided(bench.looks, measured, findings_of)
    if "depth" not in ends:
        yield Finding(
            check="learning-rate transfer over depth",
            measured=None,
            threshold=MOST_APART,
            detail=f"models of this family all have depth {small[1]}",
        )


def losses_over_rates(bench: Bench, width: int, depth: int, seeds: Sequence[int]) -> np.ndarray:
    """(seeds, factors) Validation losses of a shape, nats per token."""
    plans = [
        dataclasses.replace(plan, settings=with_learning_rate_factor(plan.settings, factor))
        for seed, factor in itertools.product(seeds, FACTORS)
        for plan in [bench.plan(width, depth, seed)]
    ]
    runs = train_plainly(plans, bench.corpus, sequences=_VALIDATION_SEQUENCES)
    return runs.validation_losses.view(len(seeds), len(FACTORS)).numpy()


def _best_rates(losses: np.ndarray) -> np.ndarray:
    """(shapes,) Of the seeds' mean losses. losses: (seeds, shapes, factors)"""
    return np.array([best_rate(shape) for shape in losses.mean(axis=0)])


def best_rate(losses: Sequence[float] | np.ndarray) -> float:
    """ln of the best learning rate over the rule's, by the parabola through the best point and its
    neighbours; never outside what was tried. losses: (factors,)."""
    x, y = np.log(FACTORS), np.nan_to_num(np.asarray(losses), nan=np.inf)
    middle = int(np.clip(y.argmin(), 1, len(x) - 2))
    near = slice(middle - 1, middle + 2)
    if not np.isfinite(y[near]).all():
        return float(x[y.argmin()])
    half, slope, _ = np.polyfit(x[near], y[near], 2)
    if half <= 0:
        return float(x[y.argmin()])
    return float(np.clip(-slope / (2 * half), x[0], x[-1]))


def _leave_one_out(losses: np.ndarray) -> list[tuple[int, ...]]:
    count = len(losses)
    return list(itertools.combinations(range(count), count - 1)) if count > 1 else []


def _jackknife_error(values: np.ndarray) -> float:
    """Standard error of what was computed without each seed in turn (Quenouille, Tukey)."""
    count = len(values)
    return float(np.sqrt((count - 1) ** 2 / count * values.var(ddof=1))) if count > 1 else np.nan
