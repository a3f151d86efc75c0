"""Backtests inside a forecast: hide the largest runs, predict them, weigh laws by the errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.forecasting.constants.calibration import Calibration
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.members.candidates import Candidate
from analysis.forecasting.weighing.ensemble import (
    NEAREST,
    Ensemble,
    Said,
    Spread,
    fit_members,
    noise_factor,
    said,
    spread_of,
)
from scaling.answerable import CURVE_REACH
from scaling.arrays import DECADE, FloatArray

ROUNDING_ERROR = 1e-9  # natural logs
ALIKE = 0.1  # decades, below which distances are alike
MOST_RATIO = 25.0  # one origin that missed by more widens no further


@dataclass(frozen=True, kw_only=True)
class OriginErrors:
    """One origin of a backtest: laws fitted with the largest runs hidden, and those runs."""

    ensemble: Ensemble  # fitted to what lies below the cut
    hidden: Ladder
    distance: FloatArray  # (hidden,) decades beyond what was seen
    above: FloatArray  # (hidden,) natural logs of compute, or of the one input, above the cut

    @property
    def errors(self) -> FloatArray:
        """Predicted minus measured log loss (hidden, members)."""
        return self.ensemble.values(self.hidden.log_inputs) - self.hidden.log_loss[:, None]

    @cached_property
    def said(self) -> Said:
        """What the laws together said of the hidden runs, by the weights that they had then."""
        ensemble, hidden = self.ensemble, self.hidden
        return said(ensemble, hidden.log_inputs, hidden.log_compute, ensemble.first_weights)

    @cached_property
    def _spread(self) -> Spread:
        return spread_of(self.said, self.ensemble.calibration)

    @cached_property
    def noise(self) -> FloatArray:
        """Standard deviation of each hidden run around the laws (hidden,)."""
        ensemble = self.ensemble
        factor = ensemble.calibration.noise * noise_factor(ensemble, self.hidden.log_inputs)
        return np.asarray(factor * ensemble.noise.residual_scale)

    @property
    def relative_errors(self) -> FloatArray:
        """Predicted over measured loss, minus one, of the laws together (hidden,)."""
        return np.asarray(np.expm1(self._spread.centre - self.hidden.log_loss))

    def squared_ratio(self, calibration: Calibration) -> FloatArray:
        """Squared error of the ensemble's centre over the variance it stated (hidden,)."""
        return squared_ratio(spread_of(self.said, calibration), self.noise, self.hidden.log_loss)


def squared_ratio(spread: Spread, noise: FloatArray, log_loss: FloatArray) -> FloatArray:
    """Squared error of a centre over the variance that was stated, with that of a new run
    (hidden,)."""
    stated = spread.variance + noise**2
    return np.asarray((spread.centre - log_loss) ** 2 / stated)


def origin_errors(
    ladder: Ladder,
    candidates: Sequence[Candidate],
    calibration: Calibration,
    cuts: Sequence[float],
) -> tuple[OriginErrors, ...]:
    """Fit what lies below each cut (log compute) and predict what lies above it."""
    backtests = []
    for cut in cuts:
        seen = ladder.select(ladder.log_compute <= cut)
        hidden = ladder.select(ladder.log_compute > cut)
        backtests.append(
            OriginErrors(
                ensemble=fit_members(seen, candidates, calibration),
                hidden=hidden,
                distance=seen.distance(hidden.log_inputs, hidden.log_compute),
                above=hidden.log_compute - cut,
            )
        )
    return tuple(backtests)


def likeness(known: FloatArray, asked: FloatArray) -> FloatArray:
    """How much hidden runs at ``known`` distances (hidden,) speak for targets at those ``asked``
    (targets,), all in decades: (targets, hidden), 1 where they are as far."""
    offset = np.log((known + ALIKE) / (asked[:, None] + ALIKE))
    return np.asarray(np.exp(-np.abs(offset)))


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """What the backtests say for each target: weights of the laws and a scale for the width."""

    weights: FloatArray  # (targets, members)
    scale_squared: FloatArray  # (targets,) 1 = the default was right
    evidence: FloatArray  # (targets,) how many origins speak for that distance
    trust: FloatArray  # (targets,) share of the weights that follows the backtests' errors
    rms_error: FloatArray  # (targets, members) in backtests at that distance; NaN without any
    mean_error: FloatArray  # (targets,) mean absolute relative error of all laws; NaN without any
    furthest: FloatArray  # (targets,) decades that these backtests reach; 0 without any


def scale_squared(ratios: FloatArray, evidence: FloatArray, calibration: Calibration) -> FloatArray:
    """The square of a width over the default one (targets,): squared errors over stated variances,
    summed over origins worth ``evidence``, beside what the default is worth."""
    prior, worth = calibration.default_scale_origins, calibration.origin_worth
    return np.asarray((prior + worth * ratios) / (prior + worth * evidence))


def weigh(backtests: Sequence[OriginErrors], ensemble: Ensemble, distance: FloatArray) -> Weighing:
    """Weights and scale at target distances (targets,) in decades.

    A backtest counts by how alike its distance is to the target's; with one input it looks as far
    above its cut as the target lies beyond the runs, and no further, whatever else is asked. With
    few backtests both stay near their defaults: nested origins share their runs and tell little
    more than one.
    """
    reach = np.full(len(distance), np.inf)
    if len(ensemble.ladder.inputs) == 1:
        reach = np.maximum(CURVE_REACH, distance * DECADE)
    calibration, first_weights = ensemble.calibration, ensemble.first_weights
    distance = np.maximum(distance, NEAREST)
    targets = len(distance)
    evidence = np.zeros(targets)
    squared_errors = np.zeros((targets, len(first_weights)))
    ratios, absolute, furthest = np.zeros(targets), np.zeros(targets), np.zeros(targets)
    for origin in backtests:
        seen = origin.above <= reach[:, None] + ROUNDING_ERROR  # (targets, hidden)
        alike = np.where(seen, likeness(origin.distance, distance), 0.0)
        furthest = np.maximum(furthest, np.max(np.where(seen, origin.distance, 0.0), axis=1))
        worth = alike.max(axis=1)
        share = alike / alike.sum(axis=1, keepdims=True)
        evidence += worth
        squared_errors += worth[:, None] * (share @ origin.errors**2)
        absolute += worth * (share @ np.abs(origin.relative_errors))
        ratio = share @ origin.squared_ratio(origin.ensemble.calibration)
        ratios += worth * np.minimum(ratio, MOST_RATIO)
    scale = scale_squared(ratios, evidence, calibration)
    weights = np.broadcast_to(first_weights, squared_errors.shape)
    trust = evidence / (evidence + 2)
    if backtests:
        skill = first_weights / (
            squared_errors / evidence[:, None] + ensemble.noise.residual_scale**2
        )
        skill = skill / skill.sum(axis=1, keepdims=True)
        weights = (1 - trust[:, None]) * first_weights + trust[:, None] * skill
    known = np.where(evidence > 0, evidence, np.nan)
    return Weighing(
        weights=weights,
        scale_squared=scale,
        evidence=evidence,
        trust=trust,
        rms_error=np.sqrt(squared_errors / known[:, None]),
        mean_error=absolute / known,
        furthest=furthest,
    )
