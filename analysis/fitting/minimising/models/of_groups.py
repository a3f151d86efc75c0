"""A law of groups: each group's own model of its own runs, with the shared constants in common."""

from collections.abc import Callable, Mapping

import numpy as np

from analysis.fitting.minimising.models.coordinates import (
    Coordinates,
    Derivatives,
    Model,
    Tie,
)
from analysis.fitting.minimising.penalties import Penalty
from scaling.arrays import FloatArray, IntArray
from scaling.laws.base import Law
from scaling.laws.grouped import GroupedLaw

ModelOf = Callable[
    [type[Law], tuple[FloatArray, ...], Mapping[str, float], Mapping[str, Tie]], Model
]
"""What makes the model of a law on runs, with fixed and tied constants."""


class OfGroups(Coordinates):
    """The sum over groups of what `Model` says of each: as fast as the groups' own models."""

    def __init__(
        self,
        law: type[GroupedLaw],
        inputs: tuple[FloatArray, ...],
        fixed: Mapping[str, float],
        tied: Mapping[str, Tie] | None,
        model_of: ModelOf,
    ) -> None:
        super().__init__(law, fixed, tied)
        self._law = law
        self._inputs, self._model_of = inputs, model_of
        self._parts: list[tuple[Model, IntArray, IntArray]] = []
        for g in range(1, law.groups + 1):
            rows = np.flatnonzero(law.rows(inputs, g))
            if not len(rows):
                continue
            held = law.of_group(self.fixed, g)
            ties = {k: _of_group(law, tie, g) for k, tie in law.of_group(self.tied, g).items()}
            own = model_of(law.base, tuple(v[rows] for v in inputs[:-1]), held, ties)
            places = np.array([self.free.index(law.own(name, g)) for name in own.free], np.int64)
            self._parts.append((own, rows, places))
            self.work = max(self.work, own.work)

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """Predicted log loss, (batch, p) -> (batch, runs)."""
        out = np.empty((*theta.shape[:-1], len(self._inputs[0])))
        for own, rows, places in self._parts:
            out[..., rows] = own.log_prediction(theta[..., places])
        return out

    def jacobian(self, theta: FloatArray, rows: slice | IntArray = slice(None)) -> FloatArray:
        """Derivatives of the predicted log loss at one point, (runs, p), of these ``rows``."""
        inputs = tuple(values[rows] for values in self._inputs)
        some = OfGroups(self._law, inputs, self.fixed, self.tied, self._model_of)
        out = np.zeros((len(inputs[0]), len(self.free)))
        for own, at, places in some._parts:
            out[np.ix_(at, places)] = own.jacobian(theta[places])
        return out

    def derivatives(
        self, penalty: Penalty, basis: FloatArray | None = None, *, exact: bool = True
    ) -> Derivatives:
        """The objective's derivatives along the columns of ``basis``."""
        p = len(self.free)
        along = np.eye(p) if basis is None else basis
        each = [own.derivatives(penalty, exact=exact) for own, _, _ in self._parts]

        def evaluate(
            theta: FloatArray, weights: FloatArray, log_loss: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            batch = len(theta)
            value, gradient = np.zeros(batch), np.zeros((batch, p))
            hessian = np.zeros((batch, p, p))
            for of_part, (_, rows, places) in zip(each, self._parts, strict=True):
                v, g, h = of_part(theta[:, places], weights[:, rows], log_loss[:, rows])
                value += v
                gradient[:, places] += g
                hessian[:, places[:, None], places] += h
            return value, gradient @ along, along.T @ hessian @ along

        return evaluate


def _of_group(law: type[GroupedLaw], tie: Tie, group: int) -> Tie:
    """A tie between constants named as here, as one between those of the law."""
    return lambda values: tie({law.own(name, group): value for name, value in values.items()})
