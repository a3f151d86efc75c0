"""A case of a forecast fitted anew under many settings of the priors, in one batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from analysis.forecasting.constants.calibration import SURFACE, Calibration
from analysis.forecasting.ladder import FRONTIER_SCALE, Ladder
from analysis.forecasting.members.map_fit import SMALLEST_SCALE
from analysis.forecasting.weighing.ensemble import (
    NEAREST,
    SMALLEST_SLOPE,
    Ensemble,
    MemberFit,
    Said,
)
from analysis.forecasting.weighing.noise import run_noise
from analysis.forecasting.weighing.rolling_origin import likeness
from benchmarks.forecasts.learning.constants import Case, Stated, scores_of
from benchmarks.forecasts.learning.settings import Setting
from scaling.arrays import DECADE, FloatArray

STEPS = 14  # of Levenberg and Marquardt, twice


@dataclass(frozen=True, kw_only=True)
class Refits:
    """The members of an ensemble fitted under each of several settings."""

    ensemble: Ensemble
    theta: tuple[FloatArray, ...]  # of each member (settings, p)
    covariance: tuple[FloatArray, ...]  # (settings, p, p)
    first_weights: FloatArray  # (settings, members)
    slope: FloatArray  # (settings,)
    residual_scale: FloatArray  # (settings,)
    scale: FloatArray  # (settings,) of a new run

    @classmethod
    def of(cls, ensemble: Ensemble, settings: Sequence[Setting]) -> "Refits":
        """From the fits that the ensemble has."""
        ladder = ensemble.ladder
        found = [_refit(member, ladder, settings) for member in ensemble.members]
        theta, covariance, evidence = zip(*found, strict=True)
        logs = SURFACE.evidence * np.column_stack(evidence)
        weights = ensemble.given_weights * np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        values = _values(ensemble, theta, ladder.log_inputs)
        residuals = ladder.log_loss - np.sum(weights[:, None, :] * values, axis=2)
        noises = [run_noise(ladder, row, SURFACE) for row in residuals]
        first, here = ensemble.members[0], ladder.log_inputs[ladder.top(6)]
        at = np.concatenate([here, here + DECADE / 2]) - first.centre
        falls = np.split(first.form.values(theta[0], at), 2, axis=1)
        return cls(
            ensemble=ensemble,
            theta=theta,
            covariance=covariance,
            first_weights=weights,
            slope=np.maximum((falls[0] - falls[1]).mean(axis=1), SMALLEST_SLOPE),
            residual_scale=np.array([noise.residual_scale for noise in noises]),
            scale=np.array([noise.scale for noise in noises]),
        )

    def values(self, log_inputs: FloatArray) -> FloatArray:
        """Log loss (settings, points, members)."""
        return _values(self.ensemble, self.theta, log_inputs)

    def said(
        self, log_inputs: FloatArray, log_compute: FloatArray, weights: FloatArray
    ) -> list[Said]:
        """As `weighing.ensemble.said`, one for each setting; ``weights`` (settings, targets,
        members)."""
        ladder = self.ensemble.ladder
        distance = np.maximum(ladder.distance(log_inputs, log_compute), NEAREST)
        nearer = log_inputs - (distance * DECADE / 2)[:, None]
        values, variances = self.values(log_inputs), self._variances(log_inputs)
        centre = np.sum(weights * values, axis=2)
        parameters = np.sum(weights * variances, axis=2)
        laws = np.sum(weights * (values - centre[..., None]) ** 2, axis=2)
        fall = np.sum(weights * self.values(nearer), axis=2) - centre
        return [
            Said(
                centre=centre[i],
                parameters=parameters[i],
                laws=laws[i],
                tuning=np.zeros(len(log_inputs)),
                fall=fall[i],
                drop=distance * self.slope[i],
                slope=float(self.slope[i]),
                roughness=float(self.residual_scale[i] / self.slope[i]),
            )
            for i in range(len(self.slope))
        ]

    def _variances(self, log_inputs: FloatArray) -> FloatArray:
        found = []
        for member, theta, covariance in zip(
            self.ensemble.members, self.theta, self.covariance, strict=True
        ):
            _, jacobian = member.form.evaluate(theta, log_inputs - member.centre)
            found.append(np.einsum("bmp,bpq,bmq->bm", jacobian, covariance, jacobian))
        return np.stack(found, axis=2)

    def noise_factor(self, log_inputs: FloatArray) -> FloatArray:
        """As `weighing.ensemble.noise_factor` (settings, targets)."""
        first, theta = self.ensemble.members[0], self.theta[0]
        x = log_inputs - first.centre
        total = x.sum(axis=1)
        size = first.form.best_split(theta, total)
        best = np.stack([size, total - size], axis=-1)
        excess = first.form.values(theta, x) - first.form.values(theta, best)
        return np.asarray(np.sqrt(1 + (np.maximum(excess, 0.0) / FRONTIER_SCALE) ** 2))


def _values(ensemble: Ensemble, theta: Sequence[FloatArray], log_inputs: FloatArray) -> FloatArray:
    members = zip(ensemble.members, theta, strict=True)
    found = [m.form.values(t, log_inputs - m.centre) + m.lowest for m, t in members]
    return np.stack(found, axis=2)


def _refit(
    member: MemberFit, ladder: Ladder, settings: Sequence[Setting]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Parameters, covariances and log evidence of one law under each setting."""
    form, candidate = member.form, member.candidate
    named = [setting.priors for setting in settings]
    given = [
        [
            own.get(name, prior)
            for name, prior in zip(form.parameters, candidate.priors, strict=True)
        ]
        for own in named
    ]
    mean, sd = np.moveaxis(np.array(given), 2, 0)
    freedom = np.array([setting.freedom for setting in settings])[:, None]
    x, y = ladder.log_inputs - member.centre, ladder.log_loss - member.lowest
    posed = _Posed(
        evaluate=lambda theta: form.evaluate(theta, x),
        y=y,
        weights=ladder.weights(candidate.eta),
        mean=mean,
        sd=sd,
        freedom=freedom,
    )
    start = np.tile(member.solution.theta, (len(settings), 1))
    return posed.solve(start, np.full((len(settings), 1), member.solution.scale))


@dataclass(frozen=True, kw_only=True)
class _Posed:
    """A form on runs, under priors that differ by row; Student's t with `freedom`."""

    evaluate: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    y: FloatArray
    weights: FloatArray
    mean: FloatArray  # (rows, p)
    sd: FloatArray
    freedom: FloatArray  # (rows, 1)

    def solve(
        self, theta: FloatArray, scale: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        theta = self._descend(theta, scale)
        scale = self._scale(theta)
        theta = self._descend(theta, scale)
        value, jacobian = self.evaluate(theta)
        residuals = self.y - value
        matrix, _ = self._normal(theta, residuals, jacobian, scale)
        covariance = np.linalg.inv(matrix)
        v = self.freedom[:, 0]
        tail = gammaln((v + 1) / 2) - gammaln(v / 2) - 0.5 * np.log(v / 2)
        evidence = (
            -self._objective(theta, residuals, scale)
            - self.weights.sum() * np.log(scale[:, 0])
            + 0.5 * np.linalg.slogdet(covariance)[1]
            - np.log(self.sd).sum(axis=1)
            + theta.shape[1] * tail
        )
        return theta, covariance, evidence

    def _descend(self, theta: FloatArray, scale: FloatArray) -> FloatArray:
        value, jacobian = self.evaluate(theta)
        residuals = self.y - value
        lowest = self._objective(theta, residuals, scale)
        damping = np.full(len(theta), 1e-3)
        eye = np.eye(theta.shape[1])
        for _ in range(STEPS):
            matrix, gradient = self._normal(theta, residuals, jacobian, scale)
            diagonal = np.einsum("bii->bi", matrix) + 1e-9
            damped = matrix + (damping[:, None] * diagonal)[..., None] * eye
            step = np.clip(np.linalg.solve(damped, gradient[..., None])[..., 0], -2, 2)
            value, slopes = self.evaluate(theta + step)
            found = self._objective(theta + step, self.y - value, scale)
            better = found < lowest
            gain = float(np.max(np.where(better, lowest - found, 0.0)))
            theta = np.where(better[:, None], theta + step, theta)
            residuals = np.where(better[:, None], self.y - value, residuals)
            jacobian = np.where(better[:, None, None], slopes, jacobian)
            lowest = np.where(better, found, lowest)
            damping = np.where(better, damping / 5, damping * 8)
            if gain < 1e-4 and better.any():
                break
        return theta

    def _objective(self, theta: FloatArray, residuals: FloatArray, scale: FloatArray) -> FloatArray:
        size = np.abs(residuals) / scale
        within = np.minimum(size, 1.0)
        pull = (theta - self.mean) / self.sd
        penalty = (self.freedom + 1) / 2 * np.log1p(pull**2 / self.freedom)
        total = (within * (size - 0.5 * within)) @ self.weights + penalty.sum(axis=1)
        return np.asarray(np.where(np.isfinite(total), total, np.inf))

    def _normal(
        self, theta: FloatArray, residuals: FloatArray, jacobian: FloatArray, scale: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        pull = (theta - self.mean) / self.sd
        precision = (self.freedom + 1) / (self.freedom + pull**2) / self.sd**2
        weights = (self.weights / scale**2) / np.maximum(1.0, np.abs(residuals) / scale)
        weighted = (jacobian * weights[..., None]).transpose(0, 2, 1)
        matrix = weighted @ jacobian + precision[..., None] * np.eye(theta.shape[1])
        gradient = (weighted @ residuals[..., None])[..., 0] - precision * (theta - self.mean)
        return matrix, gradient

    def _scale(self, theta: FloatArray) -> FloatArray:
        """As `map_fit.robust_scale`, by row."""
        residuals, n = self.y - self.evaluate(theta)[0], len(self.y)
        correction = float(np.sqrt(n / max(n - theta.shape[1], n / 4, 1)))
        middle = np.median(np.abs(residuals), axis=1, keepdims=True)
        clipped = np.clip(residuals, -3 * middle, 3 * middle)
        rms = np.sqrt(np.mean(clipped**2, axis=1, keepdims=True))
        wide = np.maximum(1.4826 * middle * correction, 0.5 * rms * correction)
        return np.asarray(np.maximum(wide, SMALLEST_SCALE))


@dataclass(frozen=True, kw_only=True)
class Refitted:
    """A case under one setting: what `population_learning.objective` reads of it."""

    study: str
    distance: str
    stated: Stated

    def scores(self, calibration: Calibration) -> tuple[float, float]:
        """As `Case.scores`."""
        return scores_of(self.stated, calibration)


def refitted(case: Case, settings: Sequence[Setting]) -> list[Refitted]:
    """The case under each setting."""
    whole = Refits.of(case.forecaster.ensemble, settings)
    targets, ladder = len(case.measured), case.forecaster.ladder
    away = np.maximum(ladder.distance(case.log_inputs, case.log_compute), NEAREST)
    evidence = np.zeros(targets)
    squared = np.zeros((len(settings), targets, whole.first_weights.shape[1]))
    origins, alikes = [], []
    for origin in case.forecaster.backtests:
        hidden = origin.hidden
        fits = Refits.of(origin.ensemble, settings)
        errors = fits.values(hidden.log_inputs) - hidden.log_loss[:, None]
        alike = likeness(origin.distance, away)
        worth, share = alike.max(axis=1), alike / alike.sum(axis=1, keepdims=True)
        evidence += worth
        squared += worth[:, None] * (share @ errors**2)
        weights = np.broadcast_to(fits.first_weights[:, None, :], errors.shape)
        noise = SURFACE.noise * fits.noise_factor(hidden.log_inputs)
        origins.append(
            (
                fits.said(hidden.log_inputs, hidden.log_compute, weights),
                noise * fits.residual_scale[:, None],
                hidden.log_loss,
            )
        )
        alikes.append(alike)
    weights = np.broadcast_to(whole.first_weights[:, None, :], squared.shape)
    if origins:
        skill = weights / (squared / evidence[:, None] + (whole.residual_scale**2)[:, None, None])
        trust = (evidence / (evidence + 2))[:, None]
        weights = (1 - trust) * weights + trust * skill / skill.sum(axis=2, keepdims=True)
    said = whole.said(case.log_inputs, case.log_compute, weights)
    noise = SURFACE.noise * whole.noise_factor(case.log_inputs) * whole.scale[:, None]
    return [
        Refitted(
            study=case.study,
            distance=case.distance,
            stated=Stated(
                measured=case.measured,
                said=said[i],
                noise=noise[i],
                alike=tuple(alikes),
                origins=tuple((of[i], by[i], loss) for of, by, loss in origins),
            ),
        )
        for i in range(len(settings))
    ]
