"""What the report says of metrics beside the loss: those that runs have, and forecasts of them."""

import numpy as np

from analysis.capabilities.result import MetricForecast
from analysis.intervals import interval_at
from analysis.report.findings import Findings
from analysis.report.tables.cells import Table, or_dash
from analysis.report.words.summary import (
    NOT_SUPPORTED,
    metric_span,
    metric_targets,
    metric_written,
)
from scaling.limits import texts
from scaling.tables.notes import printable
from scaling.words import counted

METRIC, STDERR = "metric.", "_stderr"
MOST_METRICS = 60


def metric_forecast_table(forecast: MetricForecast, level: float) -> Table:
    """A row a target and route, the one that answers first."""
    rows = []
    for name, target in zip(metric_targets(forecast), forecast.targets, strict=True):
        for route in sorted(target.routes, key=lambda one: one != target.route):
            one = target.routes[route]
            answers = "answers: " if route == target.route and len(target.routes) > 1 else ""
            rows.append(
                (
                    name,
                    f"{answers}{route}",
                    or_dash(one.median, metric_written(forecast))
                    if target.supported
                    else NOT_SUPPORTED,
                    metric_span(forecast, interval_at(one.intervals, level)),
                    or_dash(one.backtest_error, metric_written(forecast)),
                )
            )
    low, high = sorted((forecast.worst, forecast.best))
    end = "best" if forecast.best else "worst"
    note = f"From {low:g} to {high:g}, which is the {end}. Intervals are of one new run."
    if forecast.backtests:
        backtests = counted(forecast.backtests, "backtest")
        note += f" Missed by: on average, in {backtests}, as far ahead as the run."
    interval = f"{100 * level:g}% interval"
    return Table(
        head=("Run", "Route", "Median", interval, "Missed by"), rows=tuple(rows), note=note
    )


def metric_sentences(forecast: MetricForecast) -> list[str]:
    """What limits a forecast of a metric."""
    told = texts(forecast.limits)
    for name, target in zip(metric_targets(forecast), forecast.targets, strict=True):
        told += [f"{name}: {text}" for text in texts(target.limits)]
    return told


def metrics_table(findings: Findings) -> Table:
    """Every column `metric.NAME` of the runs: the smallest and the largest run's value, and the
    range over all."""
    records = findings.records
    names = [name for name in map(str, records.table.columns) if name.startswith(METRIC)]
    finished = records.finished
    rows = []
    for name in (one for one in names if not one.endswith(STDERR)):
        if not finished.table[name].notna().any():
            continue
        values = finished.column(name)
        errors = finished.column(name + STDERR) if name + STDERR in names else np.nan * values
        size = finished.column(findings.x) if findings.x in finished else np.arange(len(values))
        known = np.flatnonzero(np.isfinite(values) & np.isfinite(size))
        if not len(known):
            continue
        order = known[np.argsort(size[known], kind="stable")]
        ends = [_with_error(values[i], errors[i]) for i in (order[0], order[-1])]
        span = f"{values[known].min():.4g} to {values[known].max():.4g}"
        shown = printable(name.removeprefix(METRIC)).replace("_", " ")
        rows.append((shown, f"{len(known):,}", *ends, span))
    more = len(rows) - MOST_METRICS
    note = "A \u00b1 is a standard error over prompts, answers or sequences."
    note += f" {counted(more, 'more metric is', 'more metrics are')} in the table." * (more > 0)
    head = ("Metric", "Runs", "Smallest run", "Largest run", "Over all runs")
    return Table(head=head, rows=tuple(rows[:MOST_METRICS]), note=note if rows else "")


def _with_error(value: float, error: float) -> str:
    return f"{value:.4g}" + (f" \u00b1 {error:.2g}" if np.isfinite(error) else "")
