"""Starts for a search: exponents from a grid, everything else solved for exactly.

Variable projection (Golub and Pereyra 1973): most laws are linear in their coefficients once
the exponents are known, so only exponents need a grid; the coefficients follow from
non-negative least squares on losses divided by themselves. No start has to be guessed by hand.
"""

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np

from scaling.arrays import FloatArray
from scaling.laws.base import Law

Grid = dict[str, FloatArray]

_EXPONENTS = (0.08, 0.15, 0.25, 0.4, 0.6, 0.9)
#: a start gives every term at least this share of the lowest loss, so that it can still grow
_LEAST_SHARE = 0.02


def projected_starts(
    law: type[Law],
    inputs: tuple[FloatArray, ...],
    loss: FloatArray,
    weights: FloatArray,
    fixed: Mapping[str, float],
) -> Grid:
    """Every constant of every start, each of shape (starts,).

    ``inputs`` and ``loss`` have shape (runs,); ``fixed`` constants take their value in every
    start.
    """
    nonlinear = {k: v for k, v in _grid(law, inputs, loss).items() if k not in fixed}
    nonlinear = _unique(nonlinear) if nonlinear else {}
    count = len(next(iter(nonlinear.values()))) if nonlinear else 1
    nonlinear |= {
        name: np.full(count, value) for name, value in fixed.items() if name not in _linear(law)
    }
    if law.name == "m4":
        return _m4_starts(nonlinear, inputs[0], loss, weights, fixed)
    names = _linear(law)
    columns = _basis(law, inputs, nonlinear, count)  # (starts, runs, linear)
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
    solved |= {name: np.full(count, fixed[name]) for name in names if name in fixed}
    return {name: (nonlinear | solved)[name] for name in law.constant_names()}


def nonnegative_least_squares(
    columns: FloatArray, target: FloatArray, weights: FloatArray
) -> FloatArray:
    """Coefficients (batch, q) >= 0 that minimise the weighted squares of target - columns @ them.

    ``columns`` is (batch, runs, q) with q at most 4: every set of positive coefficients is
    tried, and the best feasible one is the exact answer.
    """
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


def _linear(law: type[Law]) -> tuple[str, ...]:
    # the excess-parameter term ties A and B together; without it the law is linear in all three
    return ("E", "A", "B") if law.name == "data_constrained" else law.linear


def _basis(
    law: type[Law], inputs: tuple[FloatArray, ...], nonlinear: Grid, count: int
) -> FloatArray:
    """The law with one coefficient at one and the others at zero, (starts, runs, linear)."""
    if law.name == "data_constrained":
        n, d, u = inputs
        unique = np.minimum(u, d)
        r_d = nonlinear["r_d"][:, None]
        faded = unique * (1 - r_d * np.expm1(-(d / unique - 1) / r_d))
        terms = [n ** -nonlinear["alpha"][:, None], faded ** -nonlinear["beta"][:, None]]
        return np.stack([np.ones((count, len(n))), *terms], axis=-1)
    columns = []
    for name in law.linear:
        unit = {other: np.full(count, float(other == name)) for other in law.linear}
        full = {k: (nonlinear | unit)[k] for k in law.constant_names()}
        columns.append(np.broadcast_to(law(**full).loss(*inputs), (count, len(inputs[0]))))
    return np.stack(columns, axis=-1)


def _grid(law: type[Law], inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
    """The constants that have to be guessed, as one array each over all guesses."""
    x = np.log(inputs[0])
    span, low = float(np.ptp(x)), float(x.min())
    quantiles = [float(np.exp(low + q * span)) for q in (0.25, 0.5, 0.75)]
    axes: dict[str, dict[str, list[float]]] = {
        "power_law": {"b": [-0.02, -0.05, *(-e for e in _EXPONENTS), -1.5]},
        "shifted_power_law": {
            "b": [-0.05, *(-e for e in _EXPONENTS), -1.5],
            "s": [float(np.exp(low)) * f for f in (0.01, 0.3, 3, 30)],
        },
        "m4": {
            "c": [loss.min() * f for f in (0.1, 0.5, 0.8, 0.95)],
            "L0": [loss.max() * f for f in (1.02, 1.2, 2, 5)],
            "k": [0.2, 0.6, 1.2, 2.5],
        },
        "broken_power_law": {
            "c0": [0.05, 0.15, 0.3, 0.6],
            "c1": [-0.15, 0.15, 0.4],
            "d1": quantiles,
            "f1": [0.3, 1.5],
        },
        "broken_power_law_2": {
            "c0": [0.05, 0.2, 0.5],
            "c1": [-0.15, 0.2],
            "d1": quantiles[:2],
            "f1": [0.5],
            "c2": [-0.15, 0.2],
            "d2": [quantiles[2], float(np.exp(low + 0.9 * span))],
            "f2": [0.5],
        },
        "chinchilla": {"alpha": [*_EXPONENTS], "beta": [*_EXPONENTS]},
        "overtraining": {"alpha": [0.05, *_EXPONENTS, 1.5]},
        "data_constrained": {
            "alpha": [0.15, 0.3, 0.5],
            "beta": [0.15, 0.3, 0.5],
            "r_d": [2.0, 10.0],
            "r_n": [5.0],
        },
        "shape_law": {
            "alpha": [0.2, 0.5, 1.0],
            "gamma": [0.2, 0.5, 1.0],
            "beta": [0.15, 0.3, 0.5],
        },
    }
    if law.name == "skaling":
        return _skaling_grid(inputs)
    names = list(axes[law.name])
    table = np.array(list(product(*axes[law.name].values())))
    return {name: table[:, i] for i, name in enumerate(names)}


def _skaling_grid(inputs: tuple[FloatArray, ...]) -> Grid:
    """Guesses of the slopes far from the crossover (alpha k, beta k), the balance, and k."""
    guesses = product((0.2, 0.35, 0.6), (0.2, 0.35, 0.6), (0.3, 1.0, 3.0), (0.35, 0.6, 1.0))
    table = np.array(list(guesses))
    k = table[:, 3]
    alpha, beta = table[:, 0] / k, table[:, 1] / k
    centre_n, centre_d = (float(np.log(v).mean()) for v in inputs)
    ratio = table[:, 2] * np.exp(beta * centre_d - alpha * centre_n)
    return {"alpha": alpha, "beta": beta, "R": ratio, "k": k}


def _unique(grid: Grid) -> Grid:
    rows = np.unique(np.stack(list(grid.values()), axis=1), axis=0)
    return {name: rows[:, i] for i, name in enumerate(grid)}


def _m4_starts(
    nonlinear: Grid,
    x: FloatArray,
    loss: FloatArray,
    weights: FloatArray,
    fixed: Mapping[str, float],
) -> Grid:
    """With c, L0 and k guessed, ln a and b follow from a straight line."""
    c, top, k = (nonlinear[name][:, None] for name in ("c", "L0", "k"))
    above = np.maximum(loss - c, 1e-3 * loss)
    left = np.log(above) - k * np.log(np.maximum(top - loss, 1e-3 * loss))
    log_x = np.log(x)
    share = weights / weights.sum()
    mean_x, mean_left = log_x @ share, left @ share
    slope = ((left - mean_left[:, None]) * (log_x - mean_x)) @ share
    slope = slope / max(float(((log_x - mean_x) ** 2) @ share), 1e-300)
    b = np.full(len(c), fixed["b"]) if "b" in fixed else np.minimum(slope, -0.01)
    a = np.exp(mean_left - b * mean_x)
    a = np.full(len(c), fixed["a"]) if "a" in fixed else a
    return {"a": a, "b": b, **{name: nonlinear[name] for name in ("c", "L0", "k")}}
