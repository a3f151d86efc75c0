"""Answers that stand apart from the forecast of compute: laws of any columns, and groups of runs,
each by the calls of its own verbs."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from analysis.discovery.discover import discover
from analysis.discovery.result import Discovery
from analysis.evaluation.by_groups import GroupedBacktest, backtest_groups
from analysis.fitting.groups.fit import fit_groups
from analysis.fitting.groups.prediction import GroupedPrediction
from analysis.fitting.groups.result import GroupedFit
from analysis.fitting.groups.split import group_named, split
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import USUAL, ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.shared_law import forecast_by_shared_law
from analysis.report.asked import FACTORS, Asked, Refusals
from analysis.tuning.screening import screen
from scaling.errors import ForecastError, RecordError
from scaling.laws.base import Law
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.tables.notes import printable

COMPUTE = "train_flops"


@dataclass(frozen=True, kw_only=True)
class GroupAnswers:
    """What the groups of runs that a column makes say, each from its own runs."""

    by: str
    fits: tuple[GroupedFit, ...]  # one a law
    forecasts: Mapping[str, tuple[Forecast, ...]]  # group -> at what was asked, or at the factors
    predictions: GroupedPrediction | None  # of the points, where groups share constants
    backtests: GroupedBacktest | None


def why_apart(asked: Asked, options: ForecastOptions) -> str | None:
    """Why no forecast of all runs along compute is made; None where it is."""
    if asked.by is not None:
        return f"each group of {printable(asked.by)} is answered by itself"
    if not options.reads_other_columns:
        return None
    others = ", ".join(printable(name) for name in options.inputs if name not in USUAL)
    laws = printable(options.law_name, most=200)
    read, says = ("reads", "it says") if options.one_law else ("read", "they say")
    return f"{laws} {read} {others}, so {says} nothing of compute alone"


def not_asked_apart(asked: Asked, options: ForecastOptions, why: str) -> list[Limit]:
    """Questions of all runs that are not answered where no forecast of them is made."""
    by_groups = asked.by is not None and not asked.share and not options.reads_other_columns
    questions = {
        "the runs asked for": asked.targets and not by_groups,
        "budgets for losses": asked.losses,
        "metrics": asked.metrics,
        "what budgets cost": asked.hardware is not None,
        "the comparison asked for": asked.against is not None,
        "what to run next": asked.next_budget is not None,
    }
    return [Limit(LimitCode.NO_ANSWER, f"{what}: {why}") for what, is_ in questions.items() if is_]


def column_along(records: Records, asked: Asked, options: ForecastOptions) -> str:
    """The column by which runs are told apart in words and figures: the one that was asked for,
    or compute, or the first input of the law or of the search where runs have none."""
    named = options.inputs if options.reads_other_columns else asked.inputs
    if options.x is not None or COMPUTE in records or not named:
        return options.x or COMPUTE
    return records.name_of(named[0])


def screened(records: Records, asked: Asked, options: ForecastOptions) -> Records:
    """The runs that answers rest on: what a law or a search reads is no choice to make, and the
    groups that are asked for choose among their own runs alone."""
    reads = options.inputs if options.reads_other_columns else asked.inputs
    columns = [records.name_of(name) for name in reads]
    of_law = partial(screen, or_zero=columns)  # what a law cannot read its own fit leaves out
    if asked.by is None:
        return of_law(records, *columns) if options.reads_other_columns else screen(records)
    groups, parts = split(records, asked.by), []
    for place in range(len(groups.labels)):
        with suppress(RecordError):  # a group without a usable run has a line of its own
            parts.append(of_law(groups.of(place), *columns))
    if not parts:
        return of_law(records, *columns)
    dropped = dict.fromkeys(row for part in parts for row in part.dropped)
    table = pd.concat([part.table for part in parts]).sort_index()
    return replace(parts[0], table=table, dropped=tuple(dropped), whole=None)


def found_laws(
    asked: Asked, records: Records, options: ForecastOptions, refusals: Refusals
) -> Discovery | None:
    """The laws that the runs follow in the columns asked for, or the given law of other columns,
    and what they say of the points."""
    given = options.reads_other_columns and not asked.share  # a shared law has fits of its own
    if not asked.inputs and not given:
        return None
    laws = None if asked.inputs else options.laws
    what = f"laws of {', '.join(map(printable, asked.inputs))}" if asked.inputs else "the law"
    return refusals.ask(
        partial(
            discover,
            records,
            asked.inputs,
            law=laws,
            fix=None if laws is None else options.fix,
            by=asked.by,
            at=asked.points,
            confidence_levels=options.confidence_levels,
            seed=options.seed,
        ),
        LimitCode.NO_ANSWER,
        what,
    )


def group_answers(
    asked: Asked,
    records: Records,
    options: ForecastOptions,
    laws: tuple[type[Law], ...],
    bootstrap: int,
    refusals: Refusals,
) -> GroupAnswers | None:
    """Constants, forecasts and backtests of every group, if groups were asked for. Raises
    RecordError for a missing column and FitError for one that makes no groups."""
    if asked.by is None:
        return None
    groups = split(records, asked.by)
    ask, how = refusals.ask, {"x": options.x, "seed": options.seed, "bootstrap": bootstrap}
    fits = []
    for law in laws:
        held = {"fix": dict(options.fix)} if law is options.one_law else {}
        call = partial(fit_groups, records, law, by=asked.by, share=asked.share, **how, **held)
        fits.append(ask(call, LimitCode.NO_FIT, f"the law {law.name}"))
    made = tuple(fit for fit in fits if fit is not None)
    told = ask(partial(_predicted, asked, records, options), LimitCode.NO_FORECAST)
    forecasts: dict[str, tuple[Forecast, ...]] = {}
    alone = not asked.share and not options.reads_other_columns
    for place, label in enumerate(groups.labels if alone else ()):
        own = partial(_forecasts, asked, groups.of(place), label, options)
        about = f"{printable(str(groups.by))} {printable(label)}"
        forecasts[label] = ask(own, LimitCode.NO_FORECAST, about) or ()
    scored = partial(backtest_groups, records, by=asked.by, options=options)
    return GroupAnswers(
        by=str(groups.by),
        fits=made,
        forecasts={label: made for label, made in forecasts.items() if made},
        predictions=told,
        backtests=None if asked.share else ask(scored, LimitCode.NO_BACKTEST),
    )


def _predicted(
    asked: Asked, records: Records, options: ForecastOptions
) -> GroupedPrediction | None:
    """The points by the law of which groups share constants."""
    if asked.points is None or not asked.share or asked.by is None:
        return None
    return forecast_by_shared_law(
        records, asked.points, by=asked.by, share=asked.share, options=options
    )


def _forecasts(
    asked: Asked, records: Records, label: str, options: ForecastOptions
) -> tuple[Forecast, ...]:
    """One group's forecasts at what was asked, or at the factors of its own largest run."""
    questions: list[Targets | pd.DataFrame] = [*asked.targets]
    if asked.points is not None and not asked.inputs:
        questions.append(_points_of(asked.points, records, str(asked.by), label))
    if not questions:
        along = options.x or COMPUTE
        used = screen(records).with_values(along)
        if not len(used):
            raise ForecastError(f"{records.source}: no usable run with {along} and a loss")
        largest = float(used.column(along).max())
        questions = [Targets.along(along, *(factor * largest for factor in FACTORS))]
    return tuple(forecast(records, one, options=options) for one in questions)


def _points_of(points: pd.DataFrame, records: Records, by: str, label: str) -> pd.DataFrame:
    """The points of one group."""
    names = {str(name): name for name in points.columns}
    theirs = next((names[n] for n in names if records.name_of(n) == records.name_of(by)), None)
    if theirs is None:
        raise ForecastError(f'points: no column "{printable(by)}", by which the runs are grouped')
    own = points[[group_named(value, [label]) == label for value in points[theirs]]]
    if own.empty:
        raise ForecastError(f"points: none is of {printable(by)} {printable(label)}")
    return own
