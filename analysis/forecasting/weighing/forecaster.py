"""A ladder made ready to be asked: laws fitted, backtested on its own largest runs, scaled.

Everything here is in natural logs; `analysis.forecasting.forecast` speaks in FLOP, params, tokens
and nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analysis.forecasting.ladder import Ladder
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.setup import FAR, Question, is_far
from analysis.forecasting.weighing.ensemble import (
    Ensemble,
    Spread,
    combine,
    fit_members,
    noise_factor,
)
from analysis.forecasting.weighing.noise import RunNoise
from analysis.forecasting.weighing.rolling_origin import (
    OriginErrors,
    Weighing,
    origin_errors,
    weigh,
)
from scaling.answerable import curve_cuts, surface_cuts
from scaling.arrays import DECADE, FloatArray, IntArray

NEAR_STEPS = 50
GRID = FAR * DECADE / NEAR_STEPS  # of targets nearer to the runs, in logs
FARTHEST = 600.0  # in logs: a loss of more, or of less, is no number, and its width says so
POOLED_RUNS = 40  # with so many residuals a new run's noise is drawn from them alone


@dataclass(frozen=True, kw_only=True)
class Forecaster:
    """Fitted laws and their backtests."""

    ensemble: Ensemble
    backtests: tuple[OriginErrors, ...]
    nearby: "Forecaster | None" = None  # that answers targets near the runs, where it is another

    @property
    def ladder(self) -> Ladder:
        """The runs that were fitted."""
        return self.ensemble.ladder


@dataclass(frozen=True, kw_only=True)
class LogForecast:
    """Draws of a new run's log loss at each target, and what they are made of."""

    draws: FloatArray  # (targets, draws), natural logs
    centre: FloatArray  # (targets,)
    spread: Spread
    weighing: Weighing
    noise_variance: FloatArray  # (targets,)
    distance: FloatArray  # (targets,) decades

    @property
    def shares(self) -> dict[str, FloatArray]:
        """The share of each part in the variance; each (targets,), together 1."""
        scale = self.weighing.scale_squared
        parts = {
            "parameters": scale * self.spread.parameters,
            "law choice": scale * self.spread.laws,
            "drift of ladders": scale * self.spread.drift,
            "model misspecification": scale * self.spread.misfit,
            "tuning": scale * self.spread.tuning,
            "new-run noise": self.noise_variance,
        }
        total = np.sum(list(parts.values()), axis=0)
        return {name: part / total for name, part in parts.items()}


def prepare(question: Question, options: ForecastOptions) -> Forecaster:
    """Fit the question's candidates to its ladder and backtest on at most ``options.backtests``
    origins."""
    ladder, candidates, calibration = question.ladder, question.candidates, question.calibration
    cuts = (surface_cuts if question.is_surface else curve_cuts)(ladder.log_compute)
    cuts = cuts[: options.backtests]
    return Forecaster(
        ensemble=fit_members(ladder.thinned(), candidates, calibration),
        backtests=origin_errors(ladder, candidates, calibration, cuts),
        nearby=None if question.nearby is None else prepare(question.nearby, options),
    )


def log_forecast(
    forecaster: Forecaster,
    log_inputs: FloatArray,
    log_compute: FloatArray,
    options: ForecastOptions,
) -> LogForecast:
    """Draws of a new run at targets: centre, a t-distributed error of it, and run noise.

    Along one column near targets are answered by the laws of near ones, and no centre lies above
    that of a nearer target beyond the runs: a loss that falls does not rise again.
    """
    near = np.zeros(len(log_compute), dtype=bool)
    if forecaster.nearby is not None:
        near = ~is_far(forecaster.ladder, log_compute)
    if not near.any():
        return _answered(forecaster, log_inputs, log_compute, options)
    parts = [
        _answered(one, log_inputs[places], log_compute[places], options)
        for one, places in ((forecaster.nearby, near), (forecaster, ~near))
        if one is not None and places.any()
    ]
    order = np.argsort(np.concatenate([np.flatnonzero(near), np.flatnonzero(~near)]))
    return parts[0] if len(parts) == 1 else _together(parts, order)


def _together(parts: Sequence[Any], order: IntArray) -> Any:
    """One value of several that have a row a target, field by field, its rows in this order."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)[order]
    names = [field.name for field in fields(parts[0])]
    values = {k: _together([getattr(part, k) for part in parts], order) for k in names}
    return type(parts[0])(**values)


def _centre(forecaster: Forecaster, log_x: FloatArray) -> FloatArray:
    """The centre (targets,) along one column, before it is kept from rising."""
    ensemble = forecaster.ensemble
    distance = ensemble.ladder.distance(log_x[:, None], log_x)
    weights = weigh(forecaster.backtests, ensemble, distance).weights
    return combine(ensemble, log_x[:, None], log_x, weights).centre


def _falling(forecaster: Forecaster, log_x: FloatArray, centre: FloatArray) -> FloatArray:
    """The centre (targets,) along one column, no higher than that of a nearer target.

    The laws themselves fall nearly always; but their weights change with the distance, and from
    half a decade on other laws answer. What was nearer is known on a grid from the largest run on,
    so that an answer does not depend on what else is asked.
    """
    edge, reached = float(forecaster.ladder.log_compute.max()), float(log_x.max())
    if reached <= edge:
        return centre
    grid = edge + GRID * np.arange(np.ceil((reached - edge) / GRID) + 1)
    nearest = 0 if forecaster.nearby is None else NEAR_STEPS + 1
    found = [_centre(forecaster, grid[nearest:])] if len(grid) > nearest else []
    if forecaster.nearby is not None:
        found.insert(0, _centre(forecaster.nearby, grid[:nearest]))
    lowest = np.minimum.accumulate(np.concatenate(found))
    after = np.clip(np.ceil((log_x - edge) / GRID).astype(np.int64), 1, len(grid) - 1)
    return np.where(log_x > edge, np.clip(centre, lowest[after], lowest[after - 1]), centre)


def _answered(
    forecaster: Forecaster,
    log_inputs: FloatArray,
    log_compute: FloatArray,
    options: ForecastOptions,
) -> LogForecast:
    """The same by the laws of this forecaster alone."""
    draws, seed = options.draws, options.seed
    ensemble, noise = forecaster.ensemble, forecaster.ensemble.noise
    calibration = ensemble.calibration
    distance = ensemble.ladder.distance(log_inputs, log_compute)
    weighing = weigh(forecaster.backtests, ensemble, distance)
    spread = combine(ensemble, log_inputs, log_compute, weighing.weights)
    factor = calibration.noise * noise_factor(ensemble, log_inputs)
    factor = factor * np.sqrt(np.maximum(1.0, weighing.scale_squared))
    standard = _t_draws(draws, calibration.tail, np.random.default_rng([seed, 0]))
    scatter = _noise_draws(noise, draws, np.random.default_rng([seed, 1]))
    width = np.sqrt(weighing.scale_squared * spread.variance)
    centre = spread.centre
    if len(ensemble.ladder.inputs) == 1:
        centre = _falling(forecaster, log_compute, centre)
    if ensemble.ladder.tuning is not None:  # the laws are of runs at their best learning rates
        centre = centre + ensemble.ladder.tuning.trend(log_compute)
    drawn = centre[:, None] + width[:, None] * standard + factor[:, None] * scatter
    return LogForecast(
        draws=np.clip(drawn, -FARTHEST, FARTHEST),
        centre=np.clip(centre, -FARTHEST, FARTHEST),
        spread=spread,
        weighing=weighing,
        noise_variance=(factor * noise.scale) ** 2,
        distance=distance,
    )


def laws_alone(
    forecaster: Forecaster, log_inputs: FloatArray, log_compute: FloatArray
) -> FloatArray:
    """Log loss that each law says by itself (targets, members), of runs tuned as the ladder's."""
    values, tuning = forecaster.ensemble.values(log_inputs), forecaster.ladder.tuning
    return values if tuning is None else values + tuning.trend(log_compute)[:, None]


def _t_draws(draws: int, freedom: float, rng: np.random.Generator) -> FloatArray:
    """Stratified draws of Student's t: one in every slice of equal chance, in random order."""
    chances = (np.arange(draws) + 0.5) / draws
    return np.asarray(rng.permutation(stdtrit(freedom, chances)))


def _noise_draws(noise: RunNoise, draws: int, rng: np.random.Generator) -> FloatArray:
    """Deviations of the ladder's runs where they are many, else a t distribution of their scale."""
    n = len(noise.deviations)
    pooled = rng.choice(noise.deviations, size=draws, p=noise.chances)
    smooth = 0.8 * noise.scale * _t_draws(draws, 5.0, rng)
    return np.where(rng.random(draws) < min(1.0, n / POOLED_RUNS), pooled, smooth)
