"""What lies around a split, by the laws that made it: twice the budget, and the wrong size.

At one budget the loss is flat around the best size, so a wrong size is told in what it wastes: a
model of half the size that reaches what the best one reaches with 80% of the budget wastes 20%.
Sizes that waste less than `LITTLE` of the budget are the flat region.
"""

from dataclasses import dataclass

import numpy as np

from analysis.decisions.demand import Demand
from analysis.forecasting.weighing.forecaster import Forecaster
from analysis.intervals import Interval
from scaling.arrays import FloatArray

LITTLE = 0.05  # share of a budget that a size in the flat region wastes at most
_SIZES = np.arange(-160, 161) * np.log(2) / 32  # of the curve of sizes: to 32 times, both ways

_LEAST, _STEP = np.log(1 / 32), np.log(2) / 4  # of the budgets that are looked at, in logs


@dataclass(frozen=True, kw_only=True)
class AroundBudget:
    """Log losses of best splits around one budget, over that budget's own, by fixed weights."""

    steps: FloatArray  # ln budget over this one, rising, zero among them
    rises: FloatArray  # ln loss over that of this one

    @property
    def of_doubling(self) -> float:
        """Change of the log loss by twice the budget."""
        return float(np.interp(np.log(2), self.steps, self.rises))

    def wasted(self, rise: float) -> float | None:
        """The share of the budget that a run wastes whose log loss lies this much above the best;
        None where the best split reaches that with less than a thirty-second of it."""
        before = self.steps <= 0
        steps, rises = self.steps[before], np.minimum.accumulate(self.rises[before])
        if rise > rises[0]:
            return None
        return float(-np.expm1(np.interp(-max(rise, 0.0), -rises, steps)))

    @property
    def of_little(self) -> float:
        """How much higher the log loss is of a run that wastes `LITTLE` of the budget."""
        return float(np.interp(np.log1p(-LITTLE), self.steps, self.rises))


@dataclass(frozen=True, kw_only=True)
class SizeCurve:
    """What models of other sizes reach with one budget; the best size among them. (sizes,) each."""

    params: FloatArray  # rising, from a thirty-second of the best size to 32 times it
    tokens: FloatArray  # that the budget leaves for training
    loss: FloatArray  # median of a new run's, nats per token


def size_curve(
    forecaster: Forecaster,
    demand: Demand,
    at: tuple[float, float, float],
    weights: FloatArray,
    little: float,
) -> tuple[SizeCurve, Interval]:
    """The sizes that a budget can train and serve, and those between which the log loss rises by no
    more than ``little``: by the weights (laws,) that the laws have there. ``at``: ln of the budget,
    of the best size and of its loss."""
    log_budget, log_best, log_loss = at
    log_n = log_best + _SIZES
    log_d = demand.log_tokens(forecaster.ladder.flops, np.array(log_budget), log_n)
    can = (log_d > 0) & (log_n <= demand.log_most)
    log_n, log_d = log_n[can], log_d[can]
    losses = forecaster.ensemble.values(np.column_stack([log_n, log_d])) @ weights
    best = int(np.argmin(np.abs(log_n - log_best)))
    rises = losses - losses[best]
    ends = (
        np.interp(little, np.maximum.accumulate(rises[side]), log_n[side])
        for side in (slice(best, None, -1), slice(best, None))
    )
    curve = SizeCurve(
        params=np.exp(log_n), tokens=np.exp(log_d), loss=np.exp(log_loss + losses - losses[best])
    )
    return curve, Interval(*(float(np.exp(end)) for end in ends))


def around_budget(
    forecaster: Forecaster, demand: Demand, log_budget: float, weights: FloatArray
) -> AroundBudget:
    """The best splits around a budget, by the weights (laws,) that the laws have there."""
    flops, ensemble = forecaster.ladder.flops, forecaster.ensemble
    below = np.arange(0.0, _LEAST - _STEP / 2, -_STEP)[::-1]
    steps = np.append(below, np.log(2))
    budgets = log_budget + steps
    log_n = demand.best_of_all(forecaster, budgets)
    log_d = demand.log_tokens(flops, budgets, log_n)
    losses = ensemble.values(np.column_stack([log_n, log_d])) @ weights
    return AroundBudget(steps=steps, rises=losses - losses[-2])
