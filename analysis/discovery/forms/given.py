"""A law that somebody wrote or named, as a form: fitted, backtested and forecast with as found ones
are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from analysis.discovery.forms.factors import Columns, Constant
from analysis.discovery.forms.form import Form, Slope
from analysis.discovery.forms.table import Table
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.written.formula import FormulaLaw
from scaling.tables.notes import printable

_LARGEST_LOG = 200.0
_MOST_STARTS = 200
_STEP = 1e-30  # of the imaginary part, by which slopes are found


@dataclass(frozen=True)
class GivenForm(Form):
    """The form that a law is. Raises FitError, by `given_form`, for one that is none.

    Coefficients are the constants in which the law is linear, at or above zero; what the law is
    without them (a term that has none, or constants that are held) is a column that is known.
    """

    law: type[Law] = FormulaLaw
    places: tuple[int, ...] = ()  # of the law's inputs among those of the table
    fixed: Mapping[str, float] = field(default_factory=dict, hash=False)  # constants that are held
    lowest: float = 1.0  # of the losses, which a floor's prior is relative to
    is_partly_known: bool = False  # a property of forms that are found

    @cached_property
    def key(self) -> str:
        """One text for forms that are the same."""
        return self.law.form

    @cached_property
    def _linear(self) -> tuple[str, ...]:
        return tuple(name for name in self.law.linear if name not in self.fixed)

    @cached_property
    def floor(self) -> str:
        """The constant that is a term of its own; "" where there is none, or it is held."""
        if not issubclass(self.law, FormulaLaw):
            return self.law.floor if self.law.floor in self._linear else ""
        symbols = self.law.symbolic.constants.items()
        terms = self.law.symbolic.terms
        return next((n for n, symbol in symbols if symbol in terms and n in self._linear), "")

    @cached_property
    def _coefficients(self) -> tuple[str, ...]:
        return tuple(name for name in self._linear if name != self.floor)

    @cached_property
    def _inside(self) -> tuple[str, ...]:
        known = {*self.law.linear, *self.fixed}
        return tuple(name for name in self.law.constant_names() if name not in known)

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """The constants in which the law is not linear, with the priors of forecasts."""
        found = []
        for name in self._inside:
            mean, spread = self.law.prior(name)
            if name == self.law.floor:
                mean += float(np.log(self.lowest))
            found.append(Constant(name, mean, spread, (mean,), name in self.law.positive))
        return tuple(found)

    def ends(self, name: str) -> tuple[float, float]:
        """The bounds of the law."""
        return self.law.bounds()[name]

    @property
    def coefficient_count(self) -> int:
        """How many coefficients there are beside the floor."""
        return len(self._coefficients)

    @cached_property
    def complexity(self) -> int:
        """How many constants are found."""
        return len(self._linear) + len(self._inside)

    @cached_property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the floor and the coefficients, and of the other constants."""
        return (self.floor, *self._coefficients), self._inside

    def named(self, taken: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The law's own names: its author met the columns."""
        return self.names

    def written(self, names: Any, centres: Any, taken: Any = ()) -> str:
        """The formula as it was written; of a law that has a name, its name."""
        if not issubclass(self.law, FormulaLaw):
            return self.law.name
        return self.law.form.removeprefix("L = ")

    def columns(
        self, theta: FloatArray, at: Columns, *, slopes: bool = True
    ) -> tuple[FloatArray, list[Slope]]:
        """See `Form`; the slopes are of all columns at once, by complex steps."""
        shape = (theta.shape[0], *at.values[0].shape)
        values: list[Any] = [self._value(theta[..., k, None], k) for k in range(len(self._inside))]
        out = self._at(values, at, shape).real
        by: list[Slope] = []
        for k in range(len(values) if slopes else 0):
            stepped = list(values)
            stepped[k] = self._value(theta[..., k, None] + 1j * _STEP, k)
            by.append((None, self._at(stepped, at, shape).imag / _STEP))
        return out, by

    def _value(self, theta: Any, k: int) -> Any:
        """The constant, kept within its bounds: a fit stays at the edge that it reaches."""
        if self.constants[k].is_log:
            theta = np.exp(np.clip(theta.real, -_LARGEST_LOG, _LARGEST_LOG) + 1j * theta.imag)
        low, high = self.ends(self._inside[k])
        inside = (theta.real >= low) & (theta.real <= high)
        return np.where(inside, theta, np.clip(theta.real, low, high))

    def _at(self, values: list[Any], at: Columns, shape: tuple[int, ...]) -> Any:
        inputs = [at.values[i] for i in self.places]
        inside = dict(zip(self._inside, values, strict=True))
        rest = self._law_at(inputs, inside, None) if self.is_partly_known else 0.0
        out = np.zeros(
            (*shape, 1 + len(self._coefficients) + self.is_partly_known), dtype=np.complex128
        )
        out[..., 0] = float(self.floor != "")
        for t, name in enumerate(self._coefficients):
            out[..., 1 + t] = self._law_at(inputs, inside, name) - rest
        if self.is_partly_known:
            out[..., -1] = rest
        return out

    def _law_at(self, inputs: list[Any], inside: Mapping[str, Any], one: str | None) -> Any:
        """The law with this coefficient at one, and all others, the floor among them, at zero."""
        known = dict.fromkeys(self.law.linear, 0.0) | dict(self.fixed) | dict(inside)
        known |= {} if one is None else {one: 1.0}
        return self.law.formula(*inputs, *(known[name] for name in self.law.constant_names()))

    def starts(self, inputs: FloatArray, y: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Guesses of the law for its other constants (starts, constants)."""
        if not self._inside:
            return np.zeros((1, 0))
        columns = tuple(inputs[:, i] for i in self.places)
        sizes = np.abs(y) + 1e-9
        if self.law.linear:
            guesses = self.law.guesses(columns, sizes)
        else:
            guesses = self.law.starts(columns, sizes, np.ones(len(y)), self.fixed)
        table = np.column_stack([np.asarray(guesses[name], dtype=float) for name in self._inside])
        for k, constant in enumerate(self.constants):
            if constant.is_log:
                table[:, k] = np.log(np.maximum(table[:, k], 1e-12))
        return table[rng.permutation(len(table))[:_MOST_STARTS]]


def given_form(law: type[Law], table: Table, fix: Mapping[str, float]) -> GivenForm:
    """The form of a law on the runs of a table, with these constants held. Raises FitError for a
    coefficient that may lie below zero, and for a law with nothing left to find."""
    places = tuple(table.names.index(name) for name in law.inputs)
    form = GivenForm(law=law, places=places, fixed=fix, lowest=float(np.abs(table.y).min()) or 1.0)
    if form.complexity == 0:
        raise FitError(f'"{printable(law.name)}": all its constants are held; leave one free')
    signed = [n for n in form.names[0] if n and law.bounds()[n][0] < 0 and n != form.floor]
    if signed:
        raise FitError(
            f'"{printable(law.name)}": forecasts in all its columns are made of laws with '
            f"coefficients at or above zero, and {signed[0]} may lie below"
        )
    return replace(form, is_partly_known=_has_known_part(form, table))


def _has_known_part(form: GivenForm, table: Table) -> bool:
    """Whether anything is left of the law where its coefficients and its floor are zero."""
    inputs = [table.inputs[:, i] for i in form.places]
    usual = {c.name: np.exp(c.mean) if c.is_log else c.mean for c in form.constants}
    rest = np.asarray(form._law_at(inputs, usual, None))
    return bool((~np.isfinite(rest) | (rest != 0)).any())
