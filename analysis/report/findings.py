"""Everything that a report states, gathered once: each number from one library call.

A question that the runs cannot answer is not an error here: it becomes a limit with a code of its
own, and the report prints its sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis.decisions.optimal_split import OptimalSplit, optimal_splits
from analysis.evaluation.backtest import Backtest, backtest
from analysis.evaluation.held_out import HeldOutCheck, check_held_out, held_out_runs
from analysis.evaluation.sealed import SealStanding
from analysis.fitting.policy import RESAMPLES, fit_law
from analysis.fitting.result import Fit
from analysis.forecasting.forecast import forecast
from analysis.forecasting.result import Forecast, TargetForecast
from analysis.forecasting.targets import Targets
from analysis.intervals import LEVEL, LEVELS
from analysis.tuning.rungs import LadderHealth, ladder_health
from analysis.tuning.screening import screen
from scaling.errors import ForecastError, RecordError, ScalingError
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.limits import Limit, LimitCode, first_of
from scaling.records import Records

FACTORS = (10.0, 100.0)  # times the largest fitted run: what a planner asks first
JUST_BEYOND = 1.03  # where the drawn forecast begins; at 1 it would be inside the data
CURVE_POINTS = 12  # of the drawn forecast, up to the larger factor; every sixth is a factor of ten

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the runs say. An answer that is None has its refusal in ``limits``, by code."""

    records: Records  # all runs
    used: Records  # those that fits may use; the others are in its ``dropped``
    x: str  # the column that forecasts run along
    laws: tuple[Fit, ...]
    forecast: Forecast | None  # along x, up to the largest factor
    splits: tuple[OptimalSplit, ...]
    held_out: HeldOutCheck | None
    backtest: Backtest | None
    curves: pd.DataFrame | None  # run_id, step, train_loss
    health: LadderHealth | None
    limits: tuple[Limit, ...]  # the questions that the runs cannot answer, and why
    confidence_level: float
    seals: tuple[SealStanding, ...] = ()  # the record of sealed forecasts, of all sources

    def refusal(self, code: LimitCode) -> str | None:
        """Why the runs cannot answer the question of this code; None where they do."""
        limit = first_of(code, self.limits)
        return limit.text if limit else None

    @property
    def largest(self) -> float:
        """The largest x that fits use."""
        return float(self.used.column(self.x).max())

    def law_of(self, *inputs: str) -> Fit | None:
        """The law of these record columns, if one was fitted."""
        return next((law for law in self.laws if law.columns == inputs), None)

    def target(self, factor: float) -> TargetForecast | None:
        """The forecast at ``factor`` times the largest fitted run; None where there is none."""
        targets = self.forecast.targets if self.forecast else ()
        wanted = factor * self.largest
        return next((t for t in targets if abs(t.at[self.x] / wanted - 1) < 1e-6), None)


def gather_findings(
    records: Records,
    *,
    law: str = "auto",
    x: str | None = None,
    confidence_level: float = LEVEL,
    bootstrap: int = RESAMPLES,
    seed: int = 0,
    sealed: Forecast | None = None,
    curves: pd.DataFrame | None = None,
    with_backtest: bool = True,
    seals: tuple[SealStanding, ...] = (),
) -> Findings:
    """Fit, forecast, rehearse and check these runs.

    ``law`` and ``x`` are those of `forecast`; "auto" fits the Chinchilla law and the power law of
    compute. ``sealed`` is a forecast of the held-out runs that was made before they were measured.

    Raises RecordError where no run is usable at all.
    """
    column = x or "train_flops"
    records.require(column)
    ready = screen(records)
    used = ready.with_values(column)
    if not len(used):
        raise RecordError(f"{records.source}: no usable run with {column} and a loss to report on")
    questions = _Questions(
        records=records,
        ready=ready,
        law=law,
        x=x,
        largest=float(used.column(column).max()),
        confidence_level=confidence_level,
        bootstrap=bootstrap,
        seed=seed,
    )
    refusals = _Refusals()
    ask = refusals.ask
    fits = [
        ask(partial(questions.fit, name), LimitCode.NO_FIT, f"the law {name}")
        for name in _laws_to_fit(law, x)
    ]
    hidden = len(held_out_runs(records))
    return Findings(
        records=records,
        used=used,
        x=column,
        laws=tuple(fitted for fitted in fits if fitted is not None),
        forecast=ask(questions.forecast, LimitCode.NO_FORECAST),
        splits=ask(questions.splits, LimitCode.NO_SPLIT) or (),
        held_out=ask(partial(questions.held_out, sealed), LimitCode.NO_HELD_OUT_CHECK)
        if hidden
        else None,
        backtest=ask(questions.backtest, LimitCode.NO_BACKTEST) if with_backtest else None,
        curves=curves,
        health=ask(partial(ladder_health, records, curves), LimitCode.NO_HEALTH),
        limits=tuple(refusals.limits),
        confidence_level=confidence_level,
        seals=seals,
    )


class _Refusals:
    """What could not be answered, and why."""

    def __init__(self) -> None:
        self.limits: list[Limit] = []

    def ask(self, call: Callable[[], Answer], code: LimitCode, about: str = "") -> Answer | None:
        """The answer; None where there is none, and then its reason is kept."""
        try:
            return call()
        except ScalingError as error:
            self.limits.append(Limit(code, f"{about}: {error}" if about else str(error)))
            return None


@dataclass(frozen=True, kw_only=True)
class _Questions:
    """What a report asks of the runs, always in the same way; each raises ScalingError if they
    cannot answer."""

    records: Records
    ready: Records  # the same, screened
    law: str
    x: str | None
    largest: float  # x of the largest usable run
    confidence_level: float
    bootstrap: int
    seed: int

    def fit(self, name: str) -> Fit:
        """The constants of one law."""
        return fit_law(
            self.ready,
            name,
            x=self.x,
            bootstrap=self.bootstrap,
            confidence_level=self.confidence_level,
            seed=self.seed,
        )

    @property
    def _levels(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys((*LEVELS, self.confidence_level)))

    def forecast(self) -> Forecast:
        """The loss along x, from just beyond the largest run to the largest factor."""
        ahead = FACTORS[-1] ** (np.arange(1, CURVE_POINTS + 1) / CURVE_POINTS)
        at = self.largest * np.insert(ahead, 0, JUST_BEYOND)
        return forecast(
            self.records,
            Targets.along(self.x or "train_flops", *at),
            law=self.law,
            x=self.x,
            confidence_levels=self._levels,
            seed=self.seed,
        )

    def splits(self) -> tuple[OptimalSplit, ...]:
        """The best size and tokens for each factor of the largest budget."""
        if self.x is not None:
            raise ForecastError(f"a forecast along {self.x} knows no split between size and tokens")
        return optimal_splits(
            self.records,
            *(factor * self.largest for factor in FACTORS),
            law=self.law,
            seed=self.seed,
            confidence_levels=self._levels,
        )

    def held_out(self, sealed: Forecast | None) -> HeldOutCheck:
        """The held-out runs beside what was, or would have been, forecast of them."""
        return check_held_out(
            self.records,
            sealed,
            confidence_level=self.confidence_level,
            law=self.law,
            x=self.x,
            seed=self.seed,
        )

    def backtest(self) -> Backtest:
        """What forecasts from these runs would have been worth."""
        return backtest(self.records, law=self.law, x=self.x, seed=self.seed)


def _laws_to_fit(law: str, x: str | None) -> tuple[str, ...]:
    """The names of the laws that a report fits."""
    if law != "auto":
        return (law,)
    return (PowerLaw.name,) if x is not None else (PowerLaw.name, Chinchilla.name)
