"""Forecasts of a metric: two routes, each scored by hiding the largest runs; the better answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from scipy.stats import spearmanr

from analysis.capabilities.metrics import Metric, metric_of
from analysis.capabilities.response import shares_at
from analysis.capabilities.result import MetricForecast, MetricTarget, RouteForecast
from analysis.capabilities.routes import (
    DIRECTLY,
    THROUGH,
    Asked,
    Prediction,
    Runs,
    asked_of,
    predictions,
)
from analysis.capabilities.scored_routes import (
    FAINT,
    Origin,
    RouteAnswer,
    answer_of,
    origins_of,
    rise_of,
)
from analysis.forecasting.question.options import AUTO, DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import check_distance
from analysis.forecasting.question.targets import Targets
from analysis.intervals import LEVEL, Interval
from analysis.tuning.screening import screen
from scaling.answerable import FEWEST_RUNS, decades_outside, supported_reach
from scaling.arrays import DECADE, FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

WIDEST = 0.5  # of the range: a wider interval is no forecast
FAR = 1.5  # times the furthest backtest: a target beyond it is said to be untested
BY_CHANCE = 0.01  # that the metric of runs without any rise would rise with compute as it does
#: Which columns describe the new runs that a metric is forecast of.
METRIC_TARGETS = ({"train_flops"}, {"params", "tokens"})
_SAID_OF_THE_METRIC = (LimitCode.LEFT_OUT, LimitCode.INTERPOLATED)  # of the same runs and targets
_SHARE = "share of the metric"  # beside the runs while they are screened


def forecast_metric(
    records: Source,
    metric: str,
    targets: Targets,
    *,
    better: str | None = None,
    options: ForecastOptions = DEFAULT,
) -> MetricForecast:
    """The value of a bounded metric, such as an accuracy, of new runs, with intervals inside its
    range.

    ``metric`` is a column of the runs; ``better`` ("higher" or "lower") says which end is the best
    where its name does not. Through the loss, where the runs have one, and directly: of the two the
    one that missed hidden runs by less answers, and the other stands beside it. Raises RecordError
    for values outside the range, ForecastError where too few runs have the metric, or where it does
    not rise with compute.
    """
    records = records_from(records)
    _require_a_budget_or_sizes(targets, options, records)
    column = metric_of(records, metric, better)
    runs = _runs(records, column)
    _require_rise(runs, metric)
    asked = asked_of(runs, targets, options)
    wanted = np.log([[one[name] for name in targets.columns] for one in asked.at])
    seen = np.log(np.column_stack([runs.records.column(name) for name in targets.columns]))
    distance = decades_outside(seen, wanted)
    check_distance(distance)
    said, origins = predictions(runs, asked), origins_of(runs, options)
    origins = tuple(one for one in origins if said.keys() <= one.said.keys()) or origins
    found = {route: answer_of(route, said, origins, distance) for route in (THROUGH, DIRECTLY)}
    routes = {route: answer for route, answer in found.items() if answer is not None}
    reach = supported_reach(
        float(np.ptp(runs.log_compute)) / DECADE,
        max((float(origin.distance.max()) for origin in origins), default=0.0),
    )
    return MetricForecast(
        metric=metric,
        worst=column.worst,
        best=column.best,
        source=records.source,
        data_hash=records.data_hash,
        runs=len(runs.shares),
        backtests=len(origins),
        targets=tuple(
            _target(i, asked, routes, column, float(distance[i]), reach, options)
            for i in range(len(targets))
        ),
        limits=runs.records.left_out() + _limits(runs, asked, said, origins, distance),
        seed=options.seed,
        records=records,
        notes=records.told,
    )


def _require_a_budget_or_sizes(
    targets: Targets, options: ForecastOptions, records: Records
) -> None:
    """Raise where a metric is asked along a column, or of one law, or of columns that the runs
    lack."""
    if options.x is not None or options.law_name != AUTO:
        raise ForecastError("a metric with a range is forecast along no column and by no one law")
    if not isinstance(targets, Targets) or set(targets.columns) not in METRIC_TARGETS:
        raise ForecastError(
            "targets of a metric with a range: say Targets.flops(1e21) or "
            "Targets.runs(params, tokens)"
        )
    records.require("train_flops", *targets.columns)


def _runs(records: Records, metric: Metric) -> Runs:
    """The runs that have the metric, screened as those of a fit are."""
    has_loss, shares = "loss" in records, metric.shares
    table = records.table.assign(**{_SHARE: shares})
    if not has_loss:
        table = table.assign(loss=np.maximum(1 - shares, np.finfo(float).tiny))
    records = replace(records, table=table)
    records = records.select(np.isfinite(shares), f'"{metric.name}" has no number')
    columns = [name for name in ("params", "tokens", "train_flops") if name in records]
    used = screen(records, *columns)
    shares = used.table[_SHARE].to_numpy(dtype=np.float64)
    if len(used) < FEWEST_RUNS:
        raise ForecastError(
            f'{records.source}: {counted(len(used), "run")} with "{metric.name}"; a forecast of it '
            f"needs {FEWEST_RUNS}"
        )
    used = replace(used, table=used.table.drop(columns=_SHARE))
    return Runs(records=used, shares=shares, has_loss=has_loss)


def _require_rise(runs: Runs, metric: str) -> None:
    """Raise ForecastError where the metric does not get better with compute."""
    source, many = runs.records.source, counted(len(runs.shares), "run")
    if np.ptp(runs.shares) == 0:
        raise ForecastError(
            f'{source}: "{metric}" is the same in all of {many}, which tells nothing '
            "of larger ones; forecast the loss, or a metric that moves earlier"
        )
    ranks = spearmanr(runs.log_compute, runs.shares, alternative="greater")
    if ranks.pvalue > BY_CHANCE:
        falls = ranks.pvalue > 1 - BY_CHANCE
        what = "gets worse with compute" if falls else "does not get better with compute"
        why = "--better says which end is better" if falls else "all or some may be at chance"
        raise ForecastError(
            f'{source}: "{metric}" {what} in {many} (rank correlation '
            f"{ranks.statistic:.2f}): {why}; forecast the loss, or a metric that moves earlier, "
            "such as the bits of the right answer"
        )


def _limits(
    runs: Runs,
    asked: Asked,
    said: Mapping[str, Prediction],
    origins: Sequence[Origin],
    distance: FloatArray,
) -> tuple[Limit, ...]:
    """What the runs do not tell."""
    found = []
    if not runs.has_loss:
        text = (
            "no loss is known of these runs, so there is no forecast through it (--columns loss=)"
        )
        found.append(Limit(LimitCode.ONE_LAW, text))
    if asked.why_no_loss:
        text = f"there is no forecast through the loss: {asked.why_no_loss}"
        found.append(Limit(LimitCode.ONE_LAW, text))
    if (rise := rise_of(said)) < FAINT:
        text = (
            f"the metric has risen by {rise:.1f} times the scatter of runs, so how fast it goes on "
            "is open"
        )
        found.append(Limit(LimitCode.NEAR_CHANCE, text))
    if not origins:
        text = (
            "no backtest was made: without the largest runs there are too few, or their metric has "
            "hardly risen"
        )
        found.append(Limit(LimitCode.NO_BACKTEST, text))
    reached = max((float(origin.distance.max()) for origin in origins), default=0.0)
    if origins and distance.max() > FAR * reached:
        text = (
            f"no backtest reached further than {reached:.2f} decades; the target lies "
            f"{distance.max():.2f} decades out"
        )
        found.append(Limit(LimitCode.NOT_BACKTESTED, text))
    if np.any(distance == 0):
        text = "a target lies inside the data: that is interpolation"
        found.append(Limit(LimitCode.INTERPOLATED, text))
    found += [
        Limit(limit.code, f"the loss that it goes through: {limit.text}")
        for limit in asked.loss_limits
        if limit.code not in _SAID_OF_THE_METRIC
    ]
    return tuple(found)


def _target(
    i: int,
    asked: Asked,
    routes: Mapping[str, RouteAnswer],
    metric: Metric,
    distance: float,
    reach: float,
    options: ForecastOptions,
) -> MetricTarget:
    """The answer at one target, of the route that missed by less."""
    told = {route: _told(answer, i, metric, options) for route, answer in routes.items()}
    known = {route: float(answer.error[i]) for route, answer in routes.items()}
    chosen = min(known, key=lambda route: known[route] if known[route] == known[route] else np.inf)
    low, high = _ends(routes[chosen], i, LEVEL)
    limits = []
    if distance > reach:
        text = f"{distance:.2f} decades beyond the runs, which support {reach:.2f}"
        limits.append(Limit(LimitCode.UNSUPPORTED, text))
    if not asked.loss_supported[i]:
        limits.append(Limit(LimitCode.UNSUPPORTED, "its loss is not supported there"))
    if high - low > WIDEST:
        text = f"its 90% interval is {high - low:.0%} of the range wide"
        limits.append(Limit(LimitCode.UNSUPPORTED, text))
    if known[chosen] > WIDEST / 2:
        text = f"backtests as far ahead missed by {known[chosen]:.0%} of the range"
        limits.append(Limit(LimitCode.UNSUPPORTED, text))
    if limits:
        told = {route: replace(answer, median=None) for route, answer in told.items()}
    return MetricTarget(
        at=asked.at[i],
        route=chosen,
        median=told[chosen].median,
        intervals=told[chosen].intervals,
        routes=told,
        decades_beyond=distance,
        limits=tuple(limits),
    )


def _ends(answer: RouteAnswer, i: int, level: float) -> tuple[float, float]:
    """The ends of an interval in shares."""
    reach = NormalDist().inv_cdf(0.5 + level / 2) * answer.sd[i]
    low, high = shares_at(answer.centre[i] + np.array([-reach, reach]))
    return float(low), float(high)


def _told(answer: RouteAnswer, i: int, metric: Metric, options: ForecastOptions) -> RouteForecast:
    """One route's answer in the metric's own unit."""

    def interval(level: float) -> Interval:
        ends = sorted(metric.values_of(np.array(_ends(answer, i, level))).tolist())
        return Interval(*ends)

    error = float(answer.error[i]) * abs(metric.best - metric.worst)
    return RouteForecast(
        median=float(metric.values_of(shares_at(answer.centre[i]))),
        intervals={level: interval(level) for level in options.confidence_levels},
        backtest_error=error if error == error else None,
        weights={name: float(weight[i]) for name, weight in answer.weights.items()},
    )
