"""Everything that a report states, gathered once: each number from one library call.

A question that the runs cannot answer is not an error here: it becomes a limit with a code of its
own, and the report prints its sentence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.decisions.further_runs.next_runs import NextRuns
from analysis.decisions.further_runs.provisional import Provisional, provisional
from analysis.decisions.money import BudgetPlan, plan_budgets
from analysis.decisions.optimal_split import OptimalSplit, allocate
from analysis.decisions.two_recipes.compared import ArmComparison
from analysis.discovery.result import Discovery
from analysis.evaluation.backtest import Backtest, backtest
from analysis.evaluation.held_out import (
    HeldOutCheck,
    check_held_out,
    held_out_runs,
    with_held_out,
)
from analysis.evaluation.verdicts import SealStanding
from analysis.fitting.policy import RESAMPLES, fit_law
from analysis.fitting.result import Fit
from analysis.forecasting.answer.result import Forecast, TargetForecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import DEFAULT, USUAL, ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.intervals import LEVEL
from analysis.report.apart import (
    GroupAnswers,
    column_along,
    found_laws,
    group_answers,
    not_asked_apart,
    screened,
    why_apart,
)
from analysis.report.asked import (
    FACTORS,
    Answers,
    Asked,
    Refusals,
    answers_to,
    comparison_with,
    proposal_for,
)
from analysis.studies.published.check import published_findings
from analysis.studies.published.finding import PublishedFindings
from analysis.tuning.rungs import LadderHealth, ladder_health
from scaling.arrays import SAME_NUMBER
from scaling.errors import RecordError
from scaling.extra_columns.groups import in_groups
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.limits import Limit, LimitCode, first_of
from scaling.records import Records
from scaling.sources import Source, records_from

NEARLY = 0.05  # relative: a factor so near to what was asked is the same question
JUST_BEYOND = 1.03  # where the drawn forecast begins; at 1 it would be inside the data
CURVE_POINTS = 12  # of the drawn forecast, up to the larger factor; every sixth is a factor of ten


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the runs say. An answer that is None has its refusal in ``limits``, by code."""

    records: Records  # all runs
    used: Records  # those that fits may use; the others are in its ``dropped``
    x: str  # the column that forecasts run along
    options: ForecastOptions  # of every forecast here
    laws: tuple[Fit, ...]
    forecast: Forecast | None  # along x, up to the largest factor
    splits: tuple[OptimalSplit, ...]
    plan: BudgetPlan | None  # of the budgets asked for, or else of each factor
    held_out: HeldOutCheck | None
    from_all: Forecast | None  # at each factor, from the held-out runs too; after the check
    backtest: Backtest | None
    curves: pd.DataFrame | None  # run_id, step, train_loss
    health: LadderHealth | None
    limits: tuple[Limit, ...]  # the questions that the runs cannot answer, and why
    confidence_level: float
    seals: tuple[SealStanding, ...] = ()  # the record of sealed forecasts, of all sources
    answers: Answers | None = None  # to questions of the reader's own; None where none was asked
    provisional: Provisional | None = None  # what is still open; None where all is measured
    comparison: ArmComparison | None = None  # with another recipe, where that was asked
    proposal: NextRuns | None = None  # what to run next, where that was asked
    published: PublishedFindings | None = None  # findings of the literature on these runs
    discovery: Discovery | None = None  # laws of any columns, where that was asked
    groups: GroupAnswers | None = None  # of groups of runs, where that was asked
    of_compute: bool = True  # whether all runs together are forecast along x
    links: Mapping[str, str] = field(default_factory=dict)  # where runs are shown, by what they are

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

    @property
    def factors(self) -> tuple[float, ...]:
        """The `FACTORS` that a forecast of the reader's own does not answer already."""
        return self._not_asked(self.answers.along if self.answers else ())

    @property
    def split_factors(self) -> tuple[float, ...]:
        """The `FACTORS` that a split of the reader's own does not answer already."""
        splits = self.answers.splits if self.answers else ()
        return self._not_asked(split.budget for split in splits)

    def _not_asked(self, answered: Iterable[float]) -> tuple[float, ...]:
        known = np.array([*answered]) / self.largest
        return tuple(f for f in FACTORS if not np.any(np.abs(known / f - 1) < NEARLY))

    def target(self, factor: float) -> TargetForecast | None:
        """The forecast at ``factor`` times the largest fitted run; None where there is none."""
        return self._target_in(self.forecast, factor)

    def target_from_all(self, factor: float) -> TargetForecast | None:
        """The forecast of the same run from all runs, those that were held out among them."""
        return self._target_in(self.from_all, factor)

    def _target_in(self, made: Forecast | None, factor: float) -> TargetForecast | None:
        wanted = factor * self.largest
        targets = made.targets if made else ()
        return next((t for t in targets if abs(t.at[self.x] / wanted - 1) < SAME_NUMBER), None)


def gather_findings(
    records: Source,
    *,
    options: ForecastOptions = DEFAULT,
    confidence_level: float = LEVEL,
    bootstrap: int = RESAMPLES,
    sealed: Forecast | None = None,
    curves: pd.DataFrame | None = None,
    with_backtest: bool = True,
    seals: tuple[SealStanding, ...] = (),
    asked: Asked | None = None,
    heading_for: Mapping[str, float] | None = None,
    links: Mapping[str, str] | None = None,
) -> Findings:
    """Fit, forecast, backtest and check these runs.

    ``options`` hold for every forecast; their law "auto" fits the Chinchilla law and the power law
    of compute. Intervals are shown at ``confidence_level``, which joins the options' levels.
    ``sealed`` is a forecast of the held-out runs that was made before they were measured;
    ``asked`` are questions of the reader's own, answered as their verbs answer them;
    ``heading_for`` losses that running runs are heading for, as `provisional` takes them; ``links``
    addresses where runs are shown, by what is shown there. Raises RecordError where no run is
    usable, ForecastError where ``options`` hold a floor above losses.
    """
    records = records_from(records)
    options = replace(options, confidence_levels=(*options.confidence_levels, confidence_level))
    asked = Asked() if asked is None else asked
    records = records if asked.by is None else in_groups(records, asked.by)
    column = column_along(records, asked, options)
    questions, used = _asked_of(records, column, options, asked, confidence_level, bootstrap)
    ask = (refusals := Refusals(records.source)).ask
    apart = {"seals": seals, "links": links or {}} | _any_columns(questions, asked, refusals)
    if (why := why_apart(asked, options)) is not None:
        refusals.limits += not_asked_apart(asked, options, why)
        return _apart(questions, used, column, why, apart, curves, with_backtest, refusals)
    check = _checked(questions, sealed, refusals)
    laws = _fits(questions, refusals)
    splits, plan = _decision(questions, asked, laws, refusals)
    beside = apart | _beside(questions, asked, laws, heading_for or {}, refusals)
    return Findings(
        records=records,
        used=used,
        x=column,
        options=options,
        laws=laws,
        forecast=ask(questions.forecast, LimitCode.NO_FORECAST),
        splits=splits,
        plan=plan,
        held_out=check,
        from_all=ask(questions.from_all, LimitCode.NO_FORECAST, "from all runs") if check else None,
        backtest=ask(questions.backtest, LimitCode.NO_BACKTEST) if with_backtest else None,
        curves=curves,
        health=ask(partial(ladder_health, records, curves), LimitCode.NO_HEALTH),
        answers=answers_to(asked, plan, records, options, refusals) if asked else None,
        limits=tuple(refusals.limits),
        confidence_level=confidence_level,
        **beside,
    )


def _any_columns(questions: "_Questions", asked: Asked, refusals: Refusals) -> dict[str, Any]:
    """Laws of any columns, and groups, where they were asked for, as fields."""
    records, options = questions.records, questions.options
    laws = _laws_to_fit(options)
    return {
        "discovery": found_laws(asked, records, options, refusals),
        "groups": group_answers(asked, records, options, laws, questions.bootstrap, refusals),
    }


def _apart(
    questions: "_Questions",
    used: Records,
    column: str,
    why: str,
    apart: Mapping[str, Any],
    curves: pd.DataFrame | None,
    with_backtest: bool,
    refusals: Refusals,
) -> Findings:
    """The findings where no forecast of all runs along compute is made, which ``why`` says."""
    records, ask = questions.records, refusals.ask
    one_law = apart["groups"] is None
    refusals.limits.insert(0, Limit(LimitCode.NO_FORECAST, why))
    if len(held_out_runs(records)):
        refusals.limits.append(Limit(LimitCode.NO_HELD_OUT_CHECK, why))
    scored = ask(questions.backtest, LimitCode.NO_BACKTEST) if one_law and with_backtest else None
    return Findings(
        records=records,
        used=used,
        x=column,
        options=questions.options,
        laws=_fits(questions, refusals) if one_law else (),
        forecast=None,
        splits=(),
        plan=None,
        held_out=None,
        from_all=None,
        backtest=scored,
        curves=curves,
        health=ask(partial(ladder_health, records, curves), LimitCode.NO_HEALTH),
        limits=tuple(refusals.limits),
        confidence_level=questions.confidence_level,
        of_compute=False,
        **apart,
    )


@dataclass(frozen=True, kw_only=True)
class _Questions:
    """What a report asks of the runs, always in the same way; each raises ScalingError if they
    cannot answer."""

    records: Records
    ready: Records  # the same, screened
    options: ForecastOptions
    largest: float  # x of the largest usable run
    confidence_level: float
    bootstrap: int

    def fit(self, law: type[Law]) -> Fit:
        """The constants of one law."""
        return fit_law(
            self.ready,
            law,
            x=self.options.x,
            fix=self.options.fix if law is self.options.one_law else None,
            bootstrap=self.bootstrap,
            confidence_level=self.confidence_level,
            seed=self.options.seed,
        )

    def forecast(self) -> Forecast:
        """The loss along x, from just beyond the largest run to the largest factor."""
        ahead = FACTORS[-1] ** (np.arange(1, CURVE_POINTS + 1) / CURVE_POINTS)
        at = self.largest * np.insert(ahead, 0, JUST_BEYOND)
        targets = Targets.along(self.options.x or "train_flops", *at)
        return forecast(self.records, targets, options=self.options)

    def splits(self) -> tuple[OptimalSplit, ...]:
        """The best size and tokens for each factor of the largest budget."""
        budgets = (factor * self.largest for factor in FACTORS)
        return allocate(self.records, *budgets, options=self.options).splits

    def plan(self, asked: Asked, laws: tuple[Fit, ...]) -> BudgetPlan:
        """What the budgets asked for buy and take, or else each factor of the largest."""
        budgets = asked.budgets or tuple(factor * self.largest for factor in FACTORS)
        surface = next((law for law in laws if isinstance(law.law, Chinchilla)), None)
        return plan_budgets(
            self.records,
            *budgets,
            hardware=asked.hardware,
            inference_tokens=asked.inference_tokens,
            unique_tokens=asked.unique_tokens,
            approaches=True,
            surface=surface,
            options=self.options,
        )

    def held_out(self, sealed: Forecast | None) -> HeldOutCheck:
        """The held-out runs beside what was, or would have been, forecast of them."""
        return check_held_out(
            self.records,
            sealed,
            confidence_level=self.confidence_level,
            options=self.options,
        )

    def from_all(self) -> Forecast:
        """The loss at each factor, from the fitted runs and the held-out ones together."""
        at = (factor * self.largest for factor in FACTORS)
        targets = Targets.along(self.options.x or "train_flops", *at)
        return forecast(with_held_out(self.records), targets, options=self.options)

    def backtest(self) -> Backtest:
        """What forecasts from these runs would have been worth."""
        return backtest(self.records, options=self.options)


def _asked_of(
    records: Records,
    column: str,
    options: ForecastOptions,
    asked: Asked,
    confidence_level: float,
    bootstrap: int,
) -> tuple[_Questions, Records]:
    """What is asked of the runs, and those of them that fits may use."""
    records.require(column)
    ready = screened(records, asked, options)
    reads_zeros = column in (*asked.inputs, *options.inputs) and column not in USUAL
    used = ready.with_values(column, or_zero=[column] if reads_zeros else ())
    if not len(used) and "loss" in records and (records.column("loss") <= 0).any():
        raise RecordError(
            f"{records.source}: values at or below zero, and a report is of losses above zero; "
            "`scaling discover` and `scaling forecast --at` answer for such values"
        )
    if not len(used):
        raise RecordError(f"{records.source}: no usable run with {column} and a loss to report on")
    options.require_floor_below(float(used.column("loss").min()), records.source)
    questions = _Questions(
        records=records,
        ready=ready,
        options=options,
        largest=float(used.column(column).max()),
        confidence_level=confidence_level,
        bootstrap=bootstrap,
    )
    return questions, used


def _checked(
    questions: _Questions, sealed: Forecast | None, refusals: Refusals
) -> HeldOutCheck | None:
    """The held-out check, if a run is held out."""
    if not len(held_out_runs(questions.records)):
        return None
    return refusals.ask(partial(questions.held_out, sealed), LimitCode.NO_HELD_OUT_CHECK)


def _decision(
    questions: _Questions, asked: Asked, laws: tuple[Fit, ...], refusals: Refusals
) -> tuple[tuple[OptimalSplit, ...], BudgetPlan | None]:
    """The split of each factor, and the plan of the budgets asked for, or else of each factor."""
    planned = partial(questions.plan, asked, laws)
    if not asked.budgets:
        plan = refusals.ask(planned, LimitCode.NO_SPLIT)
        refusals.of_cost(asked, plan)
        return plan.splits if plan else (), plan
    splits = refusals.ask(questions.splits, LimitCode.NO_SPLIT)
    if splits is None:  # the page says so already
        refusals.of_cost(asked, None)
        return (), None
    own = Refusals(questions.records.source)
    plan = own.ask(planned, LimitCode.NO_ANSWER, "the split of the budgets asked for")
    refusals.of_plan = own.limits
    return splits, plan


def _fits(questions: _Questions, refusals: Refusals) -> tuple[Fit, ...]:
    """The laws that can be fitted."""
    fits = (
        refusals.ask(partial(questions.fit, law), LimitCode.NO_FIT, f"the law {law.name}")
        for law in _laws_to_fit(questions.options)
    )
    return tuple(fit for fit in fits if fit is not None)


def _laws_to_fit(options: ForecastOptions) -> tuple[type[Law], ...]:
    """The laws that a report fits."""
    if options.laws:
        return options.laws
    return (PowerLaw,) if options.x is not None else (PowerLaw, Chinchilla)


def _beside(
    questions: _Questions,
    asked: Asked,
    laws: tuple[Fit, ...],
    heading_for: Mapping[str, float],
    refusals: Refusals,
) -> dict[str, Any]:
    """What is open, another recipe, further runs, and findings of the literature, as fields."""
    records, options, ask = questions.records, questions.options, refusals.ask
    along_compute = questions.options.x in (None, "train_flops")
    open_cells: Provisional | None = None
    if along_compute and not records.is_finished.all():
        target = max(asked.budgets, default=FACTORS[0] * questions.largest)
        open_cells = provisional(records, target, heading_for=heading_for, options=options)
    surface = next((law for law in laws if isinstance(law.law, Chinchilla)), None)
    checked = partial(
        published_findings,
        records,
        law=surface,
        confidence_level=questions.confidence_level,
        options=options,
    )
    return {
        "provisional": open_cells or None,
        "comparison": comparison_with(asked, records, options, refusals),
        "proposal": proposal_for(asked, records, questions.largest, options, refusals),
        "published": ask(checked, LimitCode.NO_FINDINGS) if along_compute else None,
    }
