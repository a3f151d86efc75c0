"""What a fit learned, and how far to trust it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from analysis.intervals import Interval
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.registry import law_named
from scaling.limits import Limit, limits_from


class FitStatus(StrEnum):
    """How the search ended. A search with no usable answer raises FitError instead."""

    CONVERGED = "converged"
    FLOOR_NOT_IDENTIFIED = "floor not identified"
    AT_BOUND = "a constant is at its bound"
    UNIDENTIFIED = "constants not identified"
    NOT_CONVERGED = "not converged"


class Estimate(NamedTuple):
    """A number with its bootstrap standard error and interval; NaN where there are no draws."""

    estimate: float
    stderr: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Search:
    """How the optimum was found."""

    starts: int
    starts_agreeing: int  # starts that ended within 1e-6 of the best objective
    gradient_norm: float  # of the objective, per unit of its value, in whitened coordinates
    condition_number: float  # of the scaled sensitivities of the predictions to the constants
    iterations: int
    solver: str = "variable projection over exponents, then damped Newton with exact derivatives"


@dataclass(frozen=True, kw_only=True)
class Fit:
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
    n_runs: int
    n_configurations: int
    dropped: Mapping[str, int]  # reason -> runs
    search: Search
    resampling: str
    n_draws_converged: int
    confidence_level: float
    seed: int
    source: str
    data_hash: str
    log_residuals: tuple[float, ...] = field(repr=False)  # ln observed - ln predicted, per run
    rows: tuple[str, ...] = field(default=(), repr=False)  # labels of the runs, as log_residuals
    card: Mapping[str, Any] | None = field(default=None, repr=False)  # see diagnostics

    def interval(
        self, quantity: Callable[[Law], Any], confidence_level: float | None = None
    ) -> Interval:
        """Percentile-bootstrap interval of any quantity that a law implies.

            fit.interval(lambda law: law.alpha)
            fit.interval(lambda law: law.loss(params=70e9, tokens=1.4e12))

        Draws are the first axis of what ``quantity`` returns; further axes stay. Read it as the
        uncertainty of the fitted law if the law is right: not of its form, nor of a new run.
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap".
        Raises FitError if the fit was made without a bootstrap.
        """
        level = self.confidence_level if confidence_level is None else confidence_level
        if not 0 < level < 1:
            raise FitError(f"confidence level {level} is not between 0 and 1; 0.95 is usual")
        tail = (1 - level) / 2
        with np.errstate(all="ignore"):  # draws that nothing holds may overflow: an infinite end
            values = np.asarray(quantity(self._need_draws()), dtype=np.float64)
            low, high = np.quantile(values, [tail, 1 - tail], axis=0)
        if np.ndim(low) == 0:
            return Interval(float(low), float(high))
        return Interval(low, high)

    @property
    def constants(self) -> dict[str, Estimate]:
        """Every constant with standard error and interval at ``confidence_level``."""
        return self._estimates(lambda law: law.constants())

    @property
    def derived(self) -> dict[str, Estimate]:
        """What follows from the constants, such as the optimal-size exponent."""
        return self._estimates(lambda law: law.derived())

    @property
    def floor_identified(self) -> bool:
        """Whether these runs say where the loss levels off, or the floor was fixed by hand."""
        return self.law.floor in self.fixed or self.status is FitStatus.CONVERGED

    def __str__(self) -> str:
        level = f"{100 * self.confidence_level:g}%"
        lines = [f"{self.law.name}: {self.n_runs} runs, {self.objective}, status: {self.status}"]
        for name, value in (self.constants | self.derived).items():
            spread = f"  {level} [{value.low:.5g}, {value.high:.5g}]" if self.draws else ""
            estimate = f"{value.estimate:12.6g}"
            if value.estimate in self.bounds.get(name, ()):
                spread = "  at its bound"
            elif name == self.law.floor and not self.floor_identified:
                estimate, spread = "not identified by these runs", ""
            lines.append(f"  {name:24s} {estimate}{spread}")
        lines += [f"  limit: {limit.text}" for limit in self.limits]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The fit as JSON-ready values; numbers keep every digit."""
        constants = self.law.constants()
        return {
            "law": self.law.name,
            "reference": {
                "citation": self.law.reference.citation,
                "bibtex": self.law.reference.bibtex,
            },
            "columns": list(self.columns),
            "constants": {k: _finite(v._asdict()) for k, v in self.constants.items()},
            "derived": {k: _finite(v._asdict()) for k, v in self.derived.items()},
            "objective": self.objective,
            "huber_delta": self.huber_delta,
            "objective_value": self.objective_value,
            "weights": self.weights,
            "fixed": dict(self.fixed),
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
            "search": _finite(vars(self.search)),
            "resampling": self.resampling,
            "n_draws": 0 if self.draws is None else len(np.atleast_1d(_first(self.draws))),
            "n_draws_converged": self.n_draws_converged,
            "card": self.card,
            "log_residuals": list(self.log_residuals),
            "rows": list(self.rows),
            "draws": None
            if self.draws is None
            else {k: np.asarray(v).tolist() for k, v in self.draws.constants().items()},
            "law_constants": {k: float(v) for k, v in constants.items()},
        }

    def to_json(self, *, draws: bool = True) -> str:
        """The fit as one JSON document; `from_json` restores it, without draws if left out."""
        document = self.to_dict()
        if not draws:
            document["draws"] = None
        return json.dumps(document, indent=1, allow_nan=False)

    def save(self, path: str | Path) -> None:
        """Write fit.json."""
        Path(path).write_text(self.to_json() + "\n")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The fit that `to_json` wrote. Raises FitError for any other text."""
        try:
            document = json.loads(text)
            law = law_named(document["law"])
            draws = document["draws"]
            return cls(
                law=law(**document["law_constants"]),
                draws=None if draws is None else law(**{k: np.array(v) for k, v in draws.items()}),
                search=Search(**{k: _restored(v) for k, v in document["search"].items()}),
                status=FitStatus(document["status"]),
                limits=limits_from(document["limits"]),
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
        if self.draws is None:
            raise FitError("this fit has no bootstrap draws, so no intervals; refit with bootstrap")
        return self.draws

    def _estimates(self, numbers: Callable[[Law], Mapping[str, Any]]) -> dict[str, Estimate]:
        with np.errstate(all="ignore"):  # as in interval
            best = {k: float(v) for k, v in numbers(self.law).items()}
            if self.draws is None:
                return {k: Estimate(v, np.nan, np.nan, np.nan) for k, v in best.items()}
            return {k: self._estimate(best[k], v) for k, v in numbers(self.draws).items()}

    def _estimate(self, best: float, drawn: Any) -> Estimate:
        values = np.atleast_1d(np.asarray(drawn, dtype=np.float64))
        tail = (1 - self.confidence_level) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        stderr = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        return Estimate(best, stderr, float(low), float(high))


_PLAIN = (
    "objective",
    "huber_delta",
    "objective_value",
    "weights",
    "fixed",
    "tied",
    "n_runs",
    "n_configurations",
    "dropped",
    "confidence_level",
    "seed",
    "source",
    "data_hash",
    "resampling",
    "n_draws_converged",
    "card",
)


def _first(law: Law) -> Any:
    return next(iter(law.constants().values()))


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what is not a finite number becomes null."""
    return {
        k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()
    }


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _both_ends(ends: list[float | None]) -> tuple[float, float]:
    low, high = ends
    return (-np.inf if low is None else low, np.inf if high is None else high)


def _restored(value: Any) -> Any:
    return float("nan") if value is None else value
