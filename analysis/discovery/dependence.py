"""Whether the values depend on the inputs at all: a permutation test before any law is claimed."""

import numpy as np

from analysis.discovery.forms.table import Table
from scaling.arrays import FloatArray

PERMUTATIONS = 199
LEVEL = 0.02  # a law is claimed where so few permutations do as well
_EXPONENTS = (-0.3, 0.1, 0.4, 1.0)


def chance_of_no_law(table: Table, rng: np.random.Generator) -> float:
    """The share of permutations of the values within groups of which the best single term explains
    as much as it does of the values themselves (Phipson and Smyth 2010: never zero)."""
    columns = _columns(table)
    y = _within_groups(_response(table)[:, None], table)
    shuffled = np.repeat(y, PERMUTATIONS + 1, axis=1)
    for g in range(table.groups):
        own = np.flatnonzero(table.group == g)
        for k in range(1, PERMUTATIONS + 1):
            shuffled[own, k] = y[rng.permutation(own), 0]
    explained = np.abs(columns.T @ shuffled).max(axis=0)
    return float((1 + (explained[1:] >= explained[0] * (1 - 1e-12)).sum()) / (PERMUTATIONS + 1))


def _response(table: Table) -> FloatArray:
    return np.log(table.y) if table.is_relative else table.y


def _columns(table: Table) -> FloatArray:
    """Single terms at usual constants, centred within groups and of length one (runs, terms)."""
    found = []
    logs = {i: np.log(table.inputs[:, i]) for i in table.scales}
    logs = {i: (x - x.mean()) / (x.std() or 1.0) for i, x in logs.items()}
    for i, x in logs.items():
        found += [np.exp(-a * x) for a in _EXPONENTS] + [x**2]
        found += [np.exp(-0.5 * (x + z)) for j, z in logs.items() if j > i]
        found += [np.exp(-0.5 * (x - z)) for j, z in logs.items() if j != i]
    for i, role in enumerate(table.roles):
        if role != "scale":
            r = table.inputs[:, i] / (table.inputs[:, i].max() or 1.0)
            found += [r, (r + 0.03) ** -0.3]
    columns = _within_groups(np.column_stack(found), table)
    norm = np.sqrt((columns**2).sum(axis=0))
    return np.asarray(columns[:, norm > 0] / norm[norm > 0])


def _within_groups(values: FloatArray, table: Table) -> FloatArray:
    out = values.astype(np.float64).copy()
    for g in range(table.groups):
        own = table.group == g
        out[own] -= out[own].mean(axis=0)
    return out
