"""The blocked backtest of a form: how far it missed hidden runs, and how sure it is of others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.discovery.blocks import Block
from analysis.discovery.forms.form import Form, moved
from analysis.discovery.forms.solver import Observed, Solved, predicted, solve
from analysis.discovery.forms.table import Arranged, Table
from analysis.discovery.search import Candidate
from scaling.arrays import FloatArray

_TINY = 1e-9


@dataclass(frozen=True)
class Backtested:
    """A form, fitted with each block hidden and last with none."""

    candidate: Candidate
    solved: Solved  # (blocks + 1, groups ...)
    medians: FloatArray  # (blocks + 1, runs)
    spreads: FloatArray  # (blocks + 1, runs): of the prediction, in the scale of errors
    noise: FloatArray  # (blocks + 1,): of a run, in the scale of errors
    block_errors: FloatArray  # (blocks,): root mean square error of the hidden runs
    score: float  # weighted mean of the logarithms of those, plus the price of its constants

    @property
    def form(self) -> Form:
        """What was backtested."""
        return self.candidate.form


def backtest_form(
    candidate: Candidate, table: Table, arranged: Arranged, blocks: Sequence[Block], price: float
) -> Backtested:
    """Fit the form once a block, and once to all, from its best fit and near it."""
    seen, form = arranged.seen, candidate.form
    shown = np.ones((len(blocks) + 1, len(table.y)))
    for k, block in enumerate(blocks):
        shown[k, block.hidden] = 0.0
    weight = arranged.spread(shown) * seen.weight
    start = np.broadcast_to(candidate.theta, (len(weight), *candidate.theta.shape))
    solved = solve(form, seen, np.array(start), weight, shared=candidate.shared)
    medians = arranged.rows(predicted(form, seen.at, solved.theta, solved.coefficients))
    spreads = arranged.rows(prediction_spread(form, seen, weight, solved, seen, candidate.shared))
    scale = arranged.rows(seen.weight)
    errors = scaled_errors(table, medians, scale)
    block_errors = np.array(
        [np.sqrt(np.mean(errors[k, b.hidden] ** 2)) for k, b in enumerate(blocks)]
    )
    noise = np.sqrt(solved.variance.mean(axis=1))
    floor = 0.3 * float(noise[-1]) + 1e-12
    weights = np.array([b.weight for b in blocks])
    logs = np.log(np.hypot(np.nan_to_num(block_errors, nan=1e3), floor))
    score = float((weights * logs).sum() / weights.sum()) + price * form.complexity
    return Backtested(candidate, solved, medians, spreads, noise, block_errors, score)


def scaled_errors(table: Table, medians: FloatArray, scale: FloatArray) -> FloatArray:
    """Errors of predictions (..., runs): logarithms of ratios, or differences over the spread."""
    if table.is_relative:
        return np.asarray(np.log(np.maximum(medians, 1e-12 * table.y) / table.y))
    return np.asarray((medians - table.y) * scale)


def prediction_spread(
    form: Form, seen: Observed, weight: FloatArray, solved: Solved, at: Observed, shared: bool
) -> FloatArray:
    """Standard deviation of what is predicted at ``at`` (batch, groups, runs), in the scale of
    errors, by the curvature of the fit."""
    outside = gradients(form, solved, at)  # (batch, groups, points, constants)
    covariance = _covariance(form, seen, weight, solved, shared)
    variance = np.einsum("bgni,bgij,bgnj->bgn", outside, covariance, outside)
    found = predicted(form, at.at, solved.theta, solved.coefficients)
    scale = 1 / np.maximum(np.abs(found), 1e-300) if not seen.floor_is_free else _scale(seen)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)) * scale)


def constant_spread(form: Form, seen: Observed, one: "Backtested") -> FloatArray:
    """Standard deviation of the floor, the coefficients and the constants (groups, constants)."""
    last = Solved(*(getattr(one.solved, n)[-1:] for n in one.solved.__dataclass_fields__))
    found = _covariance(form, seen, seen.weight[None], last, one.candidate.shared)[0]
    return np.asarray(np.sqrt(np.maximum(np.einsum("gii->gi", found), 0.0)))


def _covariance(
    form: Form, seen: Observed, weight: FloatArray, solved: Solved, shared: bool
) -> FloatArray:
    """Of the floor, the coefficients and the constants of each group (batch, groups, p, p)."""
    inside = gradients(form, solved, seen) * weight[..., None]
    linear = 1 + form.coefficient_count
    prior = np.array([c.spread for c in form.constants])
    variance = solved.variance
    per_group = np.einsum("bgni,bgnj->bgij", inside, inside)
    if not shared:
        ridge = np.concatenate([np.zeros(linear), 1 / prior**2])
        return _inverse(per_group, ridge * variance[..., None]) * variance[..., None, None]
    groups = per_group.shape[1]
    total = _by_groups(per_group, linear)
    ridge = np.concatenate([np.zeros(groups * linear), 1 / prior**2])
    whole = _inverse(total, ridge * variance[:, :1]) * variance[:, 0, None, None]
    found = np.empty(per_group.shape)
    for g in range(groups):
        own = np.r_[g * linear : (g + 1) * linear, groups * linear : total.shape[-1]]
        found[:, g] = whole[:, own[:, None], own]
    return found


def _scale(seen: Observed) -> float:
    return float(seen.weight.max())


def gradients(form: Form, solved: Solved, seen: Observed) -> FloatArray:
    """Derivatives of the law by the floor, the coefficients and the constants."""
    columns, by = form.columns(solved.theta, seen.at)
    found = 1 + form.coefficient_count
    held = (solved.coefficients == 0)[..., None, :found]
    parts = [np.where(held, 0.0, columns[..., :found])]
    parts += [moved(one, solved.coefficients)[..., None] for one in by]
    return np.concatenate(parts, axis=-1)


def _by_groups(per_group: FloatArray, linear: int) -> FloatArray:
    """One matrix for the coefficients of every group and the constants that they share."""
    batch, groups, size, _ = per_group.shape
    inside = size - linear
    total = np.zeros((batch, groups * linear + inside, groups * linear + inside))
    for g in range(groups):
        own = slice(g * linear, (g + 1) * linear)
        total[:, own, own] = per_group[:, g, :linear, :linear]
        total[:, own, groups * linear :] = per_group[:, g, :linear, linear:]
        total[:, groups * linear :, own] = per_group[:, g, linear:, :linear]
    total[:, groups * linear :, groups * linear :] = per_group[:, :, linear:, linear:].sum(axis=1)
    return total


def _inverse(matrix: FloatArray, ridge: FloatArray) -> FloatArray:
    """The inverse with a ridge; a constant that no run moves has no variance."""
    size = matrix.shape[-1]
    full = matrix + ridge[..., None] * np.eye(size)
    diagonal = np.einsum("...ii->...i", full)
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = full / (unit[..., :, None] * unit[..., None, :])
    scaled = scaled + np.eye(size) * np.where(diagonal > 0, _TINY, 1.0)[..., None, :]
    inverse = np.linalg.inv(scaled)
    known = (diagonal > 0)[..., :, None] & (diagonal > 0)[..., None, :]
    found = np.where(known, inverse, 0.0) / (unit[..., :, None] * unit[..., None, :])
    return np.asarray(found, dtype=np.float64)
