"""Does the best learning rate stay where the rule says, over width and over depth?

The coordinate check alone is not enough: here short runs on the config's own text are swept over
learning rates, all seeds and rates of a shape as one stack.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from scaling.words import counted
from sweeps.checks.finding import Bench, Finding
from sweeps.planning.settings import with_learning_rate_factor
from sweeps.training.plain_loop import train_plainly

FACTORS = tuple(1.8**power for power in (-2, -1, 0, 1, 2))
_LARGEST_RATIO = 0.2  # ln of one optimum over another
_VALIDATION_SEQUENCES = 256


def check_transfer(bench: Bench) -> Iterator[Finding]:
    """|ln ratio of optima| from the narrowest to the widest model, and from the shallowest to the
    deepest."""
    small = (bench.widths[0], bench.depths[0])
    start = np.array(losses_over_rates(bench, *small))
    for axis, large in (
        ("width", (bench.widths[-1], small[1])),
        ("depth", (small[0], bench.depths[-1])),
    ):
        end = np.array(losses_over_rates(bench, *large))
        shift = best_rate(end.mean(axis=0)) - best_rate(start.mean(axis=0))
        ends = [best_rate(end[list(rows)].mean(axis=0)) for rows in _leave_one_out(len(end))]
        starts = [best_rate(start[list(rows)].mean(axis=0)) for rows in _leave_one_out(len(end))]
        yield Finding(
            check=f"learning-rate transfer over {axis}",
            measured=shift,
            threshold=_LARGEST_RATIO,
            detail=f"ln ratio of optima, {small} to {large} (width, depth); standard error "
            f"over {counted(len(end), 'seed')} "
            f"{_jackknife_error(np.array(ends) - np.array(starts)):.2f}; "
            f"optima over the rule's: {np.exp(best_rate(start.mean(axis=0))):.2f}, "
            f"{np.exp(best_rate(end.mean(axis=0))):.2f}",
        )


def losses_over_rates(bench: Bench, width: int, depth: int) -> list[list[float]]:
    """(seeds, factors) Validation losses of a shape, nats per token."""
    plans = [
        dataclasses.replace(plan, settings=with_learning_rate_factor(plan.settings, factor))
        for seed, factor in itertools.product(bench.seeds, FACTORS)
        for plan in [bench.plan(width, depth, seed)]
    ]
    runs = train_plainly(plans, bench.corpus, sequences=_VALIDATION_SEQUENCES)
    return runs.validation_losses.view(len(bench.seeds), len(FACTORS)).tolist()


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


def _leave_one_out(count: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations(range(count), count - 1)) if count > 1 else []


def _jackknife_error(values: np.ndarray) -> float:
    """Standard error of what was computed without each seed in turn (Quenouille, Tukey)."""
    count = len(values)
    return float(np.sqrt((count - 1) ** 2 / count * values.var(ddof=1))) if count > 1 else np.nan
