"""The runs of a search as arrays: inputs about their centres, arranged by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.discovery.forms.factors import Columns
from analysis.discovery.forms.solver import Observed
from scaling.arrays import BoolArray, FloatArray, IntArray
from scaling.tables.cells.proportions import SUM_TOLERANCE

Role = Literal["scale", "proportion", "offset"]


@dataclass(frozen=True)
class Table:
    """Inputs, the value that is sought, and groups; each row a run."""

    names: tuple[str, ...]
    inputs: FloatArray  # (runs, inputs)
    y: FloatArray  # (runs,)
    group: IntArray  # (runs,): numbers from zero on
    roles: tuple[Role, ...]
    is_relative: bool  # whether errors are relative to the value; else of the value itself

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1

    def of_role(self, role: Role) -> tuple[int, ...]:
        """The inputs that play this part."""
        return tuple(i for i, own in enumerate(self.roles) if own == role)

    @property
    def scales(self) -> tuple[int, ...]:
        """The inputs that powers are of."""
        return self.of_role("scale")

    def centres(self) -> tuple[float, ...]:
        """Two digits of the geometric mean of each input, the mean where it has zeros; 1 for a
        proportion."""
        found = []
        for x, role in zip(self.inputs.T, self.roles, strict=True):
            mean = {"proportion": 1.0, "offset": float(x.mean())}.get(role)
            mean = float(np.exp(np.log(x).mean())) if mean is None else mean
            found.append(float(f"{mean:.1e}"))
        return tuple(found)

    def take(self, rows: BoolArray | IntArray) -> "Table":
        """Some of the rows, with all the groups."""
        return Table(
            self.names,
            self.inputs[rows],
            self.y[rows],
            self.group[rows],
            self.roles,
            self.is_relative,
        )


@dataclass(frozen=True)
class Arranged:
    """A table with its rows in places of (groups, runs)."""

    seen: Observed
    place: IntArray  # (runs,): place of each row within its group
    group: IntArray

    def spread(self, values: FloatArray, padding: float = 0.0) -> FloatArray:
        """Row values (..., runs) at their places (..., groups, runs a group)."""
        shape = (*values.shape[:-1], *self.seen.y.shape)
        out = np.full(shape, padding, dtype=np.float64)
        out[..., self.group, self.place] = values
        return out

    def rows(self, spread: FloatArray) -> FloatArray:
        """The inverse of `spread`."""
        return spread[..., self.group, self.place]


def columns_of(
    inputs: FloatArray, centres: Sequence[float], roles: Sequence[Role]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Logarithms about the centres, and values, of each input of rows."""
    logs = [
        np.log(inputs[:, i] / centres[i]) if role == "scale" else np.zeros(len(inputs))
        for i, role in enumerate(roles)
    ]
    return logs, [inputs[:, i] for i in range(inputs.shape[1])]


def arrange(table: Table, centres: Sequence[float], groups: int | None = None) -> Arranged:
    """The table by groups; the error of a run is relative to its value, or to their spread."""
    groups = table.groups if groups is None else groups
    place = np.zeros(len(table.y), dtype=np.int64)
    most = 1
    for g in range(groups):
        own = np.flatnonzero(table.group == g)
        place[own] = np.arange(len(own))
        most = max(most, len(own))
    empty = np.zeros((groups, most))
    logs, values = columns_of(table.inputs, centres, table.roles)

    def spread(rows: FloatArray, padding: float) -> FloatArray:
        out = empty + padding
        out[table.group, place] = rows
        return out

    weight = (
        1 / np.abs(table.y) if table.is_relative else np.full(len(table.y), 1 / _width(table.y))
    )
    at = Columns(
        tuple(spread(x, 0.0) for x in logs),
        tuple(spread(x, 1.0) for x in values),
        tuple(centres),
    )
    seen = Observed(at, spread(table.y, 0.0), spread(weight, 0.0), not table.is_relative)
    return Arranged(seen, place, table.group)


def _width(y: FloatArray) -> float:
    return float(y.std()) or 1.0


def roles_of(inputs: FloatArray) -> tuple[Role, ...]:
    """What each input is: proportions lie between 0 and 1, are two at least, and add up to one."""
    inside = [bool((x >= 0).all() and (x <= 1).all()) for x in inputs.T]
    total = inputs[:, inside].sum(axis=1) if sum(inside) > 1 else np.zeros(0)
    is_whole = len(total) > 0 and bool(np.abs(total - 1).max() < SUM_TOLERANCE)
    return tuple(
        "proportion" if p and is_whole else "scale" if (x > 0).all() else "offset"
        for p, x in zip(inside, inputs.T, strict=True)
    )
