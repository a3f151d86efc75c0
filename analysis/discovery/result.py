"""What a search for a law found, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from analysis.discovery.ensemble import Ensemble
from analysis.discovery.reading import SearchedRuns
from analysis.display import DrawnResult, plain_values
from analysis.intervals import Interval
from scaling.errors import FitError
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

    formula: str  # as --law takes it: in the language of formulas, or the name of a law
    equation: str  # the same as a reader wants it, "L = ..."
    negative: tuple[str, ...]  # constants that may lie below zero
    constants_count: int  # of one group
    shares_exponents: bool  # whether groups share all but the floor and the coefficients
    weight: float  # of its predictions
    score: float  # mean logarithm of its errors in the backtests, and the price of its constants
    errors: Mapping[str, float]  # where runs were hidden -> root mean square error, as in the text
    fit_error: float  # the same of the runs that it was fitted to
    constants: Mapping[str, Mapping[str, FoundConstant]]  # group ("" without) -> name -> constant

    def law(self) -> Formula:
        """The form as a formula law, to fit, save and forecast with. Raises FitError for a law that
        was asked for by its name, which `fit_law` and `discover` take as it is."""
        if not self.equation.endswith(self.formula):
            raise FitError(f'"{self.formula}" has a name already: fit_law takes it as it is')
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


@dataclass(frozen=True, kw_only=True)
class HiddenRuns:
    """Runs that were hidden together, and what all forms together said of each from the others.

    The forms were weighted and their intervals stretched by how they did on these same runs: how
    many of the intervals hold what was measured is no evidence of how many will.
    """

    along: str  # the direction at whose end they lie; "" inside the data
    count: int  # of the runs that were hidden; of a large table some of them are told
    rows: tuple[str, ...]  # their names in the table: by run id, or by line
    groups: tuple[str, ...]  # of each; none where runs have no groups
    at: Mapping[str, tuple[float, ...]]  # input -> its values
    beyond: tuple[float, ...]  # past the runs that were kept, over what these span; none inside
    measured: tuple[float, ...]
    median: tuple[float, ...]
    low_90: tuple[float, ...]
    high_90: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class Discovery(DrawnResult):
    """The laws that runs follow, ranked by how they extrapolate."""

    source: str
    data_hash: str
    inputs: tuple[str, ...]
    target: str  # the column that is predicted
    errors_are: str  # "relative", or of the value, in standard deviations of it
    standard_deviation: float  # of the values of all runs
    by: str | None
    groups: tuple[str, ...]
    runs: int
    directions: tuple[str, ...]  # in which backtests hid the end of the data
    claimed: bool  # whether the runs follow a law at all
    fixed: Mapping[str, float]  # constants of a law that was given that were held
    chance: float  # share of permuted targets that a single term explains as well
    skill: float | None  # share of the squared error of the mean that hidden runs were spared
    forms_fitted: int
    winner: str | None  # the formula that backtests set apart; None where they cannot tell
    forms: tuple[FoundForm, ...]
    separating: tuple[SeparatingRun, ...]
    stretch: float | None  # by how much backtests widened the intervals
    hidden_runs: tuple[HiddenRuns, ...]  # a block of the backtests each; none without a law
    predictions: tuple[PointPrediction, ...]
    interrupted: bool
    seed: int
    limits: tuple[Limit, ...]
    ensemble: Ensemble | None = field(default=None, repr=False, compare=False)
    read: SearchedRuns | None = field(
        default=None, repr=False, compare=False
    )  # the runs, as searched

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

    def hidden_frame(self) -> "DataFrame":
        """One row for each time that a run was hidden: block, along, row, group, beyond, measured,
        median, low_90, high_90, and the last three as errors, above what was measured: error,
        error_low_90, error_high_90, relative or in standard deviations of the values, as
        ``errors_are`` says. Then the inputs; one of these names is "input NAME"."""
        import pandas as pd

        said = {"error": "median", "error_low_90": "low_90", "error_high_90": "high_90"}
        told = ("measured", "median", "low_90", "high_90")
        ours = [*("block", "along", "row", "group", "beyond"), *told, *said]
        theirs = {name: f"input {name}" if name in ours else name for name in self.inputs}
        frames = []
        for block, runs in enumerate(self.hidden_runs):
            table = pd.DataFrame({name: getattr(runs, name) for name in told})
            table = table.assign(block=block, along=runs.along, row=runs.rows)
            table["group"] = runs.groups or ""
            table["beyond"] = runs.beyond or float("nan")
            unit = table["measured"] if self.errors_are == "relative" else self.standard_deviation
            for error, name in said.items():
                table[error] = (table[name] - table["measured"]) / unit
            frames.append(table.assign(**{theirs[n]: runs.at[n] for n in self.inputs}))
        columns = [*ours, *theirs.values()]
        if not frames:
            return pd.DataFrame(columns=columns)
        return pd.concat(frames, ignore_index=True)[columns]

    def _document(self) -> Any:
        names = (f.name for f in fields(self) if f.name not in ("ensemble", "read"))
        return {name: plain_values(getattr(self, name)) for name in names}
