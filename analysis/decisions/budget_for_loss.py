"""The inverse question: how much compute until the loss is reached?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.display import Result
from analysis.forecasting.answer.support import WIDEST_PLAN, signal_limits, target_limits
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import FURTHEST_DECADES, pose
from analysis.forecasting.weighing.forecaster import Forecaster, log_forecast, prepare
from analysis.forecasting.weighing.optimum import best_log_params
from analysis.intervals import Interval, interval_columns
from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode, codes, texts
from scaling.sources import Source, records_from

if TYPE_CHECKING:
    from pandas import DataFrame

STEP = 0.05  # decades between the budgets that are tried


@dataclass(frozen=True, kw_only=True, repr=False)
class BudgetForLoss(Result):
    """The budget at which a new run reaches a loss.

    Read it as: with the low end of the 90% range a run has a 5% chance to reach the loss, with
    the high end 95%. ``low`` 0 means below every budget in the data; infinite means not within
    12 decades, however much is spent: the laws cannot rule out a floor above this loss.
    """

    loss: float  # nats per token
    column: str  # what is spent: train_flops, or the x column
    median: float | None  # None where its digits mean nothing; infinite where never reached
    ranges: Mapping[float, Interval]  # confidence level -> range of budgets
    limits: tuple[Limit, ...]

    @property
    def supported(self) -> bool:
        """Whether a forecast at the median is (`analysis.forecasting.answer.support`)."""
        return self.median is not None and np.isfinite(self.median)

    def in_meaningful_digits(self) -> "BudgetForLoss":
        """The same where it is supported; else budgets to one digit, an order of magnitude."""
        if self.supported:
            return self
        ranges = {
            level: Interval(*(float(f"{end:.0e}") for end in ends))
            for level, ends in self.ranges.items()
        }
        return replace(self, ranges=ranges)

    def to_frame(self) -> "DataFrame":
        """One row: the loss, the median budget (blank where it is not supported) in ``column``,
        low_90 and high_90 (by the levels), and the codes of its limits."""
        import pandas as pd

        shown = self.in_meaningful_digits()
        row = {
            "loss": shown.loss,
            "column": shown.column,
            "median": np.nan if shown.median is None else shown.median,
            **interval_columns(shown.ranges),
            "limits": codes(shown.limits),
        }
        return pd.DataFrame([row])


@dataclass(frozen=True, kw_only=True)
class BudgetQuestion:
    """A ladder made ready to be asked at budgets: the loss at the best split of each."""

    forecaster: Forecaster
    limits: tuple[Limit, ...]

    @property
    def log_budget_range(self) -> tuple[float, float]:
        """Log of the smallest and the largest budget in the data."""
        compute = self.forecaster.ladder.log_compute
        return float(compute.min()), float(compute.max())

    def log_inputs(self, log_budgets: FloatArray) -> FloatArray:
        """Log inputs (budgets, inputs) of the best run at each budget."""
        ladder = self.forecaster.ladder
        if len(ladder.inputs) == 1:
            return log_budgets[:, None]
        log_n = best_log_params(self.forecaster, log_budgets)
        return np.column_stack([log_n, ladder.flops.log_tokens(log_budgets, log_n)])


def budget_for_loss(
    records: Source, loss: float, *, options: ForecastOptions = DEFAULT
) -> BudgetForLoss:
    """The training budget (or ``options.x``) at which a new run reaches ``loss``, with ranges.

    Sizes are split optimally where the runs know how. Raises ForecastError for a loss that is not
    above zero and where the runs cannot answer.
    """
    if not (np.isfinite(loss) and loss > 0):
        raise ForecastError(f"target loss {loss:g}: give a finite loss above zero")
    column = options.x or "train_flops"
    records = records_from(records)
    question = pose(records, (column,), options)
    ask = BudgetQuestion(forecaster=prepare(question, options), limits=question.limits)
    start, end = ask.log_budget_range
    budgets = np.arange(start, end + FURTHEST_DECADES * np.log(10), STEP * np.log(10))
    inputs = ask.log_inputs(budgets)
    answer = log_forecast(ask.forecaster, inputs, budgets, options)
    ranges = {}
    for level in options.confidence_levels:
        low, high = np.quantile(answer.draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
        ranges[level] = Interval(_reached(budgets, low, loss), _reached(budgets, high, loss))
    median = _reached(budgets, answer.centre, loss)
    against = signal_limits(ask.forecaster.ladder)
    if not against and 0 < median < float("inf"):
        low, high = (
            _reached(budgets, np.quantile(answer.draws, end, axis=1), loss) for end in (0.05, 0.95)
        )
        against = _against(ask, median, options) or _too_wide(max(low, np.exp(start)), high)
    return BudgetForLoss(
        loss=loss,
        column=column,
        median=None if against else median,
        ranges=ranges,
        limits=ask.limits + _limits(loss, column, median, ranges, end, against),
        notes=records.told,
    )


def _against(ask: BudgetQuestion, budget: float, options: ForecastOptions) -> tuple[Limit, ...]:
    """Why a forecast at this budget would be no number to read; nothing where it would be one."""
    there = np.log([budget])
    answer = log_forecast(ask.forecaster, ask.log_inputs(there), there, options)
    return target_limits(ask.forecaster, answer)[0]


def _too_wide(low: float, high: float) -> tuple[Limit, ...]:
    """Whether the 90% range of a budget is too wide for its median to be a number."""
    if high <= low * 10**WIDEST_PLAN:
        return ()
    text = "its 90% range spans more than a factor of 100"
    return (Limit(LimitCode.UNSUPPORTED, text),)


def _reached(log_budgets: FloatArray, log_losses: FloatArray, loss: float) -> float:
    """The first budget where the curve is at or below the loss: 0 if at once, else inf."""
    below = np.flatnonzero(log_losses <= np.log(loss))
    if not len(below):
        return float("inf")
    i = int(below[0])
    if i == 0:
        return 0.0
    fall = log_losses[i - 1] - log_losses[i]
    part = (log_losses[i - 1] - np.log(loss)) / fall
    return float(np.exp(log_budgets[i - 1] + part * (log_budgets[i] - log_budgets[i - 1])))


def _limits(
    loss: float,
    column: str,
    median: float,
    ranges: Mapping[float, Interval],
    log_end: float,
    against: tuple[Limit, ...],
) -> tuple[Limit, ...]:
    found = []
    if against:
        where = "; ".join(texts(against))
        text = f"unsupported: the budget for {loss:g}, {where}; read it as an order of magnitude"
        found.append(Limit(LimitCode.UNSUPPORTED, text))
    elif np.isinf(median):
        text = (
            f"a loss of {loss:g} is not expected at any {column} up to {FURTHEST_DECADES:g} "
            "decades beyond the data"
        )
        found.append(Limit(LimitCode.UNBOUNDED, text))
    elif median == 0:
        text = f"a loss of {loss:g} is reached below the smallest {column} in the data"
        found.append(Limit(LimitCode.EXTRAPOLATED, text))
    elif median > np.exp(log_end):
        decades = (np.log(median) - log_end) / np.log(10)
        text = f"the budget for {loss:g} lies {decades:.2f} decades beyond the data"
        found.append(Limit(LimitCode.EXTRAPOLATED, text))
    if any(np.isinf(r.high) for r in ranges.values()) and np.isfinite(median):
        text = "some ranges have no upper end: a floor above this loss is not ruled out"
        found.append(Limit(LimitCode.UNBOUNDED, text))
    return tuple(found)
