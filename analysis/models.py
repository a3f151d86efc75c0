"""A law on given runs as a function of search coordinates, with exact derivatives, in batches.

Search coordinates: the logarithm of constants that cannot be negative, the others as they are.
A batch holds many vectors of them (starts, or bootstrap replicas), each with its own weights
or losses. Two models answer the same three questions:

    SumOfPowers  laws that are a floor plus powers of the inputs: closed-form derivatives, fast
    AnyLaw       every other law: complex-step derivatives of its own formula
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from analysis.objectives import Objective
from scaling.laws import Law

FloatArray = npt.NDArray[np.float64]

#: exponents and logs beyond this are overflow in the making; the search is kept inside
LARGEST_COORDINATE = 300.0


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

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """Predicted log loss, (batch, p) -> (batch, runs)."""

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Derivatives of the predicted log loss at one point, (p,) -> (runs, p)."""

    def derivatives(self, objective: Objective, basis: FloatArray | None = None) -> Derivatives:
        """The objective's derivatives along the columns of ``basis`` (p, p)."""

    def to_constants(self, theta: FloatArray) -> dict[str, FloatArray]:
        """All constants, fixed ones included, each of the shape of theta less its last axis."""

    def to_coordinates(self, constants: Mapping[str, FloatArray | float]) -> FloatArray:
        """The inverse: search coordinates of the free constants, last axis p."""


#: a constant as arithmetic on the others, by name; works on arrays and on complex numbers
Tie = Callable[[Mapping[str, Any]], Any]


def model_of(
    law: type[Law],
    inputs: tuple[FloatArray, ...],
    fixed: Mapping[str, float],
    tied: Mapping[str, Tie] | None = None,
) -> Model:
    """The fast model where the law has one, else the general one."""
    if law.name in _POWERS and not tied:
        return SumOfPowers(law, inputs, fixed)
    return AnyLaw(law, inputs, fixed, tied)


@dataclass(frozen=True)
class _Power:
    """A term coefficient * input**(sign * exponent)."""

    coefficient: str
    input_index: int
    exponent: str
    sign: float


_POWERS: dict[str, tuple[_Power, ...]] = {
    "power_law": (_Power("a", 0, "b", 1.0),),
    "chinchilla": (_Power("A", 0, "alpha", -1.0), _Power("B", 1, "beta", -1.0)),
    "overtraining": (_Power("A", 0, "alpha", -1.0), _Power("B", 1, "alpha", -1.0)),
    "shape_law": (
        _Power("A", 0, "alpha", -1.0),
        _Power("G", 1, "gamma", -1.0),
        _Power("B", 2, "beta", -1.0),
    ),
}


class _Coordinates:
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
        return np.where(self.is_log, np.maximum(logs, -LARGEST_COORDINATE), columns)

    def _natural(self, theta: FloatArray) -> FloatArray:
        exponentiated = np.exp(np.minimum(np.where(self.is_log, theta, 0.0), LARGEST_COORDINATE))
        return np.where(self.is_log, exponentiated, theta)


class SumOfPowers(_Coordinates):
    """log L = log-sum-exp of terms that are linear in the search coordinates.

    Term t is Phi_t theta + offset_t with features Phi_t of the runs; p_t is its share of the
    predicted loss. Then, per run, grad f = sum_t p_t Phi_t and
    hess f = sum_t p_t Phi_t Phi_t' - grad f grad f', so that with the penalty's slope s and
    curvature q in f the objective's Hessian is

        sum over runs, t, u of [(q - s) p_t p_u + (s p_t if t = u)] Phi_t Phi_u'

    Each bracket is one array (replicas, runs), and its sum against the products of features one
    matrix product. Logs of inputs are centred; the shift goes back into the coefficients.
    """

    def __init__(
        self, law: type[Law], inputs: tuple[FloatArray, ...], fixed: Mapping[str, float]
    ) -> None:
        super().__init__(law, fixed)
        logs = [np.log(values) for values in inputs]
        self._centres = [float(values.mean()) for values in logs]
        self._centred = [v - c for v, c in zip(logs, self._centres, strict=True)]
        self._powers = _POWERS[law.name]
        self._has_floor = fixed.get(law.floor) != 0.0
        self._terms = [self._term(power) for power in self._powers]
        if self._has_floor:
            self._terms.append(self._floor_term())

    def _term(self, power: _Power) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Features (runs, 2), map to the free coordinates (2, p), offset (2,) of one power.

        Row 0 is the term's log at the centre of the runs, row 1 its exponent.
        """
        x, centre = self._centred[power.input_index], self._centres[power.input_index]
        features = np.stack([np.ones_like(x), power.sign * x], axis=1)
        spread, offset = np.zeros((2, len(self.free))), np.zeros(2)
        if power.coefficient in self.fixed:
            offset[0] += np.log(self.fixed[power.coefficient])
        else:
            spread[0, self.free.index(power.coefficient)] = 1.0
        if power.exponent in self.fixed:
            offset += self.fixed[power.exponent] * np.array([power.sign * centre, 1.0])
        else:
            spread[:, self.free.index(power.exponent)] = power.sign * centre, 1.0
        return features, spread, offset

    def _floor_term(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        ones = np.ones((len(self._centred[0]), 1))
        spread, offset = np.zeros((1, len(self.free))), np.zeros(1)
        if self.law.floor in self.fixed:
            offset[0] = np.log(self.fixed[self.law.floor])
        else:
            spread[0, self.free.index(self.law.floor)] = 1.0
        return ones, spread, offset

    def _shares(self, theta: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Predicted log loss (batch, runs) and each term's share of the loss."""
        logs = []
        for features, spread, offset in self._terms:
            local = theta @ spread.T + offset
            if features.shape[1] == 1:
                logs.append(np.broadcast_to(local, (len(theta), len(features))))
            else:
                logs.append(local @ features.T)
        highest = logs[0].max(axis=1, keepdims=True)
        for log in logs[1:]:
            highest = np.maximum(highest, log.max(axis=1, keepdims=True))
        # one shift a replica, not a run: terms that underflow below it are below 1e-300
        shares = [np.exp(log - highest) for log in logs]
        total = shares[0].copy() if len(shares) == 1 else shares[0] + shares[1]
        for share in shares[2:]:
            total += share
        inverse = 1.0 / total
        for share in shares:
            share *= inverse
        return np.log(total) + highest, shares

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """Predicted log loss, (batch, p) -> (batch, runs)."""
        return self._shares(theta)[0]

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Derivatives of the predicted log loss at one point, (runs, p)."""
        _, shares = self._shares(theta[None, :])
        parts = [
            p[0][:, None] * (features @ spread)
            for p, (features, spread, _) in zip(shares, self._terms, strict=True)
        ]
        return np.asarray(np.sum(parts, axis=0))

    def derivatives(self, objective: Objective, basis: FloatArray | None = None) -> Derivatives:
        """The objective's derivatives along the columns of ``basis``."""
        p = len(self.free)
        along = np.eye(p) if basis is None else basis
        spreads = [spread @ along for _, spread, _ in self._terms]
        features = [np.ascontiguousarray(f) for f, _, _ in self._terms]
        pairs = [(t, u) for t in range(len(features)) for u in range(t, len(features))]
        products = [_products(features[t], features[u]) for t, u in pairs]
        # moments of the pair (t, u) -> its part of the flattened Hessian
        to_hessian = np.concatenate(
            [_symmetric_part(spreads[t], spreads[u], t == u) for t, u in pairs]
        )
        to_gradient = np.concatenate(spreads)

        def evaluate(
            theta: FloatArray, weights: FloatArray, log_loss: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            f, shares = self._shares(theta)
            value, slope, curvature = objective.penalty(f, log_loss)
            value = np.einsum("bn,bn->b", value, np.broadcast_to(weights, value.shape))
            slope = slope * weights
            mixed = curvature
            mixed *= weights
            mixed -= slope
            slopes = [slope * share for share in shares]
            gradient = np.concatenate([s @ x for s, x in zip(slopes, features, strict=True)], 1)
            moments = []
            for (t, u), product in zip(pairs, products, strict=True):
                if t == u:
                    scaled = mixed * shares[t]
                bracket = scaled * shares[u]
                if t == u:
                    bracket += slopes[t]
                moments.append(bracket @ product)
            hessian = np.concatenate(moments, 1) @ to_hessian
            return value, gradient @ to_gradient, hessian.reshape(-1, p, p)

        return evaluate


def _products(left: FloatArray, right: FloatArray) -> FloatArray:
    """Products of two terms' features per run, (runs, left * right)."""
    return np.ascontiguousarray((left[:, :, None] * right[:, None, :]).reshape(len(left), -1))


def _symmetric_part(left: FloatArray, right: FloatArray, same: bool) -> FloatArray:
    """(left * right, p * p): what a feature product adds to the flattened Hessian."""
    outer = np.einsum("ip,jq->ijpq", left, right)
    if not same:
        outer = outer + np.einsum("ip,jq->ijqp", left, right)
    return np.asarray(outer.reshape(len(left) * len(right), -1))


class AnyLaw(_Coordinates):
    """Any law, differentiated through its own formula by complex steps.

    The imaginary part of f(theta + i h e_j), divided by h, is the derivative to the last digit,
    since nothing is subtracted: Squire and Trapp 1998, "Using Complex Variables to Estimate
    Derivatives of Real Functions". A real step on top of it gives the Hessian to about 1e-6.
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

    def _log_loss(self, theta: npt.NDArray) -> npt.NDArray:
        values: dict[str, Any] = dict(self.fixed)
        for j, name in enumerate(self.free):
            column = theta[..., j, None]
            values[name] = np.exp(column) if self.is_log[j] else column
        with np.errstate(all="ignore"):
            values |= {name: tie(values) for name, tie in self.tied.items()}
            ordered = (values[name] for name in self.law.constant_names())
            return np.asarray(np.log(self.law.formula(*self._inputs, *ordered)))

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """Predicted log loss, (batch, p) -> (batch, runs)."""
        return self._log_loss(np.clip(theta, -LARGEST_COORDINATE, LARGEST_COORDINATE))

    def _slopes(self, theta: FloatArray, j: int) -> tuple[FloatArray, FloatArray]:
        """(predicted log loss, its derivative in coordinate j), each (batch, runs)."""
        shifted = theta.astype(np.complex128)
        shifted[..., j] += 1j * self._TINY
        at = self._log_loss(shifted)
        return at.real, at.imag / self._TINY

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Derivatives of the predicted log loss at one point, (runs, p)."""
        return np.stack([self._slopes(theta[None], j)[1][0] for j in range(len(self.free))], 1)

    def derivatives(self, objective: Objective, basis: FloatArray | None = None) -> Derivatives:
        """The objective's derivatives along the columns of ``basis``."""
        p = len(self.free)
        along = np.eye(p) if basis is None else basis

        def evaluate(
            theta: FloatArray, weights: FloatArray, log_loss: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            f = self.log_prediction(theta)
            value, slope, curvature = objective.penalty(f, log_loss)
            slope, curvature = slope * weights, curvature * weights
            jacobian = np.stack([self._slopes(theta, j)[1] for j in range(p)], axis=-1)
            gradient = np.einsum("bn,bnj->bj", slope, jacobian)
            hessian = np.einsum("bn,bnj,bnk->bjk", curvature, jacobian, jacobian, optimize=True)
            for k in range(p):
                moved = theta.copy()
                moved[:, k] += self._STEP
                for j in range(k + 1):
                    bend = (self._slopes(moved, j)[1] - jacobian[..., j]) / self._STEP
                    second = np.einsum("bn,bn->b", slope, bend)
                    hessian[:, j, k] += second
                    if j != k:
                        hessian[:, k, j] += second
            value = (value * weights).sum(axis=1)
            return value, gradient @ along, along.T @ hessian @ along

        return evaluate
