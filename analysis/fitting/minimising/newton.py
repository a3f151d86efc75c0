"""Many small minimisations at once: damped Newton steps on a whole batch in numpy.

The batch is bootstrap replicas warm-started at the full-data optimum, or the starts of one
search. Every replica keeps its own damping; those that are done leave the batch.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fitting.minimising.models.coordinates import Model
from analysis.fitting.minimising.penalties import Penalty
from scaling.arrays import FloatArray, IntArray

#: a replica is done when a full Newton step would gain less than this share of its objective
RELATIVE_GAIN = 1e-7
_RUNS_FOR_DIRECTIONS = 50_000
_LOWEST_DAMPING, _FIRST_DAMPING = 1e-6, 1e-3


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Where each replica ended."""

    theta: FloatArray  # (batch, p)
    value: FloatArray  # (batch,)
    gain_left: FloatArray  # (batch,) what a full Newton step would still gain, share of the value
    converged: npt.NDArray[np.bool_]  # (batch,)
    iterations: npt.NDArray[np.int64]  # (batch,)


def minimise(
    model: Model,
    penalty: Penalty,
    start: FloatArray,
    *,
    weights: FloatArray,
    log_loss: FloatArray,
    basis: FloatArray,
    relative_gain: float = RELATIVE_GAIN,
    longest_step: float = 0.25,
    max_iterations: int = 60,
    exact: bool = True,
) -> Solution:
    """Minimise the objective from each row of ``start`` (batch, p).

    ``weights`` and ``log_loss`` are (runs,) or one row a replica. ``basis`` (p, p) holds the
    directions in which steps are measured and damped: its columns are of length one where a
    step of that length matters about equally in every direction (see `whitening`). ``exact``
    False allows cheaper Hessians, good from afar.
    """
    batch, p = start.shape
    evaluate = model.derivatives(penalty, basis, exact=exact)
    rows = np.arange(batch)
    theta, damping = start.copy(), np.full(batch, _FIRST_DAMPING)
    w, y = np.atleast_2d(weights), np.atleast_2d(log_loss)
    value, gradient, hessian = evaluate(theta, w, y)
    noise = _rounding(penalty, w, y)
    out = Solution(
        theta=start.copy(),
        value=value.copy(),
        gain_left=np.full(batch, np.inf),
        converged=np.zeros(batch, bool),
        iterations=np.zeros(batch, np.int64),
    )
    for iteration in range(max_iterations + 1):
        step, gain = _newton_step(hessian, gradient, damping)
        gain_left = np.abs(gain) / np.maximum(value, noise)
        done = (gain_left < relative_gain) & (damping <= 0.1)
        done |= (np.abs(gain) < noise) | (value < noise)
        stop = done | ~np.isfinite(value) | (damping > 1e12) | (iteration == max_iterations)
        if stop.any():
            at = rows[stop]
            out.theta[at], out.value[at] = theta[stop], value[stop]
            out.gain_left[at], out.converged[at] = gain_left[stop], done[stop]
            out.iterations[at] = iteration
            if stop.all():
                break
            go = ~stop
            rows, theta, damping, value = rows[go], theta[go], damping[go], value[go]
            gradient, hessian, step = gradient[go], hessian[go], step[go]
            w = w[go] if len(w) > 1 else w
            y = y[go] if len(y) > 1 else y
            noise = noise[go] if len(noise) > 1 else noise
        length = np.sqrt(np.einsum("bj,bj->b", step, step))
        step = step * np.minimum(1.0, longest_step / np.maximum(length, 1e-300))[:, None]
        trial = np.clip(theta + step @ basis.T, *model.limits)
        new_value, new_gradient, new_hessian = evaluate(trial, w, y)
        better = new_value <= value  # False where the trial is not finite
        damping = np.where(
            better, np.maximum(0.2 * damping, _LOWEST_DAMPING), np.maximum(6 * damping, 1e-3)
        )
        if better.all():
            theta, value, gradient, hessian = trial, new_value, new_gradient, new_hessian
        else:
            theta[better], value[better] = trial[better], new_value[better]
            gradient[better], hessian[better] = new_gradient[better], new_hessian[better]
    return out


def whitening(model: Model, theta: FloatArray, weights: FloatArray) -> FloatArray:
    """Directions (p, p) in which the predictions of these runs change by one unit in all, at
    ``theta`` (p,).

    With J = Q R the columns of inv(R) make the Gauss-Newton Hessian the identity. Directions
    that the runs hardly see are kept at a finite length. They only guide a search, so of a large
    table some runs tell them, and a slope that overflows counts as a large one.
    """
    some: slice | IntArray = slice(None)
    if len(weights) > _RUNS_FOR_DIRECTIONS:
        some = np.random.default_rng(0).integers(len(weights), size=_RUNS_FOR_DIRECTIONS)
        weights = weights[some] * (len(weights) / len(some))
    jacobian = np.nan_to_num(model.jacobian(theta, some), nan=0.0, posinf=1e6, neginf=-1e6)
    scaled = jacobian * np.sqrt(weights)[:, None]
    scale = np.maximum(np.sqrt((scaled**2).sum(axis=0)), 1e-12)
    _, singular, right = np.linalg.svd(scaled / scale, full_matrices=False)
    floored = np.maximum(singular, 1e-9 * singular[0])
    return np.asarray((right.T / floored) / scale[:, None])


def _rounding(penalty: Penalty, w: FloatArray, y: FloatArray) -> FloatArray:
    """The objective that rounding alone leaves in a perfect fit, (batch or 1,)."""
    tiny = penalty.value(y + 1e-13, y)
    return np.asarray(np.maximum((tiny * w).sum(axis=1), 1e-300))


def _newton_step(
    hessian: FloatArray, gradient: FloatArray, damping: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """-(H + damping I)^-1 g and half of g' (...)^-1 g, by LDL' over the whole batch.

    The Hessian is often indefinite away from the optimum: pivots below a share of the damping
    are replaced by it, so that the step goes downhill.
    """
    p = gradient.shape[1]
    least = 0.1 * damping + 1e-10
    h = np.ascontiguousarray(np.moveaxis(hessian, 0, -1))  # (p, p, batch)
    g = np.ascontiguousarray(gradient.T)
    lower = np.zeros_like(h)
    pivots = np.empty_like(g)
    forward = np.empty_like(g)
    for j in range(p):
        column = h[j:, j].copy()
        column[0] += damping
        for k in range(j):
            column -= lower[j:, k] * (lower[j, k] * pivots[k])
        pivots[j] = np.maximum(np.abs(column[0]), least)
        lower[j + 1 :, j] = column[1:] / pivots[j]
        forward[j] = g[j]
        for k in range(j):
            forward[j] -= lower[j, k] * forward[k]
    step = np.empty_like(g)
    for j in range(p - 1, -1, -1):
        step[j] = -forward[j] / pivots[j]
        for k in range(j + 1, p):
            step[j] -= lower[k, j] * step[k]
    gain = -0.5 * np.einsum("jb,jb->b", g, step)
    return np.ascontiguousarray(step.T), gain
