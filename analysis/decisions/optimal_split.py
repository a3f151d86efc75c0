"""How to split a budget between size and tokens, with intervals from every candidate law."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.forecasting.forecaster import Forecaster, prepare
from analysis.forecasting.optimum import best_for_law, best_log_params
from analysis.forecasting.rolling_origin import weigh
from analysis.forecasting.setup import check_distance, pose
from analysis.forecasting.support import furthest_rehearsal, span, too_far
from analysis.forecasting.targets import Targets
from analysis.intervals import LEVELS, Interval, checked_levels
from scaling.arrays import FloatArray
from scaling.limits import Limit, LimitCode, first_of
from scaling.records import Records


@dataclass(frozen=True, kw_only=True)
class OptimalSplit:
    """The model size and tokens that reach the lowest loss at one budget.

    Read it as: the ranges say where the optimum lies. The loss is flat around it, so a run
    anywhere inside costs little.
    """

    budget: float  # FLOP that were asked for
    train_flops: float  # of the training; less than the budget where inference is part of it
    params: float | None  # None, as tokens, where its digits mean nothing
    tokens: float | None
    loss: float | None  # of the law, where one law answers; ask `forecast` for one with intervals
    params_range: Mapping[float, Interval]  # confidence level -> range
    tokens_range: Mapping[float, Interval]
    decades_beyond: float  # outside the data, in compute, size or tokens; 0 inside
    law: str  # which law or laws answered
    limits: tuple[Limit, ...] = ()

    @property
    def supported(self) -> bool:
        """Whether the digits of size and tokens mean something."""
        return first_of(LimitCode.UNSUPPORTED, self.limits) is None

    def shown(self, value: float) -> float:
        """``value``, a size or a number of tokens, to the digits that mean something."""
        return value if self.supported else float(f"{value:.1g}")

    def in_meaningful_digits(self) -> "OptimalSplit":
        """The same where it is supported; else ranges to one digit, an order of magnitude."""
        params, tokens = (
            {level: Interval(*map(self.shown, ends)) for level, ends in ranges.items()}
            for ranges in (self.params_range, self.tokens_range)
        )
        return replace(self, params_range=params, tokens_range=tokens)


def optimal_splits(
    records: Records,
    *train_flops: float,
    law: str = "auto",
    confidence_levels: Sequence[float] = LEVELS,
    draws: int = 2000,
    seed: int = 0,
    backtests: int = 5,
) -> tuple[OptimalSplit, ...]:
    """The compute-optimal params and tokens at each budget, by the weighted candidate laws.

    C = r N D, with r the FLOP per parameter and token of the table's own largest runs. Raises
    ForecastError where size and tokens do not vary independently in the runs.
    """
    budgets = Targets.flops(*train_flops).columns["train_flops"]
    levels = checked_levels(confidence_levels, draws)
    question = pose(records, ("params", "tokens"), law, None)
    forecaster = prepare(
        question.ladder,
        question.candidates,
        question.calibration,
        backtests=backtests,
        distance=0.0,
    )
    log_compute = np.log(budgets)
    ladder = forecaster.ladder
    log_best = best_log_params(forecaster.ensemble, log_compute)
    inputs = np.column_stack([log_best, log_compute - ladder.log_flops_ratio - log_best])
    beyond = ladder.distance(inputs, log_compute)
    check_distance(beyond)
    log_params = _draws(forecaster, log_compute, beyond, draws, np.random.default_rng([seed, 2]))
    log_tokens = log_compute[:, None] - ladder.log_flops_ratio - log_params
    names = "; ".join(c.name for c in question.candidates)  # some hold a comma
    said = f"weighted laws ({names})" if len(question.candidates) > 1 else names
    spanned, rehearsed = span(forecaster), furthest_rehearsal(forecaster)
    splits = []
    for i, budget in enumerate(budgets):
        against = too_far(float(beyond[i]), spanned, rehearsed)
        ranges = [
            {level: _range(values[i], level) for level in levels}
            for values in (log_params, log_tokens)
        ]
        splits.append(
            OptimalSplit(
                budget=float(budget),
                train_flops=float(budget),
                loss=None,
                params=None if against else float(np.exp(np.median(log_params[i]))),
                tokens=None if against else float(np.exp(np.median(log_tokens[i]))),
                params_range=ranges[0],
                tokens_range=ranges[1],
                decades_beyond=float(beyond[i]),
                law=said,
                limits=question.limits + against,
            )
        )
    return tuple(splits)


def _draws(
    forecaster: Forecaster,
    log_compute: FloatArray,
    beyond: FloatArray,
    draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Optimal log params (budgets, draws): a law by its weight, then its parameters.

    The backtests' scale widens the parameters as it widens the loss.
    """
    ensemble = forecaster.ensemble
    weighing = weigh(forecaster.rehearsals, ensemble, beyond)
    best = np.empty((len(log_compute), draws))
    for i in range(len(log_compute)):
        weights = weighing.weights[i] / weighing.weights[i].sum()
        counts = rng.multinomial(draws, weights)
        widen = max(1.0, float(weighing.scale_squared[i]))
        parts = []
        for member, count in zip(ensemble.members, counts, strict=True):
            covariance = widen * member.solution.covariance
            theta = rng.multivariate_normal(member.solution.theta, covariance, size=count)
            parts.append(best_for_law(ensemble, member, theta, log_compute[i : i + 1])[:, 0])
        best[i] = np.concatenate(parts)
    return best


def _range(logs: FloatArray, level: float) -> Interval:
    low, high = np.exp(np.quantile(logs, [(1 - level) / 2, (1 + level) / 2]))
    return Interval(float(low), float(high))
