"""How fast the best size and tokens grow with compute, by the weighted laws."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import pose
from analysis.forecasting.weighing.ensemble import Ensemble, MemberFit
from analysis.forecasting.weighing.forecaster import Forecaster, prepare
from analysis.forecasting.weighing.optimum import best_for_law, best_log_params
from analysis.forecasting.weighing.rolling_origin import weigh
from analysis.intervals import Interval, holding
from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode
from scaling.sources import Source, records_from

NARROWEST = float(np.log(2))  # of budgets between which a power can be told, ln


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """The power of compute that a quantity grows with, over a range of budgets."""

    estimate: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class GrowthOfBestSplit:
    """Exponents a and b of N ~ C^a and D ~ C^b, N and D being the best size and tokens of C.

    They are slopes between the ends of ``budgets``: laws of the ensemble need not be powers there.
    """

    params: Exponent
    tokens: Exponent
    budgets: Interval  # FLOP
    laws: int  # that answered together
    endless: tuple[Limit, ...]  # what draws without a best split limit
    limits: tuple[Limit, ...]  # of the runs


def growth_of_best_split(
    records: Source,
    budgets: tuple[float, float] | None = None,
    *,
    options: ForecastOptions = DEFAULT,
) -> GrowthOfBestSplit:
    """How fast the best size and tokens grow between two budgets in FLOP, by default from the
    cheapest to the most expensive run.

    The laws of a forecast answer together, weighted as there: one law alone with its floor at zero
    can put the exponent anywhere. The interval is of the first of ``options.confidence_levels``,
    from draws of a law and its constants, each of which gives both budgets. Raises ForecastError
    where size and tokens do not vary independently, where a law has no best split, and for budgets
    that do not differ by a factor of 2.
    """
    question = pose(records_from(records), ("params", "tokens"), options)
    forecaster = prepare(question, options)
    seen = forecaster.ladder.log_compute
    ends = np.array([seen.min(), seen.max()]) if budgets is None else np.log(sorted(budgets))
    if not ends[1] - ends[0] >= NARROWEST:
        raise ForecastError("budgets that differ by less than a factor of 2 show no growth")
    best = best_log_params(forecaster, ends)
    tokens = forecaster.ladder.flops.log_tokens(ends, best)
    distance = forecaster.ladder.distance(np.column_stack([best, tokens]), ends)
    drawn, endless = _drawn_slopes(forecaster, ends, float(distance.max()), options)
    level = options.confidence_levels[0]
    return GrowthOfBestSplit(
        params=_exponent(np.diff(best) / np.diff(ends), drawn[:, 0], level),
        tokens=_exponent(np.diff(tokens) / np.diff(ends), drawn[:, 1], level),
        budgets=Interval(*np.exp(ends).tolist()),
        laws=len(forecaster.ensemble.members),
        endless=endless,
        limits=question.limits,
    )


def _exponent(estimate: FloatArray, drawn: FloatArray, level: float) -> Exponent:
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]).tolist()
    told = float(estimate[0])
    return Exponent(estimate=told, interval=holding(Interval(*ends), told))


def _drawn_slopes(
    forecaster: Forecaster, ends: FloatArray, distance: float, options: ForecastOptions
) -> tuple[FloatArray, tuple[Limit, ...]]:
    """Slopes (draws, 2) of size and tokens, from laws weighted as so many decades out, and what
    draws without a best split limit."""
    flops, ensemble = forecaster.ladder.flops, forecaster.ensemble
    weighing = weigh(forecaster.backtests, ensemble, np.array([distance]))
    rng = np.random.default_rng([options.seed, 2])
    params = np.concatenate(
        [
            best_for_law(ensemble, member, theta, ends)
            for member, theta in drawn_laws(
                ensemble, weighing.weights[0], float(weighing.scale_squared[0]), options.draws, rng
            )
        ]
    )
    known = params[np.isfinite(params).all(axis=1)]
    share = 1 - len(known) / len(params)
    if not len(known):
        raise ForecastError("in no draw of the laws is a split of these budgets best")
    text = (
        f"growth: in {share:.2g} of the draws no split is best, more of one input always helps "
        "more; the interval is of the others"
    )
    limits = (Limit(LimitCode.UNBOUNDED, text),) if share else ()
    tokens = np.stack([flops.log_tokens(ends, one) for one in known])
    both = np.stack([known, tokens], axis=1)  # (draws, 2, budgets)
    return np.diff(both, axis=2)[:, :, 0] / np.diff(ends), limits


def drawn_laws(
    ensemble: Ensemble,
    weights: FloatArray,
    scale_squared: float,
    draws: int,
    rng: np.random.Generator,
) -> Iterator[tuple[MemberFit, FloatArray]]:
    """Each law by its weight, with that share of ``draws`` of its constants (count, constants).

    The backtests' scale widens the constants as it widens the loss.
    """
    counts = rng.multinomial(draws, weights / weights.sum())
    for member, count in zip(ensemble.members, counts, strict=True):
        covariance = max(1.0, scale_squared) * member.solution.covariance
        yield member, rng.multivariate_normal(member.solution.theta, covariance, size=count)
