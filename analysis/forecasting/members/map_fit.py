"""Fits of one form from many starts at once: robust least squares with weak priors.

The objective is  sum_i w_i rho((y_i - f(x_i; theta)) / s) + sum_j ((theta_j - m_j) / q_j)^2 / 2
with rho of Huber 1964 (threshold one scale s). So a prior is worth a few runs and fades as runs
are added. All starts run as one batch of Levenberg-Marquardt steps on reweighted least squares; of
a long table first on some of its runs, and those that end lowest then on all.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray

Evaluate = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]

FIRST_SCALE = 0.01  # residuals of a good ladder are about 1% of the loss
SMALLEST_SCALE = 5e-4  # below this, rounding of published losses
MAX_STEPS = 60
TRIED_RUNS = 100  # of a long table so many tell which starts lead to the best fit
MOST_KEPT = 4096  # solutions; a report asks for some two hundred


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is to be fitted: a form, the runs in its coordinates, their weights, the prior."""

    evaluate: Evaluate
    x: FloatArray  # (runs, inputs)
    y: FloatArray  # (runs,)
    weights: FloatArray  # (runs,), sum = runs
    prior_mean: FloatArray  # (p,)
    prior_sd: FloatArray  # (p,)
    cluster: npt.NDArray[np.intp] | None = None  # (runs,) runs with one number share errors

    @property
    def of_some_runs(self) -> "Problem":
        """The problem with every k-th run in order of the inputs' sum, where they are many, whose
        weights sum to the same; which they are does not depend on the order of the table."""
        if len(self.y) <= TRIED_RUNS:
            return self
        order = np.lexsort((self.y, *self.x.T, self.x.sum(axis=1)))
        keep = order[np.linspace(0, len(order) - 1, TRIED_RUNS).round().astype(np.int64)]
        weights = self.weights[keep] * (self.weights.sum() / self.weights[keep].sum())
        return replace(self, x=self.x[keep], y=self.y[keep], weights=weights, cluster=None)


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The best parameters, the residual scale, and the curvature there."""

    theta: FloatArray  # (p,)
    scale: float
    covariance: FloatArray  # (p, p), Laplace
    log_evidence: float  # of the form, by Laplace; comparable between forms of the same runs


_kept: dict[Hashable, Solution] = {}


def solve_once(
    problem: Problem, starts: Callable[[], FloatArray], evaluated_by: Hashable
) -> Solution:
    """What `solve` finds; a problem that this process has solved before is not solved again.

    The forecast, the splits, the held-out check and the backtest of one table pose many equal
    problems. ``evaluated_by`` tells one ``problem.evaluate`` from another.
    """
    digest = sha256()
    for given in (getattr(problem, field.name) for field in fields(problem)):
        if given is None or isinstance(given, np.ndarray):
            digest.update(b"-" if given is None else repr(given.shape).encode() + given.tobytes())
    key = (evaluated_by, digest.digest())
    found = _kept.get(key)
    if found is None:
        found = solve(problem, starts())
        for values in (found.theta, found.covariance):
            values.setflags(write=False)
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = found
    return found


def solve(problem: Problem, starts: FloatArray) -> Solution:
    """The best fit over all starts (batch, p), with the residual scale found along the way."""
    # losses that hardly differ leave smaller residuals still
    scale = float(np.clip(np.std(problem.y), SMALLEST_SCALE, FIRST_SCALE))
    theta, objective = _descend(problem.of_some_runs, starts, scale, tolerance=1e-4)
    best = theta[np.argsort(objective)[:3]]
    for _ in range(2):
        scale = robust_scale(problem.y - problem.evaluate(best[:1], problem.x)[0][0], best.shape[1])
        best, objective = _descend(problem, best, scale, tolerance=1e-6)
        best = best[np.argsort(objective)]
    theta, _ = _descend(problem, best[:1], scale, tolerance=1e-9)
    value, jacobian = problem.evaluate(theta, problem.x)
    residuals = problem.y - value
    if problem.cluster is not None:
        worth = cluster_worth(residuals[0], problem.cluster)
        problem = replace(problem, weights=problem.weights * worth)
    curvature, _ = _normal_equations(problem, theta, residuals, jacobian, scale)
    covariance = np.linalg.inv(curvature[0])
    # integral of exp(-objective) near its minimum, with scale and prior normalised
    log_evidence = (
        -float(_objective(problem, theta, residuals, scale)[0])
        - float(problem.weights.sum()) * np.log(scale)
        + 0.5 * np.linalg.slogdet(covariance)[1]
        - np.log(problem.prior_sd).sum()
    )
    return Solution(
        theta=theta[0],
        scale=scale,
        covariance=covariance,
        log_evidence=float(log_evidence),
    )


def robust_scale(residuals: FloatArray, parameters: int) -> float:
    """Scale of residuals that a few bad runs do not inflate, corrected for fitted parameters."""
    n = len(residuals)
    correction = float(np.sqrt(n / max(n - parameters, n / 4, 1)))
    middle = float(np.median(np.abs(residuals)))
    clipped = np.clip(residuals, -3 * middle, 3 * middle)
    rms = float(np.sqrt(np.mean(clipped**2)))
    return max(1.4826 * middle * correction, 0.5 * rms * correction, SMALLEST_SCALE)


def cluster_worth(residuals: FloatArray, cluster: npt.NDArray[np.intp]) -> FloatArray:
    """What each run is worth beside others of its cluster, (runs,): 1 down to 1 / cluster size.

    Seeds of one configuration repeat its model misspecification: with correlation r between
    residuals of one cluster, m runs of it tell as much as m / (1 + (m - 1) r) independent ones
    (Kish 1965).
    """
    _, which, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    sums, squares = np.bincount(which, residuals), np.bincount(which, residuals**2)
    pairs = float(np.sum(sizes * (sizes - 1)))
    if pairs == 0:
        return np.ones(len(residuals))
    together = float(np.sum(sums**2 - squares)) / pairs
    correlation = np.clip(together / max(float(np.mean(residuals**2)), 1e-30), 0.0, 1.0)
    return np.asarray(1 / (1 + (sizes[which] - 1) * correlation))


def _descend(
    problem: Problem, starts: FloatArray, scale: float, *, tolerance: float
) -> tuple[FloatArray, FloatArray]:
    """Levenberg-Marquardt from every start; returns the ends (batch, p) and their objectives."""
    theta, ends = starts.copy(), starts.copy()
    value, jacobian = problem.evaluate(theta, problem.x)
    residuals = problem.y - value
    objective = _objective(problem, theta, residuals, scale)
    lowest = objective.copy()
    damping = np.full(len(theta), 1e-2)
    active = np.arange(len(theta))  # which starts the rows of all of these belong to
    identity = np.eye(theta.shape[1])
    for _ in range(MAX_STEPS):
        matrix, gradient = _normal_equations(problem, theta, residuals, jacobian, scale)
        diagonal = np.einsum("bii->bi", matrix) + 1e-9
        damped = matrix + (damping[:, None] * diagonal)[..., None] * identity
        step = np.clip(np.linalg.solve(damped, gradient[..., None])[..., 0], -3, 3)
        trial = theta + step
        value, trial_jacobian = problem.evaluate(trial, problem.x)
        trial_residuals = problem.y - value
        trial_objective = _objective(problem, trial, trial_residuals, scale)
        gain = objective - trial_objective
        better = gain > 0
        small = better & (gain < tolerance * (trial_objective + 1e-12))
        damping = np.where(better, damping / 5, damping * 8)
        if better.all():
            theta, residuals, jacobian = trial, trial_residuals, trial_jacobian
            objective = trial_objective
        else:
            theta[better], residuals[better] = trial[better], trial_residuals[better]
            jacobian[better], objective[better] = trial_jacobian[better], trial_objective[better]
        going = ~(small | (damping > 1e5))
        if not going.all():
            ends[active], lowest[active] = theta, objective
            active, damping = active[going], damping[going]
            if not len(active):
                return ends, lowest
            theta, residuals, jacobian = theta[going], residuals[going], jacobian[going]
            objective = objective[going]
    ends[active], lowest[active] = theta, objective
    return ends, lowest


def _objective(
    problem: Problem, theta: FloatArray, residuals: FloatArray, scale: float
) -> FloatArray:
    size = np.abs(residuals) / scale
    within = np.minimum(size, 1.0)
    huber = within * (size - 0.5 * within)  # half a square up to one scale, straight beyond
    pull = (theta - problem.prior_mean) / problem.prior_sd
    total = huber @ problem.weights + 0.5 * np.sum(pull**2, axis=1)
    return np.asarray(np.where(np.isfinite(total), total, np.inf))


def _normal_equations(
    problem: Problem, theta: FloatArray, residuals: FloatArray, jacobian: FloatArray, scale: float
) -> tuple[FloatArray, FloatArray]:
    """The matrix J' W J / s^2 + Q and the downhill direction it is solved for."""
    precision = problem.prior_sd**-2.0
    weights = (problem.weights / scale**2) / np.maximum(1.0, np.abs(residuals) / scale)
    weighted = (jacobian * weights[..., None]).transpose(0, 2, 1)  # (batch, p, runs)
    matrix = weighted @ jacobian + np.diag(precision)
    gradient = (weighted @ residuals[..., None])[..., 0] - precision * (theta - problem.prior_mean)
    return matrix, gradient
