"""A law on given runs as a function of search coordinates, with exact derivatives, in batches.

Search coordinates: the logarithm of constants that cannot be negative, the others as they are.
A batch holds many vectors of them (starts, or bootstrap replicas), each with its own weights
or losses. Two models answer the same three questions:

    SumOfPowers  laws that are a floor plus powers of the inputs: closed-form derivatives, fast
    AnyLaw       every other law: complex-step derivatives of its own formula
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from analysis.fitting.penalties import Penalty
from scaling.arrays import FloatArray, IntArray
from scaling.laws.base import Law, Power

#: logs beyond this are overflow in the making; the search is kept inside
LARGEST_LOG = 600.0
_BLOCK = 2**16  # runs that are evaluated together: of more the arrays would leave the cache


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


def model_of(
    law: type[Law],
    inputs: tuple[FloatArray, ...],
    fixed: Mapping[str, float],
    tied: Mapping[str, Tie] | None = None,
) -> Model:
    """The fast model where the law has one, else the general one."""
    if law.powers and not tied:
        return SumOfPowers(law, inputs, fixed)
    return AnyLaw(law, inputs, fixed, tied)


@dataclass(frozen=True)
class _Term:
    """One power on given runs: see `SumOfPowers` for the symbols."""

    features: FloatArray  # Phi_k transposed, (2, runs)
    range: tuple[float, float]  # of the second feature
    spread: FloatArray  # S_k, (2, p)
    offset: FloatArray  # (2,)


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
        self.limits = self._limits()

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


class SumOfPowers(_Coordinates):
    """A floor plus powers: log L is a log-sum-exp of terms linear in the search coordinates.

    Term k has the log Phi_k l_k with features Phi_k = (1, +-x) of the runs and l_k = S_k theta +
    offset (its log at the centre of the runs, and its exponent); the floor has the log S_f theta +
    offset. With p_k the term's share of the predicted loss, and sum p_k + p_f = 1,

        grad f = sum_k p_k (Phi_k S_k - S_f) + S_f

    The bracket is Phi_k T_k for T_k = S_k with S_f taken from its first row. So with the penalty's
    slope s and curvature q in f, summed over runs,

        gradient = sum_k (s p_k) Phi_k T_k + (s) S_f
        Hessian  = sum_kl [(q - s) p_k p_l + (s p_k if k = l)] Phi_k T_k x Phi_l T_l
                   + sum_k (q p_k) Phi_k T_k x S_f, and its mirror, + (q) S_f x S_f

    Each parenthesis is one array (replicas, runs), and its sum against products of features one
    matrix product. Logs of inputs are centred; the shift goes back into the coefficients.
    """

    def __init__(
        self, law: type[Law], inputs: tuple[FloatArray, ...], fixed: Mapping[str, float]
    ) -> None:
        super().__init__(law, fixed)
        logs = [np.log(values) for values in inputs]
        self._centres = [float(values.mean()) for values in logs]
        self._centred = [v - c for v, c in zip(logs, self._centres, strict=True)]
        self._terms = [self._term(power) for power in law.powers]
        self._floor_spread = np.zeros(len(self.free))
        self._floor_offset = 0.0
        self._has_floor = law.floor is not None and fixed.get(law.floor) != 0.0
        if law.floor is None:
            return
        if law.floor not in fixed:
            self._floor_spread[self.free.index(law.floor)] = 1.0
        elif self._has_floor:
            self._floor_offset = float(np.log(fixed[law.floor]))

    def _term(self, power: Power) -> _Term:
        x, centre = self._centred[power.input_index], self._centres[power.input_index]
        signed = power.sign * x
        spread, offset = np.zeros((2, len(self.free))), np.zeros(2)
        if power.coefficient in self.fixed:
            offset[0] += np.log(self.fixed[power.coefficient])
        else:
            spread[0, self.free.index(power.coefficient)] = 1.0
        if power.exponent in self.fixed:
            offset += self.fixed[power.exponent] * np.array([power.sign * centre, 1.0])
        else:
            spread[:, self.free.index(power.exponent)] = power.sign * centre, 1.0
        features = np.stack([np.ones_like(x), signed])
        return _Term(features, (float(signed.min()), float(signed.max())), spread, offset)

    def _terms_at(
        self, theta: FloatArray, rows: slice | IntArray = slice(None)
    ) -> tuple[FloatArray, list[FloatArray], FloatArray]:
        """Predicted log loss (batch, runs), each term's loss in units of exp(top), and the total;
        of these ``rows``.

        ``top`` is one shift a replica: nothing overflows, and what underflows is below 1e-300.
        """
        local = [theta @ term.spread.T + term.offset for term in self._terms]
        tops = [
            at[:, :1] + np.maximum(at[:, 1:] * term.range[0], at[:, 1:] * term.range[1])
            for at, term in zip(local, self._terms, strict=True)
        ]
        floor = (theta @ self._floor_spread + self._floor_offset)[:, None]
        if self._has_floor:
            tops.append(floor)
        top = np.maximum.reduce(tops)
        parts = []
        for at, term in zip(local, self._terms, strict=True):
            at[:, :1] -= top
            part = at @ term.features[:, rows]
            np.exp(part, out=part)
            parts.append(part)
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        if self._has_floor:
            total += np.exp(floor - top)
        f = np.log(total)
        f += top
        return f, parts, total

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """Predicted log loss, (batch, p) -> (batch, runs)."""
        return self._terms_at(theta)[0]

    def jacobian(self, theta: FloatArray, rows: slice | IntArray = slice(None)) -> FloatArray:
        """Derivatives of the predicted log loss at one point, (runs, p), of these ``rows``."""
        _, parts, total = self._terms_at(theta[None, :], rows)
        terms = zip(parts, self._terms, strict=True)
        shares = [term.features[:, rows] * (part / total) for part, term in terms]
        spreads = [self._over_floor(term) for term in self._terms]
        return np.asarray(np.concatenate(shares).T @ np.concatenate(spreads) + self._floor_spread)

    def _over_floor(self, term: _Term) -> FloatArray:
        """T_k of the class's formulas, (2, p)."""
        return term.spread - np.outer([1.0, 0.0], self._floor_spread)

    @cached_property
    def _features(self) -> list[FloatArray]:
        """Of each term, (runs, 2)."""
        return [np.ascontiguousarray(term.features.T) for term in self._terms]

    @cached_property
    def _products(self) -> list[FloatArray]:
        """Of each pair of terms, (runs, 4)."""
        x = self._features
        return [_products(x[k], x[u]) for k in range(len(x)) for u in range(k, len(x))]

    def derivatives(
        self, penalty: Penalty, basis: FloatArray | None = None, *, exact: bool = True
    ) -> Derivatives:
        """The objective's derivatives along the columns of ``basis``."""
        p = len(self.free)
        along = np.eye(p) if basis is None else basis
        floor_is_free = bool(self._floor_spread.any())
        spreads = [self._over_floor(term) @ along for term in self._terms]
        to_floor = self._floor_spread @ along
        features, products = self._features, self._products
        pairs = [(k, u) for k in range(len(features)) for u in range(k, len(features))]
        # what each column of moments adds to the flattened Hessian
        blocks = [_hessian_part(spreads[k], spreads[u], k == u) for k, u in pairs]
        if floor_is_free:
            blocks += [_hessian_part(spread, to_floor[None], False) for spread in spreads]
            blocks.append(_hessian_part(to_floor[None], to_floor[None], True))
        to_hessian = np.concatenate(blocks)
        to_gradient = np.concatenate([*spreads, to_floor[None]])

        def evaluate(
            theta: FloatArray, weights: FloatArray, log_loss: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            starts = range(0, len(features[0]), _BLOCK)
            parts = [
                moments_of(theta, weights[:, rows], log_loss[:, rows], rows)
                for rows in (slice(start, start + _BLOCK) for start in starts)
            ]
            value, gradient, hessian = (sum(part[1:], part[0]) for part in zip(*parts, strict=True))
            return value, gradient @ to_gradient, (hessian @ to_hessian).reshape(-1, p, p)

        def moments_of(
            theta: FloatArray, weights: FloatArray, log_loss: FloatArray, rows: slice
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            f, shares, total = self._terms_at(theta, rows)
            value, slope, curvature = penalty.weighted(f, log_loss, weights)
            np.reciprocal(total, out=total)
            for share in shares:
                share *= total
            slopes = [slope * share for share in shares]
            sums = [at @ x[rows] for at, x in zip(slopes, features, strict=True)]
            sums.append(slope.sum(axis=1, keepdims=True))
            mixed = np.subtract(curvature, slope, out=total)
            moments = []
            for (k, u), product in zip(pairs, products, strict=True):
                if k == u:
                    scaled = mixed * shares[k]
                bracket = np.multiply(scaled, shares[u], out=f)
                if k == u:
                    bracket += slopes[k]
                moments.append(bracket @ product[rows])
            if floor_is_free:
                for share, x in zip(shares, features, strict=True):
                    share *= curvature
                    moments.append(share @ x[rows])
                moments.append(curvature.sum(axis=1, keepdims=True))
            return value, np.concatenate(sums, 1), np.concatenate(moments, 1)

        return evaluate


def _products(left: FloatArray, right: FloatArray) -> FloatArray:
    """Products of two terms' features per run, (runs, left * right)."""
    return np.ascontiguousarray((left[:, :, None] * right[:, None, :]).reshape(len(left), -1))


def _hessian_part(left: FloatArray, right: FloatArray, same: bool) -> FloatArray:
    """(left * right, p * p): what a feature product adds to the flattened Hessian."""
    outer = np.einsum("ip,jq->ijpq", left, right)
    if not same:
        outer = outer + np.einsum("ip,jq->ijqp", left, right)
    return np.asarray(outer.reshape(len(left) * len(right), -1))


class AnyLaw(_Coordinates):
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
        return self._log_loss(theta)

    def _slopes(self, theta: FloatArray, j: int) -> tuple[FloatArray, FloatArray]:
        """(predicted log loss, its derivative in coordinate j), each (batch, runs)."""
        shifted = theta.astype(np.complex128)
        shifted[..., j] += 1j * self._TINY
        at = self._log_loss(shifted)
        return at.real, at.imag / self._TINY

    def slopes(self, theta: FloatArray) -> FloatArray:
        """Derivatives of the predicted log loss, (batch, p) -> (batch, runs, p)."""
        return np.stack([self._slopes(theta, j)[1] for j in range(len(self.free))], axis=-1)

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
                    bend = (self._slopes(moved, j)[1] - jacobian[..., j]) / self._STEP
                    second = np.einsum("bn,bn->b", slope, bend)
                    hessian[:, j, k] += second
                    if j != k:
                        hessian[:, k, j] += second
            return value, gradient @ along, along.T @ hessian @ along

        return evaluate
