"""Found laws as values: a floor and a sum of terms, each a coefficient times its factors."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from analysis.discovery.forms.factors import Columns, Constant, Factor
from scaling.arrays import FloatArray

_OPTIMUM = Constant("optimum", 0.0, 2.0, (0.0, 1.0, -1.0))
_MOVES = Constant("moves", 0.0, 0.5, (0.0,))
_TILT = Constant("tilt", 0.0, 0.5, (0.3, -0.3))
_LARGEST, _LEAST_TILT = 60.0, 1e-3


@dataclass(frozen=True)
class Bowl:
    """How far an input is from an optimum that other inputs move, in logarithms: the square, or,
    tilted, 2 (exp(k d) - 1 - k d) / k^2, which is steeper on one side."""

    of: int
    moved_by: tuple[int, ...] = ()
    tilted: bool = False

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Its constants: the optimum, how others move it, and the tilt."""
        return (_OPTIMUM, *(_MOVES for _ in self.moved_by), *((_TILT,) if self.tilted else ()))

    @property
    def key(self) -> str:
        """One text for bowls that are the same."""
        return f"@{self.of}{self.moved_by}{'~' * self.tilted}"

    def values(self, theta: list[FloatArray], at: Columns) -> tuple[FloatArray, list[FloatArray]]:
        """The bowl and its derivatives, (batch, groups, runs)."""
        gap = at.logs[self.of] - theta[0]
        moves = theta[1 : 1 + len(self.moved_by)]
        for t, j in zip(moves, self.moved_by, strict=True):
            gap = gap - t * at.logs[j]
        others = [at.logs[j] for j in self.moved_by]
        if not self.tilted:
            return gap**2, [-2 * gap, *(-2 * gap * x for x in others)]
        k = np.where(np.abs(theta[-1]) < _LEAST_TILT, _LEAST_TILT, theta[-1])
        inside = np.clip(k * gap, -_LARGEST, _LARGEST / 2)
        grown = np.expm1(inside)
        value = 2 * (grown - inside) / k**2
        slope = 2 * grown / k
        by_tilt = 2 * (gap * grown / k**2 - 2 * (grown - inside) / k**3)
        return value, [-slope, *(-slope * x for x in others), by_tilt]

    def written(self, names: Sequence[str], centres: Sequence[float], own: Sequence[str]) -> str:
        """The bowl in the language of formulas."""
        at = [f"log({names[i]}/{centres[i]:g})" for i in (self.of, *self.moved_by)]
        moves = "".join(f" - {c}*{x}" for c, x in zip(own[1 : len(at)], at[1:], strict=True))
        gap = f"({at[0]} - {own[0]}{moves})"
        if not self.tilted:
            return f"{gap}^2"
        k = own[-1]
        return f"(exp({k}*{gap}) - 1 - {k}*{gap})*2/{k}^2"


@dataclass(frozen=True)
class Term:
    """A coefficient, zero or above, times the factors, and times a bowl where there is one."""

    factors: tuple[Factor, ...] = ()
    bowl: Bowl | None = None

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """Its constants but the coefficient, in the order of theta."""
        own = tuple(c for factor in self.factors for c in factor.constants)
        return own + (self.bowl.constants if self.bowl else ())

    def written(
        self, names: Sequence[str], centres: Sequence[float], coefficient: str, own: Sequence[str]
    ) -> str:
        """The term in the language of formulas, by the names of its constants."""
        parts, used = [coefficient], 0
        for factor in self.factors:
            count = len(factor.constants)
            parts.append(factor.written(names, centres, own[used : used + count]))
            used += count
        if self.bowl is not None:
            parts.append(self.bowl.written(names, centres, own[used:]))
        return "*".join(parts)

    @property
    def key(self) -> str:
        """One text for terms that are the same."""
        parts = sorted(f"{f.kind}{f.inputs}" for f in self.factors)
        return "*".join(parts) + (self.bowl.key if self.bowl else "")

    def values(
        self, theta: list[FloatArray], at: Columns, *, slopes: bool = True
    ) -> tuple[FloatArray, list[FloatArray]]:
        """The term with coefficient one, and its derivatives, (batch, groups, runs)."""
        h: FloatArray = np.zeros(1)
        parts: list[FloatArray] = []
        used = 0
        for factor in self.factors:
            count = len(factor.constants)
            one, by = factor.values(theta[used : used + count], at)
            used += count
            h = h + one
            parts += by
        k = np.exp(np.clip(h, -_LARGEST, _LARGEST))
        if self.bowl is None:
            return k, [k * d for d in parts] if slopes else []
        square, by = self.bowl.values(theta[used:], at)
        if not slopes:
            return k * square, []
        return k * square, [k * square * d for d in parts] + [k * d for d in by]


Slope = tuple[int | None, FloatArray]
"""A derivative by one constant: of one column, by its number, or (None) of all of them, which are
its last axis."""


@dataclass(frozen=True)
class Form:
    """A floor and a sum of terms."""

    terms: tuple[Term, ...] = field(default=())

    @cached_property
    def key(self) -> str:
        """One text for forms that are the same."""
        return " + ".join(sorted(term.key for term in self.terms))

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """The constants in which the law is not linear."""
        return tuple(c for term in self.terms for c in term.constants)

    def ends(self, name: str) -> tuple[float, float]:
        """Between which values a constant within terms lies."""
        return -np.inf, np.inf

    @property
    def coefficient_count(self) -> int:
        """How many coefficients there are beside the floor."""
        return len(self.terms)

    @property
    def is_partly_known(self) -> bool:
        """Whether the last column has no coefficient: its own is one."""
        return False

    @cached_property
    def complexity(self) -> int:
        """How many constants it has, the floor and the coefficients among them."""
        return 1 + self.coefficient_count + len(self.constants)

    @cached_property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the floor and the coefficients, and of the constants within terms."""
        total = Counter(c.name for c in self.constants)
        met: Counter[str] = Counter()
        inside = []
        for constant in self.constants:
            met[constant.name] += 1
            number = str(met[constant.name]) if total[constant.name] > 1 else ""
            inside.append(f"{constant.name}{number}")
        outside = ("E", *(f"A{i}" for i in range(1, 1 + len(self.terms))))
        return outside, tuple(inside)

    def named(self, taken: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The same, but for names that are ``taken`` by columns, which a formula would read."""
        outside, inside = (
            tuple(f"{name}_" if name in taken else name for name in part) for part in self.names
        )
        return outside, inside

    def written(
        self, names: Sequence[str], centres: Sequence[float], taken: Collection[str] = ()
    ) -> str:
        """The law in the language of formulas, as `--law` takes it; ``taken`` as in `named`."""
        outside, inside = self.named(taken or names)
        parts, used = [outside[0]], 0
        for coefficient, term in zip(outside[1:], self.terms, strict=True):
            count = len(term.constants)
            parts.append(term.written(names, centres, coefficient, inside[used : used + count]))
            used += count
        return " + ".join(parts)

    def columns(
        self, theta: FloatArray, at: Columns, *, slopes: bool = True
    ) -> tuple[FloatArray, list[Slope]]:
        """The floor's and every term's column, (batch, groups, runs, terms + 1), and for each
        constant its term and that term's derivative; theta (batch, groups or 1, constants). A form
        that `is_partly_known` has one more."""
        shape = (theta.shape[0], *at.logs[0].shape)
        out = np.ones((*shape, 1 + len(self.terms)))
        by: list[Slope] = []
        used = 0
        for t, term in enumerate(self.terms):
            count = len(term.constants)
            own = [theta[..., used + i, None] for i in range(count)]
            k, d = term.values(own, at, slopes=slopes)
            out[..., 1 + t] = k
            by += [(1 + t, np.broadcast_to(one, shape)) for one in d]
            used += count
        return out, by


def moved(slope: Slope, coefficients: FloatArray) -> FloatArray:
    """How the law moves with a constant (batch, groups, runs), with these coefficients (batch,
    groups, terms + 1)."""
    t, derivative = slope
    if t is None:
        return np.asarray((derivative * coefficients[..., None, :]).sum(axis=-1))
    return np.asarray(derivative * coefficients[..., t, None])
