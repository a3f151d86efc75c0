"""Laws of any form: derivatives by complex steps, or those that a written formula brings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.fitting.minimising.models.coordinates import Coordinates, Derivatives, Tie
from analysis.fitting.minimising.penalties import Penalty
from scaling.arrays import FloatArray, IntArray
from scaling.laws.base import Law
from scaling.laws.written.formula import FormulaLaw

_BLOCK = 2**16  # values that are evaluated together


class AnyLaw(Coordinates):
    """Any law, differentiated through its own formula by complex steps.

    The imaginary part of f(theta + i h e_j), divided by h, is the derivative to the last digit,
    since nothing is subtracted (the complex-step method). A real step on top of it gives the
    Hessian to about 1e-6.
    """

    _TINY = 1e-30
    _STEP = 1e-6

    def __init__(
        self,
        law: type[Law],
        inputs: tuple[FloatArray, ...],
        fixed: Mapping[str, float],
        tied: Mapping[str, Tie] | None = None,
    ) -> None:
        super().__init__(law, fixed, tied)
        self._inputs = inputs
        self._names = law.constant_names()
        self.work = float(len(self.free) ** 2)

    def _log_loss(self, theta: FloatArray, along: int | None = None) -> npt.NDArray:
        """(batch, runs), complex with a tiny step in the coordinate `along`. The others stay real:
        what does not depend on that one is computed in half the time or less."""
        values: dict[str, Any] = dict(self.fixed)
        for j, name in enumerate(self.free):
            column: npt.NDArray = theta[..., j, None]
            if j == along:
                column = column + 1j * self._TINY
            values[name] = np.exp(column) if self.is_log[j] else column
        with np.errstate(all="ignore"):
            values |= {name: tie(values) for name, tie in self.tied.items()}
            ordered = (values[name] for name in self._names)
            return np.asarray(np.log(self.law.formula(*self._inputs, *ordered)))

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """Predicted log loss, (batch, p) -> (batch, runs)."""
        return self._log_loss(theta)

    def _slope(self, theta: FloatArray, j: int) -> FloatArray:
        """The derivative of the predicted log loss in coordinate j, (batch, runs)."""
        return np.asarray(self._log_loss(theta, j).imag / self._TINY)

    def slopes(self, theta: FloatArray) -> FloatArray:
        """Derivatives of the predicted log loss, (batch, p) -> (batch, runs, p)."""
        return np.stack([self._slope(theta, j) for j in range(len(self.free))], axis=-1)

    def jacobian(self, theta: FloatArray, rows: slice | IntArray = slice(None)) -> FloatArray:
        """Derivatives of the predicted log loss at one point, (runs, p), of these ``rows``."""
        inputs = tuple(values[rows] for values in self._inputs)
        some = type(self)(self.law, inputs, self.fixed, self.tied)
        return np.asarray(some.slopes(theta[None])[0])

    def derivatives(
        self, penalty: Penalty, basis: FloatArray | None = None, *, exact: bool = True
    ) -> Derivatives:
        """The objective's derivatives along the columns of ``basis``."""
        p = len(self.free)
        along = np.eye(p) if basis is None else basis

        def evaluate(
            theta: FloatArray, weights: FloatArray, log_loss: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            f = self.log_prediction(theta)
            value, slope, curvature = penalty.weighted(f, log_loss, weights)
            jacobian = self.slopes(theta)
            gradient = np.einsum("bn,bnj->bj", slope, jacobian)
            hessian = np.einsum("bn,bnj,bnk->bjk", curvature, jacobian, jacobian, optimize=True)
            for k in range(p if exact else 0):
                moved = theta.copy()
                moved[:, k] += self._STEP
                for j in range(k + 1):
                    bend = (self._slope(moved, j) - jacobian[..., j]) / self._STEP
                    second = np.einsum("bn,bn->b", slope, bend)
                    hessian[:, j, k] += second
                    if j != k:
                        hessian[:, k, j] += second
            return value, gradient @ along, along.T @ hessian @ along

        return evaluate


class ExactLaw(AnyLaw):
    """A formula, whose derivatives SymPy wrote; of log L, in search coordinates.

    With c the constants and s = dc / dtheta (c itself on a log scale, else 1):

        d ln L / d theta_j          = L_j s_j / L
        d2 ln L / d theta_j theta_k = (L_jk s_j s_k + [j = k, log] L_j s_j) / L - (slopes j, k)
    """

    law: type[FormulaLaw]

    def _at(
        self, theta: FloatArray, rows: slice
    ) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
        """Log losses (batch, rows), slopes (batch, rows, p), and the lower triangle of the second
        derivatives, each (batch, rows)."""
        natural = self._natural(theta)[..., None]
        values: dict[str, Any] = {name: np.float64(v) for name, v in self.fixed.items()}
        values |= {name: natural[:, j] for j, name in enumerate(self.free)}
        inputs = tuple(column[rows] for column in self._inputs)
        names = self.law.constant_names()
        places = [names.index(name) for name in self.free]
        with np.errstate(all="ignore"):
            loss, first, second = self.law.second_derivatives(inputs, values)
            scale = [natural[:, j] if log else 1.0 for j, log in enumerate(self.is_log)]
            slopes = [first[i] * s / loss for i, s in zip(places, scale, strict=True)]
            bends = []
            for j, row in enumerate(places):
                for k, column in enumerate(places[: j + 1]):
                    bend = second[row][column] * scale[j] * scale[k] / loss - slopes[j] * slopes[k]
                    bends.append(bend + slopes[j] if j == k and self.is_log[j] else bend)
            return np.log(loss), np.stack(slopes, axis=-1), bends

    def slopes(self, theta: FloatArray) -> FloatArray:
        """Derivatives of the predicted log loss, (batch, p) -> (batch, runs, p)."""
        return self._at(theta, slice(None))[1]

    def derivatives(
        self, penalty: Penalty, basis: FloatArray | None = None, *, exact: bool = True
    ) -> Derivatives:
        """The objective's derivatives along the columns of ``basis``."""
        p = len(self.free)
        along = np.eye(p) if basis is None else basis

        def evaluate(
            theta: FloatArray, weights: FloatArray, log_loss: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            batch, runs = len(theta), len(self._inputs[0])
            value, gradient = np.zeros(batch), np.zeros((batch, p))
            hessian = np.zeros((batch, p, p))
            step = max(1, _BLOCK // max(batch, 1))
            for rows in (slice(i, i + step) for i in range(0, runs, step)):
                f, slopes, bends = self._at(theta, rows)
                part, slope, curvature = penalty.weighted(f, log_loss[:, rows], weights[:, rows])
                value += part
                gradient += np.einsum("bn,bnj->bj", slope, slopes)
                hessian += np.einsum("bn,bnj,bnk->bjk", curvature, slopes, slopes, optimize=True)
                sums = [np.einsum("bn,bn->b", slope, bend) for bend in bends if exact]
                for (j, k), total in zip(zip(*np.tril_indices(p), strict=True), sums, strict=False):
                    hessian[:, j, k] += total
                    if j != k:
                        hessian[:, k, j] += total
            return value, gradient @ along, along.T @ hessian @ along

        return evaluate
