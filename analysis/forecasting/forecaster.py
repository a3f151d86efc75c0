"""A ladder made ready to be asked: laws fitted, backtested on its own largest runs, scaled.

Everything here is in natural logs; `analysis.forecasting.forecast` speaks in FLOP, params, tokens
and nats.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from analysis.forecasting.ensemble import Ensemble, Spread, combine, fit_members, noise_factor
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.noise import RunNoise
from analysis.forecasting.options import ForecastOptions
from analysis.forecasting.rolling_origin import OriginErrors, Weighing, origin_errors, weigh
from analysis.forecasting.setup import Question
from scaling.answerable import curve_cuts, surface_cuts
from scaling.arrays import FloatArray

POOLED_RUNS = 40  # with so many residuals a new run's noise is drawn from them alone


@dataclass(frozen=True, kw_only=True)
class Forecaster:
    """Fitted laws and their backtests."""

    ensemble: Ensemble
    backtests: tuple[OriginErrors, ...]

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
    )


def log_forecast(
    forecaster: Forecaster,
    log_inputs: FloatArray,
    log_compute: FloatArray,
    options: ForecastOptions,
) -> LogForecast:
    """Draws of a new run at targets: centre, a t-distributed error of it, and run noise."""
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
    if ensemble.ladder.tuning is not None:  # the laws are of runs at their best learning rates
        centre = centre + ensemble.ladder.tuning.trend(log_compute)
    return LogForecast(
        draws=centre[:, None] + width[:, None] * standard + factor[:, None] * scatter,
        centre=centre,
        spread=spread,
        weighing=weighing,
        noise_variance=(factor * noise.scale) ** 2,
        distance=distance,
    )


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
