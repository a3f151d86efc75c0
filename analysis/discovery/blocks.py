"""Blocked backtests: which runs are hidden, so that a form is judged where it was not fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.discovery.forms.table import Table
from scaling.arrays import BoolArray, FloatArray, IntArray

MOST_CUTS = 4
FOLDS = 5
INSIDE_WEIGHT = 0.5  # of the blocks inside the data, where others look beyond it
_FEW_LEVELS = 12
_LEAST_LEFT = 0.4  # of the runs of a group
_BEYOND = 0.05  # of the range of an input in ln: so far past the runs a point lies outside
_QUANTILES = (0.9, 0.8, 0.7, 0.55)
_FAR_OUT = 0.9  # of the runs lie nearer to their middle than points that count as a corner


@dataclass(frozen=True)
class Direction:
    """Where answers are asked for: a name, and how far each run lies that way (runs,)."""

    label: str
    distance: FloatArray


@dataclass(frozen=True)
class Block:
    """Runs that are hidden together."""

    hidden: BoolArray  # (runs,)
    along: str  # the direction at whose end it lies; "" inside the data
    weight: float
    beyond: FloatArray | None = None  # (hidden runs,): past those kept, over what these span


def upwards(table: Table, inputs: Sequence[int] | None = None) -> list[Direction]:
    """Upwards along these inputs, or along every one that has three values or more."""
    found = []
    for i in _ordered(table) if inputs is None else inputs:
        x = _coordinate(table, table.inputs, i)
        if inputs is not None or len(np.unique(x)) > 2:
            found.append(Direction(table.names[i], x))
    return found


def towards(table: Table, points: FloatArray) -> list[Direction]:
    """The directions in which points (points, inputs) lie beyond the runs: along an input, or
    towards a corner that no run reaches though its inputs do; none for points among the runs."""
    found, to_points = [], []
    for i in _ordered(table):
        x, asked = _coordinate(table, table.inputs, i), _coordinate(table, points, i)
        margin = _BEYOND * (x.max() - x.min())
        if asked.max() > x.max() + margin:
            found.append(Direction(table.names[i], x))
        elif asked.min() < x.min() - margin:
            found.append(Direction(f"{table.names[i]} downwards", -x))
        to_points.append(((asked - x.mean()) / x.std(), (x - x.mean()) / x.std()))
    if found or len(to_points) < 2:
        return found
    asked, runs = (np.column_stack(side) for side in zip(*to_points, strict=True))
    middle = asked.mean(axis=0)
    distance = runs @ middle
    if np.median(asked @ middle) > np.quantile(distance, _FAR_OUT):
        return [Direction("the corner of the points", distance)]
    return []


def blocks(table: Table, along: Sequence[Direction], rng: np.random.Generator) -> list[Block]:
    """The ends of the data in every direction, at several cuts, and a partition of its points."""
    beyond = []
    for direction in along:
        ends = ends_along(table, direction.distance)
        share = 1 / (len(ends) * len(along)) if ends else 0.0
        beyond += [Block(h, direction.label, share, _beyond(direction, h)) for h in ends]
    folds = _partition(table, rng)
    share = INSIDE_WEIGHT if beyond else 1.0
    return beyond + [Block(h, "", share / len(folds)) for h in folds]


def _ordered(table: Table) -> tuple[int, ...]:
    """The inputs that have a direction: all but proportions."""
    return tuple(i for i, role in enumerate(table.roles) if role != "proportion")


def _coordinate(table: Table, inputs: FloatArray, i: int) -> FloatArray:
    x = inputs[:, i]
    return np.asarray(np.log(x) if table.roles[i] == "scale" else x)


def ends_along(table: Table, x: FloatArray) -> list[BoolArray]:
    """The runs past each of several cuts in x (runs,), the smallest end first."""
    levels = np.unique(np.round(x, 3))
    if len(levels) <= _FEW_LEVELS:
        cuts = [(a + b) / 2 for a, b in zip(levels[1:-1], levels[2:], strict=True)][::-1]
    else:
        cuts = [float(np.quantile(x, q)) for q in _QUANTILES]
    found: list[BoolArray] = []
    for cut in cuts:
        hidden = x > cut
        if not hidden.any() or not _leaves_enough(table, hidden):
            continue
        if not found or (hidden != found[-1]).any():
            found.append(hidden)
    if len(found) > MOST_CUTS:
        chosen = np.unique(np.linspace(0, len(found) - 1, MOST_CUTS).round().astype(int))
        found = [found[k] for k in chosen]
    return found


def _beyond(direction: Direction, hidden: BoolArray) -> FloatArray:
    """How far each hidden run lies past those that are kept, over what these span; infinite where
    they span nothing."""
    kept, away = direction.distance[~hidden], direction.distance[hidden]
    with np.errstate(divide="ignore"):
        return np.asarray((away - kept.max()) / (kept.max() - kept.min()))


def _leaves_enough(table: Table, hidden: BoolArray) -> bool:
    for g in range(table.groups):
        own = table.group == g
        if (own & ~hidden).sum() < max(4, _LEAST_LEFT * own.sum()):
            return False
    return True


def _partition(table: Table, rng: np.random.Generator) -> list[BoolArray]:
    """Every point once, those of equal inputs together in all groups."""
    point = distinct_points(table.inputs)
    count = int(point.max()) + 1
    number = rng.permutation(count) % min(FOLDS, count)
    return [h for k in range(FOLDS) if (h := number[point] == k).any()]


def distinct_points(inputs: FloatArray) -> IntArray:
    """One number for all runs of equal inputs (runs,)."""
    rounded = np.array([[float(f"{v:.6g}") for v in row] for row in inputs])
    found = np.unique(rounded, axis=0, return_inverse=True)[1]
    return np.asarray(found.reshape(-1), dtype=np.int64)
