"""What a law on given runs answers, and the coordinates in which it is searched.

Search coordinates: the logarithm of constants that cannot be negative, the others as they are.
A batch holds many vectors of them (starts, or bootstrap replicas), each with its own weights
or losses.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from analysis.fitting.minimising.penalties import Penalty
from scaling.arrays import FloatArray, IntArray
from scaling.laws.base import Law

#: logs beyond this are overflow in the making; the search is kept inside
LARGEST_LOG = 600.0


class Derivatives(Protocol):
    """The objective with first and second derivatives, one row a replica."""

    def __call__(
        self, theta: FloatArray, weights: FloatArray, log_loss: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(batch,) values, (batch, p) gradients, (batch, p, p) Hessians."""


class Model(Protocol):
    """A law on given runs, with some constants fixed, seen through its search coordinates."""

    law: type[Law]
    free: tuple[str, ...]
    limits: FloatArray  # (2, p) the search keeps every coordinate between the two
    work: float  # about how long an evaluation takes, over that of a sum of powers

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """Predicted log loss, (batch, p) -> (batch, runs)."""

    def jacobian(self, theta: FloatArray, rows: slice | IntArray = slice(None)) -> FloatArray:
        """Derivatives of the predicted log loss at one point, (p,) -> (runs, p), of some rows."""

    def derivatives(
        self, penalty: Penalty, basis: FloatArray | None = None, *, exact: bool = True
    ) -> Derivatives:
        """The objective's derivatives along the columns of ``basis`` (p, p).

        With ``exact`` False a costly Hessian may leave out the law's own curvature (Gauss-Newton).
        """

    def to_constants(self, theta: FloatArray) -> dict[str, FloatArray]:
        """All constants, fixed ones included, each of the shape of theta less its last axis."""

    def to_coordinates(self, constants: Mapping[str, FloatArray | float]) -> FloatArray:
        """The inverse: search coordinates of the free constants, last axis p."""


#: a constant as arithmetic on the others, by name; works on arrays and on complex numbers
Tie = Callable[[Mapping[str, Any]], Any]


class Coordinates:
    """Constants to search coordinates and back."""

    def __init__(
        self, law: type[Law], fixed: Mapping[str, float], tied: Mapping[str, Tie] | None = None
    ) -> None:
        self.law = law
        self.fixed = dict(fixed)
        self.tied = dict(tied or {})
        given = {*self.fixed, *self.tied}
        self.free = tuple(name for name in law.constant_names() if name not in given)
        self.is_log = np.array([name in law.positive for name in self.free], dtype=bool)
        self.limits = self._limits()
        self.work = 1.0

    def to_constants(self, theta: FloatArray) -> dict[str, FloatArray]:
        """All constants, fixed ones included."""
        values = dict(zip(self.free, np.moveaxis(self._natural(theta), -1, 0), strict=True))
        shape = theta.shape[:-1]
        values |= {name: np.full(shape, value) for name, value in self.fixed.items()}
        for name, tie in self.tied.items():
            values[name] = np.broadcast_to(np.asarray(tie(values), dtype=np.float64), shape)
        return {name: values[name] for name in self.law.constant_names()}

    def to_coordinates(self, constants: Mapping[str, FloatArray | float]) -> FloatArray:
        """Search coordinates of the free constants."""
        columns = np.stack([np.asarray(constants[name], float) for name in self.free], axis=-1)
        with np.errstate(divide="ignore"):
            logs = np.log(np.where(self.is_log, columns, 1.0))
        return np.where(self.is_log, np.maximum(logs, -LARGEST_LOG), columns)

    def _limits(self) -> FloatArray:
        bounds = self.law.bounds()
        ends = np.array([bounds[name] for name in self.free]).reshape(-1, 2).T
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.clip(np.log(ends), -LARGEST_LOG, LARGEST_LOG)
        return np.where(self.is_log, logs, ends)

    def _natural(self, theta: FloatArray) -> FloatArray:
        exponentiated = np.exp(np.where(self.is_log, theta, 0.0))
        return np.where(self.is_log, exponentiated, theta)
