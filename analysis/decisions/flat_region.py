"""What lies around a split, by the laws that made it: twice the budget, and the wrong size.

At one budget the loss is flat around the best size, so a wrong size is told in what it wastes: a
model of half the size that reaches what the best one reaches with 80% of the budget wastes 20%.
"""

from dataclasses import dataclass

import numpy as np

from analysis.decisions.demand import Demand
from analysis.forecasting.forecaster import Forecaster
from scaling.arrays import FloatArray

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
