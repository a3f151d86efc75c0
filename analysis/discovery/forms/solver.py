"""Many fits of one form at once: variable projection with a damped Gauss-Newton step.

Golub and Pereyra 1973, with the Jacobian of Kaufman 1975: coefficients are solved for at every
step, so that only exponents and the like are searched. Fits of a batch differ in weights (a
backtest hides runs by weight zero) and in where they begin.
"""

from dataclasses import dataclass

import numpy as np

from analysis.discovery.forms.factors import Columns
from analysis.discovery.forms.form import Form, moved
from scaling.arrays import BoolArray, FloatArray

_ROUNDS, _STEPS = 2, 14
_TINY = 1e-10


@dataclass(frozen=True)
class Observed:
    """What is fitted: runs arranged by group, padded with weight zero."""

    at: Columns
    y: FloatArray  # (groups, runs)
    weight: FloatArray  # (groups, runs): one over the scale of the run's error; zero is no run
    floor_is_free: bool  # whether the floor may lie below zero


@dataclass(frozen=True)
class Solved:
    """The optimum of every fit of a batch."""

    theta: FloatArray  # (batch, groups or 1, constants)
    coefficients: FloatArray  # (batch, groups, terms + 1), and 1 for what has none of its own
    rss: FloatArray  # (batch, groups or 1): squared weighted residuals
    objective: FloatArray  # (batch, groups or 1): with what the constants' priors add
    variance: FloatArray  # (batch, groups or 1)
    normal: FloatArray  # (batch, groups or 1, constants, constants)


def solve(
    form: Form,
    seen: Observed,
    theta: FloatArray,
    weight: FloatArray,
    *,
    shared: bool,
    rounds: int = _ROUNDS,
    steps: int = _STEPS,
) -> Solved:
    """Optimise from ``theta`` (batch, groups or 1, constants) under ``weight`` (batch, groups,
    runs); ``shared``: one set of constants for all groups, coefficients for each."""
    mean = np.array([c.mean for c in form.constants])
    spread = np.array([c.spread for c in form.constants])
    state = _State.at(form, seen, theta, weight, shared)
    for _ in range(rounds):
        variance = state.variance
        damping = np.full(state.rss.shape, 1e-2)
        objective = state.rss + variance * _penalty(state.theta, mean, spread)
        for _ in range(steps if form.constants else 0):
            ridge = variance[..., None] / spread**2
            gradient = state.gradient - ridge * (state.theta - mean)
            normal = state.normal + _diagonal(ridge)
            scale = np.einsum("...ii->...i", normal)
            step = np.linalg.solve(
                normal + _diagonal(damping[..., None] * scale), gradient[..., None]
            )
            trial = state.theta + np.clip(step[..., 0], -2 * spread, 2 * spread)
            new = _State.at(form, seen, trial, weight, shared)
            value = new.rss + variance * _penalty(trial, mean, spread)
            better = value < objective
            gained = np.where(better, objective - value, 0) > 1e-7 * objective
            state = state.where(better, new)
            objective = np.where(better, value, objective)
            damping = np.where(better, damping / 4, damping * 5)
            if not (gained | (~better & (damping < 1e4))).any():
                break
    variance = state.variance
    total = state.rss + variance * _penalty(state.theta, mean, spread)
    ridge = np.broadcast_to(variance[..., None] / spread**2, state.theta.shape)
    return Solved(
        state.theta,
        state.coefficients,
        state.rss,
        total,
        variance,
        state.normal + _diagonal(ridge),
    )


def misfit(
    form: Form, seen: Observed, theta: FloatArray, weight: FloatArray, *, shared: bool
) -> FloatArray:
    """Squared weighted residuals at ``theta`` (batch, groups or 1), with nothing searched."""
    columns, _ = form.columns(theta, seen.at, slopes=False)
    weighted, target = columns * weight[..., None], weight * seen.y
    coefficients, _ = _coefficients(form, weighted, target, seen.floor_is_free)
    residual = target - (weighted @ coefficients[..., None])[..., 0]
    rss = (residual**2).sum(axis=-1)
    return np.asarray(rss.sum(axis=1, keepdims=True) if shared else rss)


def predicted(form: Form, at: Columns, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
    """The law (batch, groups, runs) at these inputs."""
    columns, _ = form.columns(theta, at, slopes=False)
    return np.asarray((columns * coefficients[..., None, :]).sum(axis=-1))


def _penalty(theta: FloatArray, mean: FloatArray, spread: FloatArray) -> FloatArray:
    return np.asarray((((theta - mean) / spread) ** 2).sum(axis=-1))


def _diagonal(values: FloatArray) -> FloatArray:
    return values[..., None] * np.eye(values.shape[-1])


@dataclass
class _State:
    """Where each fit of a batch is."""

    theta: FloatArray
    coefficients: FloatArray
    rss: FloatArray
    gradient: FloatArray
    normal: FloatArray
    count: FloatArray  # runs less constants

    @property
    def variance(self) -> FloatArray:
        return np.maximum(self.rss / self.count, 1e-12)

    @classmethod
    def at(
        cls, form: Form, seen: Observed, theta: FloatArray, weight: FloatArray, shared: bool
    ) -> "_State":
        columns, by = form.columns(theta, seen.at)
        weighted = columns * weight[..., None]
        target = weight * seen.y
        coefficients, inverse = _coefficients(form, weighted, target, seen.floor_is_free)
        residual = target - (weighted @ coefficients[..., None])[..., 0]
        rss = (residual**2).sum(axis=-1)
        runs = (weight > 0).sum(axis=-1).astype(float)
        q = len(form.constants)
        if q:
            jac = np.stack([weight * moved(one, coefficients) for one in by], axis=-1)
            onto = _transposed(weighted) @ jac
            jac = jac - weighted @ (inverse @ onto)
            gradient = (_transposed(jac) @ residual[..., None])[..., 0]
            normal = _transposed(jac) @ jac
        else:
            gradient, normal = np.zeros((*rss.shape, 0)), np.zeros((*rss.shape, 0, 0))
        linear = columns.shape[-1] - form.is_partly_known
        if shared:
            rss = rss.sum(axis=1, keepdims=True)
            gradient = gradient.sum(axis=1, keepdims=True)
            normal = normal.sum(axis=1, keepdims=True)
            count = runs.sum(axis=1, keepdims=True) - linear * runs.shape[1] - q
        else:
            count = runs - linear - q
        return cls(theta, coefficients, rss, gradient, normal, np.maximum(count, 2.0))

    def where(self, better: BoolArray, new: "_State") -> "_State":
        """The new state where it is better."""

        def pick(name: str) -> FloatArray:
            ours, theirs = getattr(self, name), getattr(new, name)
            mask = better.reshape(better.shape + (1,) * (ours.ndim - 2))
            return np.asarray(np.where(mask, theirs, ours), dtype=np.float64)

        return _State(*(pick(name) for name in self.__dataclass_fields__))


def _transposed(matrix: FloatArray) -> FloatArray:
    return np.swapaxes(matrix, -1, -2)


def _coefficients(
    form: Form, columns: FloatArray, target: FloatArray, floor_is_free: bool
) -> tuple[FloatArray, FloatArray]:
    """The coefficients of weighted columns, and the inverse of their normal matrix over those that
    are found; a column that is known is taken off the target, and its coefficient is one."""
    if not form.is_partly_known:
        return _least_squares(columns, target, floor_is_free)
    found, inverse = _least_squares(columns[..., :-1], target - columns[..., -1], floor_is_free)
    more = [(0, 0)] * (found.ndim - 1)
    found = np.pad(found, [*more, (0, 1)], constant_values=1.0)
    return found, np.pad(inverse, [*more, (0, 1), (0, 1)])


def _least_squares(
    columns: FloatArray, target: FloatArray, floor_is_free: bool
) -> tuple[FloatArray, FloatArray]:
    """Least squares with coefficients at or above zero, and the inverse of its normal matrix over
    the coefficients that are not held at zero."""
    norm = np.sqrt((columns**2).sum(axis=-2))
    norm = np.where(norm > 0, norm, 1.0)
    unit = columns / norm[..., None, :]
    gram = _transposed(unit) @ unit
    onto = (_transposed(unit) @ target[..., None])[..., 0]
    size = gram.shape[-1]
    eye = np.eye(size)
    kept = np.ones(onto.shape, dtype=bool)
    for _ in range(size + 1):
        both = kept[..., :, None] & kept[..., None, :]
        inverse = np.linalg.inv(np.where(both, gram, 0.0) + eye * np.where(both, _TINY, 1.0))
        inverse = np.where(both, inverse, 0.0)
        found = (inverse @ onto[..., None])[..., 0]
        bad = kept & (found < 0)
        if floor_is_free:
            bad[..., 0] = False
        if not bad.any():
            break
        worst = np.where(bad, found, 0).argmin(axis=-1)
        drop = np.arange(size) == worst[..., None]
        kept &= ~(drop & bad)
    return found / norm, inverse / (norm[..., :, None] * norm[..., None, :])
