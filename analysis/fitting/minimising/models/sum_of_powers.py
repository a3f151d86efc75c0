"""Laws that are a floor plus powers of the inputs: closed-form derivatives, fast."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.fitting.minimising.models.coordinates import Coordinates, Derivatives
from analysis.fitting.minimising.penalties import Penalty
from scaling.arrays import FloatArray, IntArray
from scaling.laws.base import Law, Power

BLOCK = 2**16  # runs that are evaluated together: of more the arrays would leave the cache


@dataclass(frozen=True)
class _Term:
    """One power on given runs: see `SumOfPowers` for the symbols."""

    features: FloatArray  # Phi_k transposed, (2, runs)
    range: tuple[float, float]  # of the second feature
    spread: FloatArray  # S_k, (2, p)
    offset: FloatArray  # (2,)


class SumOfPowers(Coordinates):
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
            starts = range(0, len(features[0]), BLOCK)
            parts = [
                moments_of(theta, weights[:, rows], log_loss[:, rows], rows)
                for rows in (slice(start, start + BLOCK) for start in starts)
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
