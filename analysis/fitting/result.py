"""What a fit learned, and how far to trust it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from analysis.display import DrawnResult
from analysis.fitting.measurements.reach import Reach
from analysis.fitting.prediction import LawPrediction, checked_level, intervals_of, predicted
from analysis.intervals import Interval, interval_columns
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.written.formula import law_from, law_to_dict
from scaling.limits import Limit, LimitCode, limits_from
from scaling.records import Records
from scaling.tables.notes import notes_from

if TYPE_CHECKING:
    from pandas import DataFrame


class FitStatus(StrEnum):
    """How the search ended. A search with no usable answer raises FitError instead."""

    CONVERGED = "converged"
    FLOOR_NOT_IDENTIFIED = "floor not identified"
    AT_BOUND = "a constant is at its bound"
    UNIDENTIFIED = "constants not identified"
    NOT_CONVERGED = "not converged"


class Estimate(NamedTuple):
    """A number with its bootstrap standard error and interval; NaN where there are no draws, and
    throughout where the runs do not tell the number (`Fit.unidentified` says why)."""

    estimate: float
    stderr: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One decision behind a fit (see `analysis.fitting.policy`): on what, what, and why."""

    about: str  # "runs", "objective" or "floor"
    chosen: str
    because: str

    @property
    def line(self) -> str:
        """The decision in one line."""
        return f"{self.about}: {self.chosen} ({self.because})"


@dataclass(frozen=True, kw_only=True)
class Search:
    """How the optimum was found."""

    starts: int
    starts_agreeing: int  # starts that ended within 1e-6 of the best objective
    gradient_norm: float  # of the objective, per unit of its value, in whitened coordinates
    condition_number: float  # of the scaled sensitivities of the predictions to the constants
    iterations: int
    solver: str = "variable projection over exponents, then damped Newton with exact derivatives"


@dataclass(frozen=True, kw_only=True, repr=False)
class Fit(DrawnResult):
    """The best-fit law, the laws the same search finds on resampled runs, and its pedigree."""

    law: Law
    draws: Law | None  # the same law with arrays of bootstrap draws; None without a bootstrap
    columns: tuple[str, ...]  # the record columns that stood for the law's inputs
    objective: str
    huber_delta: float
    objective_value: float  # summed over runs
    weights: str
    fixed: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)  # constant -> expression
    status: FitStatus
    limits: tuple[Limit, ...]  # everything that limits the numbers above
    #: constants that the runs do not tell -> why; ``law`` holds numbers for them that no one reads
    unidentified: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()  # what a policy decided; empty where the caller decided all
    n_runs: int
    n_configurations: int
    dropped: Mapping[str, int]  # reason -> runs
    reach: Reach  # of the runs, in the law's inputs
    search: Search
    resampling: str
    n_draws: int  # bootstrap refits that were made
    n_draws_converged: int  # those that ``draws`` holds
    confidence_level: float
    seed: int
    source: str
    data_hash: str
    log_residuals: tuple[float, ...] = field(repr=False)  # ln observed - ln predicted, per run
    rows: tuple[str, ...] = field(default=(), repr=False)  # labels of the runs, as log_residuals
    card: Mapping[str, Any] | None = field(default=None, repr=False)  # see checklist
    #: the runs that it was made from; None of a fit that was read from a file
    records: Records | None = field(default=None, repr=False, compare=False)

    @property
    def about(self) -> str:
        """What the law is about, in words."""
        names = {"params": "model size", "train_flops": "compute"}
        inputs = " and ".join(names.get(name, name) for name in self.columns)
        runs = [f", over {choice.chosen}" for choice in self.choices if choice.about == "runs"]
        return f"loss as a function of {inputs}{''.join(runs)}"

    def interval(
        self, quantity: Callable[[Law], Any], confidence_level: float | None = None
    ) -> Interval:
        """Percentile-bootstrap interval of any quantity that a law implies.

            fit.interval(lambda law: law.alpha)
            fit.interval(lambda law: law.loss(params=70e9, tokens=1.4e12))

        Draws are the first axis of what ``quantity`` returns; further axes stay. Where percentiles
        leave the estimate out, the interval reaches as far as the estimate. Read it as the
        uncertainty of the fitted law if the law is right: not of its form, nor of a new run.
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap".
        Raises FitError if the fit was made without a bootstrap.
        """
        level = checked_level(confidence_level or self.confidence_level)
        tail = (1 - level) / 2
        with np.errstate(all="ignore"):  # draws that nothing holds may overflow: an infinite end
            values = np.asarray(quantity(self._need_draws()), dtype=np.float64)
            low, high = np.quantile(values, [tail, 1 - tail], axis=0)
            best = np.asarray(quantity(self.law), dtype=np.float64)
            low, high = np.minimum(low, best), np.maximum(high, best)
        if np.ndim(low) == 0:
            return Interval(float(low), float(high))
        return Interval(low, high)

    @property
    def constants(self) -> dict[str, Estimate]:
        """Every constant with standard error and interval at ``confidence_level``."""
        return self._estimates(lambda law: law.constants(), self.unidentified)

    @property
    def derived(self) -> dict[str, Estimate]:
        """What follows from the constants, such as the optimal-size exponent."""
        return self._estimates(lambda law: law.derived(), self.unidentified_derived)

    @property
    def floor_identified(self) -> bool:
        """Whether these runs say where the loss levels off, or the floor was fixed by hand."""
        return self.law.floor not in self.unidentified

    @property
    def unidentified_derived(self) -> dict[str, str]:
        """Derived numbers that move with a constant that the runs do not tell -> why."""
        with np.errstate(all="ignore"):
            numbers = self.law.derived()
            moved: dict[str, str] = {}
            for name, why in self.unidentified.items():
                value = float(self.law.constants()[name])
                there = replace(self.law, **{name: 1.01 * value + 1e-6})  # type: ignore[type-var]
                changed = (k for k, v in there.derived().items() if v != numbers[k])
                moved |= dict.fromkeys(changed, why)
            return moved

    @property
    def untold(self) -> dict[str, str]:
        """Every constant and derived number that the runs do not tell -> why."""
        return {**self.unidentified, **self.unidentified_derived}

    @property
    def fixed_by_hand(self) -> dict[str, float]:
        """The constants that the caller held, without a floor that a policy holds."""
        return {k: v for k, v in self.fixed.items() if k not in self.unidentified}

    @property
    def intervals_of(self) -> str:
        """What the intervals are of, in words, with the constants that were held."""
        return intervals_of(self.fixed)

    def spread(self, name: str, confidence_levels: Sequence[float]) -> dict[float, Interval]:
        """The intervals of one constant or derived number, by level; empty without draws."""
        if self.draws is None or not np.isfinite((self.constants | self.derived)[name].estimate):
            return {}
        return {
            level: self.interval(lambda law: (law.constants() | law.derived())[name], level)
            for level in confidence_levels
        }

    def predict(
        self, *, confidence_level: float | None = None, **at: npt.ArrayLike
    ) -> LawPrediction:
        """The loss that the law gives at these inputs, in nats per token, with its interval.

            fit.predict(params=7e9, tokens=[1e11, 1e12])
            fit.predict(train_flops=1e21).loss

        Inputs are the law's own columns (N and D, or any spelling that a table may have, will do),
        or ``train_flops`` alone for a law of params and tokens, split as the law finds best;
        numbers or arrays, which broadcast. What lies further out than the runs carry has no loss
        and no interval (NaN), and ``limits`` say why. The interval is of the law, not of a new run:
        that is `analysis.forecast`. Raises FitError for other inputs and for values that are not
        above zero.
        """
        return predicted(
            self.law,
            self.draws,
            self.reach,
            at,
            columns=self.columns,
            untold=self.unidentified,
            fit_limits=self.limits,
            held=self.fixed,
            confidence_level=confidence_level or self.confidence_level,
            notes=self.notes,
        )

    def covariance(self) -> "DataFrame":
        """The covariance of the constants over the bootstrap draws, one row and column each.

        Constants that were held, and those that the runs do not tell, take no part. Raises FitError
        if the fit was made without a bootstrap.
        """
        return self._free_draws().cov()

    def correlation(self) -> "DataFrame":
        """The correlations (Pearson) that belong to `covariance`."""
        return self._free_draws().corr()

    def _free_draws(self) -> "DataFrame":
        """The draws of the constants that were fitted and are told, one row per draw."""
        import pandas as pd

        hidden = {*self.fixed, *self.unidentified}
        drawn = self._need_draws().constants().items()
        return pd.DataFrame({k: np.ravel(v) for k, v in drawn if k not in hidden})

    def to_frame(self, confidence_levels: Sequence[float] = ()) -> "DataFrame":
        """One row per constant and derived number: estimate, stderr, low_90 and high_90 (by the
        level; default: the fit's own), whether the runs tell it, and the codes of its limits."""
        import pandas as pd

        levels = tuple(confidence_levels) or (self.confidence_level,)
        untold, nothing = self.untold, Interval(np.nan, np.nan)
        rows = {}
        for name, value in (self.constants | self.derived).items():
            spread = self.spread(name, levels)
            ends = {level: spread.get(level, nothing) for level in levels}
            rows[name] = {
                "estimate": value.estimate,
                "stderr": value.stderr,
                **interval_columns(ends),
                "identified": name not in untold,
                "limits": ", ".join(self._codes_of(name, value.estimate)),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("constant")

    def _codes_of(self, name: str, estimate: float) -> list[LimitCode]:
        """What limits one constant or derived number."""
        if estimate in self.bounds.get(name, ()):
            return [LimitCode.AT_BOUND]
        if name not in self.untold:
            return []
        floors = {LimitCode.FLOOR_HELD, LimitCode.FLOOR_NOT_IDENTIFIED}
        floors |= {LimitCode.FALLS_FASTER, LimitCode.FLOOR_TOO_HIGH}
        held = [limit.code for limit in self.limits if limit.code in floors]
        return held[:1] if name == self.law.floor and held else [LimitCode.CONFOUNDED]

    def to_dict(self, confidence_levels: Sequence[float] = ()) -> dict[str, Any]:
        """What the fit may be read for, as JSON-ready values: every digit of what the runs tell,
        null for what they do not. Intervals are at ``confidence_levels``, or the fit's own."""
        levels = tuple(confidence_levels) or (self.confidence_level,)
        floor = self.constants.get(self.law.floor or "")
        return {
            **law_to_dict(type(self.law)),
            "columns": list(self.columns),
            "choices": {c.about: {"chosen": c.chosen, "because": c.because} for c in self.choices},
            "constants": self._numbers(self.constants, self.unidentified, levels),
            "derived": self._numbers(self.derived, self.unidentified_derived, levels),
            "floor": None if floor is None else _or_none(floor.estimate),
            "floor_identified": self.floor_identified,
            "intervals_of": self.intervals_of,
            "objective": self.objective,
            "huber_delta": self.huber_delta,
            "objective_value": self.objective_value,
            "weights": self.weights,
            "fixed": self.fixed_by_hand,
            "bounds": {k: [_or_none(v) for v in ends] for k, ends in self.bounds.items()},
            "tied": dict(self.tied),
            "status": self.status.value,
            "limits": [asdict(limit) for limit in self.limits],
            "n_runs": self.n_runs,
            "n_configurations": self.n_configurations,
            "dropped": dict(self.dropped),
            "confidence_level": self.confidence_level,
            "seed": self.seed,
            "source": self.source,
            "data_hash": self.data_hash,
            "reach": asdict(self.reach),
            "search": _finite(vars(self.search)),
            "resampling": self.resampling,
            "n_draws": self.n_draws,
            "n_draws_converged": self.n_draws_converged,
            "card": self.card,
            "log_residuals": list(self.log_residuals),
            "rows": list(self.rows),
        }

    def _numbers(
        self, estimates: Mapping[str, Estimate], why: Mapping[str, str], levels: tuple[float, ...]
    ) -> dict[str, dict[str, Any]]:
        """Each number with its intervals, or with the reason why it is none."""
        return {
            name: {
                "estimate": _or_none(value.estimate),
                "stderr": _or_none(value.stderr),
                "intervals": {
                    str(level): [_or_none(end) for end in ends]
                    for level, ends in self.spread(name, levels).items()
                },
                "identified": name not in why,
                **({"because": why[name]} if name in why else {}),
            }
            for name, value in estimates.items()
        }

    def to_json(self, *, draws: bool = True) -> str:
        """`to_dict`, and under "reload" the raw state that `from_json` restores, draws included
        unless they are left out. Its numbers are no answers: those are "constants"."""
        drawn = None
        if draws and self.draws is not None:
            drawn = {k: np.asarray(v).tolist() for k, v in self.draws.constants().items()}
        reload = {
            "law_constants": {k: float(v) for k, v in self.law.constants().items()},
            "draws": drawn,
            "fixed": dict(self.fixed),
            "unidentified": dict(self.unidentified),
        }
        told = {"notes": [asdict(note) for note in self.notes], "reload": reload}
        return json.dumps({**self.to_dict(), **told}, allow_nan=False)

    def save(self, path: str | Path) -> None:
        """Write fit.json."""
        Path(path).write_text(self.to_json() + "\n")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The fit that `to_json` wrote. Raises FitError for any other text."""
        try:
            document = json.loads(text)
            law = law_from(document)
            state = document["reload"]
            draws = state["draws"]
            search = document["search"]
            found: dict[str, Any] = {k: np.nan if v is None else v for k, v in search.items()}
            return cls(
                law=law(**state["law_constants"]),
                draws=None if draws is None else law(**{k: np.array(v) for k, v in draws.items()}),
                search=Search(**found),
                reach=Reach.from_dict(document["reach"]),
                status=FitStatus(document["status"]),
                fixed=state["fixed"],
                unidentified=state["unidentified"],
                choices=tuple(Choice(about=k, **v) for k, v in document["choices"].items()),
                limits=limits_from(document["limits"]),
                notes=notes_from(document.get("notes", ())),
                columns=tuple(document["columns"]),
                log_residuals=tuple(document["log_residuals"]),
                rows=tuple(document["rows"]),
                bounds={k: _both_ends(v) for k, v in document["bounds"].items()},
                **{name: document[name] for name in _PLAIN},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FitError(
                f"not a fit: {type(error).__name__} {error}; write one with `scaling fit -o`"
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read fit.json."""
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise FitError(f"{path}: cannot be read ({error.strerror})") from error
        return cls.from_json(text)

    def _need_draws(self) -> Law:
        if self.draws is None and self.n_draws:
            raise FitError("the refits of this fit tell no intervals; its limits say why")
        if self.draws is None:
            raise FitError("this fit has no bootstrap draws, so no intervals; refit with bootstrap")
        return self.draws

    def _estimates(
        self, numbers: Callable[[Law], Mapping[str, Any]], unknown: Mapping[str, str]
    ) -> dict[str, Estimate]:
        nothing = Estimate(np.nan, np.nan, np.nan, np.nan)
        with np.errstate(all="ignore"):  # as in interval
            best = {k: float(v) for k, v in numbers(self.law).items()}
            if self.draws is None:
                found = {k: Estimate(v, np.nan, np.nan, np.nan) for k, v in best.items()}
            else:
                found = {k: self._estimate(best[k], v) for k, v in numbers(self.draws).items()}
        return {k: nothing if k in unknown else v for k, v in found.items()}

    def _estimate(self, best: float, drawn: Any) -> Estimate:
        values = np.atleast_1d(np.asarray(drawn, dtype=np.float64))
        tail = (1 - self.confidence_level) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        stderr = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        return Estimate(best, stderr, min(float(low), best), max(float(high), best))


_PLAIN = (
    *("objective", "huber_delta", "objective_value", "weights", "tied", "n_runs"),
    *("n_configurations", "dropped", "confidence_level", "seed", "source", "data_hash"),
    *("resampling", "n_draws", "n_draws_converged", "card"),
)


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what is not a finite number becomes null."""
    return {k: _or_none(v) if isinstance(v, float) else v for k, v in values.items()}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _both_ends(ends: list[float | None]) -> tuple[float, float]:
    low, high = ends
    return (-np.inf if low is None else low, np.inf if high is None else high)
