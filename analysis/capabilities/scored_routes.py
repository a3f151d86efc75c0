"""Routes scored by hiding the largest runs: what each says, how wide, and what it missed by.

A route joins its ways (`MEMBERS`) with weights, shifts by what its backtests missed in one
direction, and widens by what they missed beyond the stated width; all three count for little where
few backtests look as far ahead as the target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.capabilities.response import angles, shares_at
from analysis.capabilities.routes import MEMBERS, Prediction, Runs, asked_of, predictions
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.weighing.rolling_origin import likeness
from scaling.answerable import backtest_cuts, decades_outside
from scaling.arrays import FloatArray

MISFIT = 0.2  # of the change beyond the best run seen: that no curve here is quite the metric's
PRIOR_ORIGINS = 2.0  # what the default width counts beside the backtests' own
MOST_RATIO = 25.0  # squared error over stated variance that one backtest may speak for
BACKTEST_DRAWS = 200
MOST_ORIGINS = 4
FAINT = 4.0  # scatters of a run: a smaller rise leaves open how fast the metric goes on


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One backtest: what each way said of hidden runs."""

    said: Mapping[str, Prediction]
    measured: FloatArray  # (hidden,) angles
    shares: FloatArray  # (hidden,)
    distance: FloatArray  # (hidden,) decades


def origins_of(runs: Runs, options: ForecastOptions) -> tuple[Origin, ...]:
    """The largest runs hidden in turn and predicted from the rest, where the metric of the rest has
    risen: of others a forecast would say that it cannot tell."""
    compute = runs.log_compute
    cuts = [cut for _, cut in backtest_cuts(compute, is_surface=True)]
    if len(cuts) > MOST_ORIGINS:
        picked = np.unique(np.linspace(0, len(cuts) - 1, MOST_ORIGINS).round().astype(int))
        cuts = [cuts[i] for i in picked]
    quick = replace(options, draws=BACKTEST_DRAWS, backtests=2, confidence_levels=(0.9,))
    found = []
    for cut in cuts:
        seen, hidden = runs.select(compute <= cut), runs.select(compute > cut)
        said = predictions(seen, asked_of(seen, hidden.targets, quick))
        if rise_of(said) < FAINT:
            continue
        found.append(
            Origin(
                said=said,
                measured=angles(hidden.shares),
                shares=hidden.shares,
                distance=decades_outside(seen.log_inputs, hidden.log_inputs),
            )
        )
    return tuple(found)


def rise_of(said: Mapping[str, Prediction]) -> float:
    """How far the metric of the runs seen has risen, in scatters of a run."""
    return max(one.rise / one.scatter for one in said.values() if np.isfinite(one.rise))


@dataclass(frozen=True, kw_only=True)
class RouteAnswer:
    """What one route says at new runs; (points,) each, on the scale of `angles`."""

    centre: FloatArray
    sd: FloatArray
    error: FloatArray  # mean absolute error of backtests as far ahead, in shares; NaN without any
    weights: Mapping[str, FloatArray]


def _alike(origin: Origin, distance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How much an origin speaks for target distances (points,), and what each of its hidden runs
    counts in that (points, hidden)."""
    alike = likeness(origin.distance, distance)
    return alike.max(axis=1), alike / alike.sum(axis=1, keepdims=True)


def _combined(
    said: Mapping[str, Prediction], weights: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Centre and variance (points,) of ways with these weights, but for the scatter of runs."""
    centre = np.sum([weights[name] * said[name].centre for name in weights], axis=0)
    spread = [
        weights[name] * (said[name].variance + (said[name].centre - centre) ** 2)
        for name in weights
    ]
    beyond = np.sum(
        [weights[name] * np.abs(said[name].centre - said[name].frontier) for name in weights],
        axis=0,
    )
    return np.asarray(centre), np.asarray(np.sum(spread, axis=0) + (MISFIT * beyond) ** 2)


@dataclass(frozen=True, kw_only=True)
class _Score:
    """What backtests say for each target; all (points,), `squared` by way."""

    evidence: FloatArray  # how many origins look as far ahead
    missed: FloatArray  # sum of mean errors on the scale of `angles`, predicted minus measured
    absolute: FloatArray  # sum of mean absolute errors in shares
    ratios: FloatArray  # sum of squared errors over stated variances
    squared: Mapping[str, FloatArray]  # way -> sum of its squared errors


def _score(
    names: Sequence[str], origins: Sequence[Origin], distance: FloatArray, scatter: float
) -> _Score:
    """These ways with equal weights, in all origins."""
    evidence, missed, absolute, ratios = (np.zeros(len(distance)) for _ in range(4))
    squared = {name: np.zeros(len(distance)) for name in names}
    for origin in origins:
        worth, share = _alike(origin, distance)
        equal = {name: np.full(len(origin.measured), 1 / len(names)) for name in names}
        centre, variance = _combined(origin.said, equal)
        error = centre - origin.measured
        ratio = np.minimum(share @ (error**2 / (variance + scatter**2)), MOST_RATIO)
        evidence += worth
        missed += worth * (share @ error)
        absolute += worth * (share @ np.abs(shares_at(centre) - origin.shares))
        ratios += worth * ratio
        for name in names:
            squared[name] += worth * (share @ (origin.said[name].centre - origin.measured) ** 2)
    return _Score(
        evidence=evidence, missed=missed, absolute=absolute, ratios=ratios, squared=squared
    )


def answer_of(
    route: str, said: Mapping[str, Prediction], origins: Sequence[Origin], distance: FloatArray
) -> RouteAnswer | None:
    """A route's answer at targets so many decades beyond the runs; None where no way answers."""
    names = [
        name
        for name in said
        if MEMBERS[name].route == route and all(name in origin.said for origin in origins)
    ]
    scatters = [said[name].scatter for name in names if np.isfinite(said[name].scatter)]
    if not scatters:
        return None
    scatter, score = min(scatters), _score(names, origins, distance, min(scatters))
    known = np.maximum(score.evidence, np.finfo(float).tiny)
    trust = score.evidence / (score.evidence + PRIOR_ORIGINS)
    skill = {name: 1 / (score.squared[name] / known + scatter**2) for name in names}
    total = np.sum(list(skill.values()), axis=0)
    weights = {n: (1 - trust) / len(names) + trust * skill[n] / total for n in names}
    centre, variance = _combined(said, weights)
    scale = (PRIOR_ORIGINS + score.ratios) / (PRIOR_ORIGINS + score.evidence)
    return RouteAnswer(
        centre=centre - score.missed / (score.evidence + PRIOR_ORIGINS),
        sd=np.sqrt(scale * variance + scatter**2),
        error=score.absolute / np.where(score.evidence > 0, score.evidence, np.nan),
        weights=weights,
    )
