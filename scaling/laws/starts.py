"""Starts for a search: exponents from guesses, everything else solved for exactly.

Variable projection (Golub and Pereyra 1973): most laws are linear in their coefficients once
the exponents are known, so only exponents need guesses; the coefficients follow from
non-negative least squares on losses divided by themselves.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np

from scaling.arrays import FloatArray

Grid = dict[str, FloatArray]

#: a start gives every term at least this share of the lowest loss, so that it can still grow
_LEAST_SHARE = 0.02
#: guesses of a law that says none of its own are thinned to about this many
_MOST_GUESSES = 400
_LARGEST = 1e100  # of a term over its loss: its square is finite still
_MOST_NUMBERED = 10**9  # combinations that are drawn by their number


def crossed(**axes: Sequence[float]) -> Grid:
    """Every combination of the values of each axis, as one array an axis."""
    table = np.array(list(product(*axes.values())), dtype=np.float64)
    return {name: table[:, i] for i, name in enumerate(axes)}


def guesses_within(
    bounds: Mapping[str, tuple[float, float]],
    inputs: tuple[FloatArray, ...],
    known: Mapping[str, Sequence[float]],
) -> Grid:
    """Guesses for constants of which nothing but their bounds is known, beside ``known`` ones.

    Between two finite bounds: four values. From zero up: a tenth, one, ten, and the middle of each
    input, whose unit the constant may have. Otherwise: exponents of either sign.
    """
    middles = [float(np.exp(np.log(values[values > 0]).mean())) for values in inputs]
    axes: dict[str, Sequence[float]] = {}
    for name, (low, high) in bounds.items():
        if name in known:
            axes[name] = known[name]
        elif low == 0 and np.isinf(high):
            axes[name] = [0.1, 1.0, 10.0, *middles]
        elif low < 0 < high:
            axes[name] = [v for v in (-0.6, -0.2, 0.2, 0.6) if low < v < high]
        else:
            ends = (low if np.isfinite(low) else high - 1, high if np.isfinite(high) else low + 1)
            axes[name] = list(np.linspace(*ends, 6)[1:-1])
    return _some_crossed(axes) if _count(axes) > _MOST_GUESSES else crossed(**axes)


def _count(axes: Mapping[str, Sequence[float]]) -> int:
    return math.prod(len(values) for values in axes.values())


def _some_crossed(axes: Mapping[str, Sequence[float]]) -> Grid:
    """Some of the combinations, at random: every n-th would leave out whole values of an axis. The
    others are never made: ten axes have millions."""
    rng, shape = np.random.default_rng(0), [len(values) for values in axes.values()]
    if _count(axes) < _MOST_NUMBERED:
        kept = rng.choice(_count(axes), _MOST_GUESSES, replace=False)
        places = np.unravel_index(kept, shape)
    else:  # so many that none is drawn twice
        places = tuple(rng.integers(n, size=_MOST_GUESSES) for n in shape)
    pairs = zip(axes.items(), places, strict=True)
    return {name: np.asarray(values, dtype=np.float64)[at] for (name, values), at in pairs}


def distinct(grid: Grid) -> Grid:
    """The guesses without those that are there twice."""
    rows = np.unique(np.stack(list(grid.values()), axis=1), axis=0)
    return {name: rows[:, i] for i, name in enumerate(grid)}


def solved_coefficients(
    columns: FloatArray,
    names: tuple[str, ...],
    loss: FloatArray,
    weights: FloatArray,
    fixed: Mapping[str, float],
) -> Grid:
    """The coefficients ``names`` of the terms ``columns`` (starts, runs, names), each (starts,)."""
    count = len(columns)
    target = np.ones((count, len(loss)))
    free = [i for i, name in enumerate(names) if name not in fixed]
    for i, name in enumerate(names):
        if name in fixed:
            target -= fixed[name] * columns[:, :, i] / loss
    coefficients = np.empty((count, len(names)))
    scaled = columns[:, :, free] / loss[None, :, None]
    coefficients[:, free] = nonnegative_least_squares(scaled, target, weights)
    least = _LEAST_SHARE * loss.min() / np.maximum(columns.mean(axis=1), 1e-300)
    coefficients = np.maximum(coefficients, least)
    solved = {name: coefficients[:, i] for i, name in enumerate(names)}
    return solved | {name: np.full(count, fixed[name]) for name in names if name in fixed}


def nonnegative_least_squares(
    columns: FloatArray, target: FloatArray, weights: FloatArray
) -> FloatArray:
    """Coefficients (batch, q) >= 0 that minimise the weighted squares of target - columns @ them.

    ``columns`` is (batch, runs, q) with q small: every set of positive coefficients is tried, and
    the best feasible one is the exact answer. Where columns are too large to square it is zero.
    """
    usable = (np.abs(columns) < _LARGEST).all(axis=(1, 2), keepdims=True)
    columns = np.where(usable, columns, 0.0)
    batch, _, q = columns.shape
    best = np.zeros((batch, q))
    gram = np.einsum("bnq,n,bnr->bqr", columns, weights, columns, optimize=True)
    moment = np.einsum("bnq,n,bn->bq", columns, weights, target, optimize=True)
    best_gain = np.zeros(batch)
    for size in range(1, q + 1):
        for active in combinations(range(q), size):
            at = np.ix_(range(batch), active, active)
            scale = np.sqrt(np.maximum(np.einsum("bqq->bq", gram[at]), 1e-300))
            matrix = gram[at] / scale[:, :, None] / scale[:, None, :] + 1e-13 * np.eye(size)
            right = moment[:, active] / scale
            solution = np.linalg.solve(matrix, right[..., None])[..., 0] / scale
            gain = np.einsum("bq,bq->b", solution, moment[:, active])
            better = (solution >= 0).all(axis=1) & (gain > best_gain)
            best_gain = np.where(better, gain, best_gain)
            filled = np.zeros((batch, q))
            filled[:, active] = solution
            best = np.where(better[:, None], filled, best)
    return best
