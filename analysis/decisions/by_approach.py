"""The best size of each budget by the three approaches of Hoffmann et al. and by the weighted laws.

Hoffmann et al. 2022, arXiv:2203.15556: the best run of each slice of compute (1), parabolas through
runs of one budget (2), one parametric law of size and tokens (3). Simpler readings of the same runs
are a check: where they agree with the weighted laws, little rests on the choice of a method.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from analysis.approaches.envelope import EnvelopeFit, fit_envelope
from analysis.approaches.isoflop import IsoflopFit, fit_isoflop
from analysis.decisions.growth import growth_of_best_split
from analysis.decisions.optimal_split import OptimalSplit
from analysis.fitting.measurements.flops_per_param_token import (
    FlopsPerParamToken,
    flops_per_param_token,
)
from analysis.fitting.policy import fit_law
from analysis.fitting.result import Fit
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.intervals import Interval
from analysis.tuning.screening import weighed
from scaling.errors import FitError, ScalingError
from scaling.laws.surfaces import Chinchilla
from scaling.limits import Limit, LimitCode
from scaling.records import Records

#: What the literature says of each approach.
ENVELOPE_BIAS = (
    "the best of several noisy runs is lucky, and its size is one of the grid's: trust the "
    "exponent no further than the grid is fine"
)
ISOFLOP_BIAS = (
    "parabolas are biased even without noise, by wide, off-centre or lopsided profiles "
    "(arXiv:2603.22339)"
)
LAW_BIAS = (
    "least biased of the three on the same runs (arXiv:2603.22339), if the search converges and "
    "its constants are not rounded (arXiv:2404.10102); it knows one form of the law alone"
)
LAWS_BIAS = "weights several laws by backtests; shares what all four take from the runs"
SHARED_BIAS = (
    "all four inherit the recipe of the runs: last-layer FLOP left out, warm-up too long for small "
    "runs, and settings not tuned to the size bend the exponent (arXiv:2406.19146)"
)


@dataclass(frozen=True, kw_only=True)
class ApproachAnswer:
    """The best sizes by one approach, or why it gives none."""

    approach: str
    exponent: float | None  # of the best size with compute; of the weighted laws, over the runs
    interval: Interval | None  # of the exponent
    params: tuple[float | None, ...]  # at each budget; None where that is not supported
    tokens: tuple[float | None, ...]
    known_bias: str  # what the literature says of it
    limits: tuple[Limit, ...]
    agrees: bool | None = None
    """Whether its interval overlaps that of the weighted laws; None where one of them has none, and
    for those laws themselves."""


def by_approach(
    records: Records,
    splits: Sequence[OptimalSplit],
    *,
    surface: Fit | None = None,
    options: ForecastOptions = DEFAULT,
    bootstrap: int = 200,
) -> tuple[ApproachAnswer, ...]:
    """Approaches 1, 2 and 3 beside the weighted laws, whose ``splits`` say at which budgets.

    ``surface`` is the law of Approach 3 where it was fitted already. Intervals are of exponents;
    those of the three are by bootstraps of the runs and know nothing of the approaches' biases,
    those of the weighted laws are `growth_of_best_split`'s, from the cheapest to the most expensive
    run. All are of training alone, whatever else the splits' budgets pay for.
    """
    weighted = _weighted(records, splits, options)
    records = weighed(records)  # once, for all three
    how: dict[str, Any] = {"bootstrap": bootstrap, "seed": options.seed}
    how |= {"confidence_level": options.confidence_levels[0]}
    flops = _flops(records)

    def simple(fit: Callable[..., EnvelopeFit | IsoflopFit]) -> _Found:
        found = fit(records, **how)
        return found.exponent, found.exponent_interval, found.optimal_params, found.limits

    def law() -> _Found:
        fitted = surface or fit_law(records, Chinchilla, card=False, **how)
        found = fitted.derived["optimal_params_exponent"]
        if "optimal_params_exponent" in fitted.untold or not math.isfinite(found.estimate):
            raise FitError(f"the runs do not tell the constants of {Chinchilla.name} apart")
        assert isinstance(fitted.law, Chinchilla)
        ends = Interval(found.low, found.high)
        return found.estimate, ends, fitted.law.optimal_params, fitted.limits

    asked: tuple[tuple[str, str, Callable[[], _Found]], ...] = (
        ("1, envelope", ENVELOPE_BIAS, partial(simple, fit_envelope)),
        ("2, IsoFLOP parabolas", ISOFLOP_BIAS, partial(simple, fit_isoflop)),
        ("3, one law", LAW_BIAS, law),
    )
    told = []
    for name, bias, answer in asked:
        try:
            exponent, ends, best, limits = answer()
        except ScalingError as error:
            reason = str(error).removeprefix(f"{records.source}: ")
            limits = (Limit(LimitCode.NO_ANSWER, reason),)
            told.append(_no_answer(name, bias, splits, limits))
            continue
        told.append(
            ApproachAnswer(
                approach=name,
                exponent=exponent,
                interval=ends if all(map(math.isfinite, ends)) else None,
                **_sizes(splits, best, flops),
                known_bias=bias,
                limits=limits,
            )
        )
    return (*(_beside(one, weighted) for one in told), weighted)


#: An exponent with its interval, the best size of a budget, and what limits them.
_Found: TypeAlias = tuple[float, Interval, Callable[[float], object], tuple[Limit, ...]]


def _no_answer(
    name: str, bias: str, splits: Sequence[OptimalSplit], limits: tuple[Limit, ...]
) -> ApproachAnswer:
    none = (None,) * len(splits)
    return ApproachAnswer(
        approach=name,
        exponent=None,
        interval=None,
        params=none,
        tokens=none,
        known_bias=bias,
        limits=limits,
    )


def _weighted(
    records: Records, splits: Sequence[OptimalSplit], options: ForecastOptions
) -> ApproachAnswer:
    exponent, interval, limits = None, None, tuple[Limit, ...]()
    try:
        growth = growth_of_best_split(records, options=options)
        exponent, interval = growth.params.estimate, growth.params.interval
    except ScalingError as error:
        limits = (Limit(LimitCode.NO_ANSWER, str(error).removeprefix(f"{records.source}: ")),)
    return ApproachAnswer(
        approach="weighted laws",
        exponent=exponent,
        interval=interval,
        params=tuple(split.params for split in splits),
        tokens=tuple(split.tokens for split in splits),
        known_bias=LAWS_BIAS,
        limits=limits,
    )


def _beside(one: ApproachAnswer, weighted: ApproachAnswer) -> ApproachAnswer:
    ends, others = one.interval, weighted.interval
    if ends is None or others is None:
        return one
    return replace(one, agrees=ends.low <= others.high and ends.high >= others.low)


def _sizes(
    splits: Sequence[OptimalSplit],
    optimal_params: Callable[[float], object],
    flops: FlopsPerParamToken,
) -> dict[str, Any]:
    """Size and tokens at each budget, where a split is supported there at all."""
    params: list[float | None] = []
    tokens: list[float | None] = []
    for split in splits:
        n = float(np.asarray(optimal_params(split.budget)))
        if split.params is None or not (math.isfinite(n) and n > 0):
            params, tokens = [*params, None], [*tokens, None]
            continue
        d = np.exp(flops.log_tokens(np.log([split.budget]), np.log([n])))
        params, tokens = [*params, n], [*tokens, float(d[0])]
    return {"params": tuple(params), "tokens": tuple(tokens)}


def _flops(records: Records) -> FlopsPerParamToken:
    """FLOP per parameter and token of these runs."""
    columns = [records.column(name) for name in ("params", "tokens", "train_flops")]
    known = np.all([np.isfinite(c) & (c > 0) for c in columns], axis=0)
    return flops_per_param_token(*(np.log(c[known]) for c in columns))
