"""What a search for a law found, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from analysis.discovery.ensemble import Ensemble
from analysis.discovery.reading import Read
from analysis.display import Result, plain_values
from analysis.intervals import Interval
from scaling.laws.written.formula import Formula
from scaling.limits import Limit

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True)
class FoundConstant:
    """A constant of a found law, with the interval of its fit."""

    value: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class FoundForm:
    """A form that took part in the ranking."""

    formula: str  # in the language of formulas, as --law takes it
    negative: tuple[str, ...]  # constants that may lie below zero
    constants_count: int  # of one group
    shares_exponents: bool  # whether groups share all but the floor and the coefficients
    weight: float  # of its predictions
    score: float  # mean logarithm of its errors in the backtests, and the price of its constants
    errors: Mapping[str, float]  # where runs were hidden -> root mean square error, as in the text
    fit_error: float  # the same of the runs that it was fitted to
    constants: Mapping[str, Mapping[str, FoundConstant]]  # group ("" without) -> name -> constant

    def law(self) -> Formula:
        """The form as a formula law, to fit, save and forecast with."""
        ends = dict.fromkeys(self.negative, (-float("inf"), float("inf")))
        return Formula(self.formula, bounds=ends)


@dataclass(frozen=True, kw_only=True)
class SeparatingRun:
    """A run at which the found forms say different things."""

    at: Mapping[str, float]
    group: str
    apart: float  # spread between the forms over the standard deviation that each gives a run
    medians: tuple[float, ...]  # by form, in their order


@dataclass(frozen=True, kw_only=True)
class PointPrediction:
    """What all forms together say of one point."""

    at: Mapping[str, float]
    group: str
    median: float | None  # None where no number is supported
    intervals: Mapping[float, Interval]
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Discovery(Result):
    """The laws that runs follow, ranked by how they extrapolate."""

    source: str
    data_hash: str
    inputs: tuple[str, ...]
    target: str  # the column that is predicted
    errors_are: str  # "relative", or of the value, in standard deviations of it
    by: str | None
    groups: tuple[str, ...]
    runs: int
    directions: tuple[str, ...]  # in which backtests hid the end of the data
    claimed: bool  # whether the runs follow a law at all
    chance: float  # share of permuted targets that a single term explains as well
    skill: float | None  # share of the squared error of the mean that hidden runs were spared
    forms_fitted: int
    winner: str | None  # the formula that backtests set apart; None where they cannot tell
    forms: tuple[FoundForm, ...]
    separating: tuple[SeparatingRun, ...]
    stretch: float | None  # by how much backtests widened the intervals
    predictions: tuple[PointPrediction, ...]
    interrupted: bool
    seed: int
    limits: tuple[Limit, ...]
    ensemble: Ensemble | None = field(default=None, repr=False, compare=False)
    read: Read | None = field(default=None, repr=False, compare=False)  # the runs, as searched

    def to_frame(self) -> "DataFrame":
        """One row a form: formula, weight, constants_count, shares_exponents, score, fit_error,
        and the error where runs were hidden, a column a direction."""
        import pandas as pd

        names = ("formula", "weight", "constants_count", "shares_exponents", "score", "fit_error")
        rows = [
            {name: getattr(form, name) for name in names}
            | {f"error {place}": error for place, error in form.errors.items()}
            for form in self.forms
        ]
        return pd.DataFrame(rows)

    def _document(self) -> Any:
        names = (f.name for f in fields(self) if f.name not in ("ensemble", "read"))
        return {name: plain_values(getattr(self, name)) for name in names}
