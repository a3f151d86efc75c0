"""A formula that somebody wrote, as a form: fitted, backtested and forecast with as found ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analysis.discovery.forms.factors import Columns, Constant
from analysis.discovery.forms.forms import Form, Slope
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.written.formula import FormulaLaw
from scaling.tables.notes import printable

_LARGEST_LOG = 200.0


@dataclass(frozen=True)
class GivenForm(Form):
    """The form that a formula law is. Raises FitError, by `given_form`, for one that is none."""

    law: type[FormulaLaw] = FormulaLaw
    places: tuple[int, ...] = ()  # of the law's inputs among those of the table

    @cached_property
    def key(self) -> str:
        """One text for forms that are the same."""
        return self.law.form

    @cached_property
    def floor(self) -> str:
        """The constant that is a term of its own; "" where there is none."""
        symbols = self.law.symbolic.constants.items()
        return next((name for name, symbol in symbols if symbol in self.law.symbolic.terms), "")

    @cached_property
    def _coefficients(self) -> tuple[str, ...]:
        return tuple(name for name in self.law.linear if name != self.floor)

    @cached_property
    def _inside(self) -> tuple[str, ...]:
        return tuple(name for name in self.law.constant_names() if name not in self.law.linear)

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """The constants in which the law is not linear, with the priors of forecasts."""
        found = []
        for name in self._inside:
            mean, spread = self.law.prior(name)
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
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the floor and the coefficients, and of the other constants."""
        return (self.floor, *self._coefficients), self._inside

    def written(self, names: Sequence[str], centres: Sequence[float]) -> str:
        """The formula as it was written."""
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
            stepped[k] = self._value(theta[..., k, None] + 1e-30j, k)
            by.append((None, self._at(stepped, at, shape).imag / 1e-30))
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
        out = np.zeros((*shape, 1 + len(self._coefficients)), dtype=np.complex128)
        out[..., 0] = float(self.floor != "")
        zero = dict.fromkeys(self.law.linear, 0.0)
        inside = dict(zip(self._inside, values, strict=True))
        for t, name in enumerate(self._coefficients):
            known = zero | {name: 1.0} | inside
            constants = [known[one] for one in self.law.constant_names()]
            out[..., 1 + t] = self.law.formula(*inputs, *constants)
        return out

    def starts(self, inputs: FloatArray, y: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Guesses of the law for its other constants (starts, constants)."""
        columns = tuple(inputs[:, i] for i in self.places)
        if not self._inside:
            return np.zeros((1, 0))
        guesses = self.law.guesses(columns, np.abs(y) + 1e-9)
        table = np.column_stack([np.asarray(guesses[name], dtype=float) for name in self._inside])
        for k, constant in enumerate(self.constants):
            if constant.is_log:
                table[:, k] = np.log(np.maximum(table[:, k], 1e-12))
        return table[rng.permutation(len(table))[:200]]


def given_form(law: type[FormulaLaw], names: Sequence[str]) -> GivenForm:
    """The form of a law on inputs of these names. Raises FitError for a law that is not a sum of
    coefficients, at or above zero, times functions of the inputs."""
    where = f'"{printable(law.name)}"'
    if not law.linear:
        raise FitError(
            f"{where}: forecasts in all its columns are made of formulas whose every term has a "
            "coefficient, such as A*x^-a; give each term one"
        )
    form = GivenForm(law=law, places=tuple(names.index(name) for name in law.inputs))
    signed = [n for n in law.linear if law.bounds()[n][0] < 0 and n != form.floor]
    if signed:
        raise FitError(
            f"{where}: forecasts in all its columns are made of formulas with coefficients at or "
            f"above zero, and {signed[0]} may lie below"
        )
    return form
