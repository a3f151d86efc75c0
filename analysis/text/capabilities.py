"""Forecasts of metrics as text."""

from collections.abc import Sequence

from analysis.capabilities.result import MetricForecast, MetricTarget
from analysis.forecasting.result import Forecast
from analysis.text.forecasting import forecast_blocks
from analysis.text.tables import target_label
from scaling.display import Block, Section, Table, as_text
from scaling.limits import texts
from scaling.words import counted


def metrics_text(forecasts: Sequence[MetricForecast | Forecast]) -> str:
    """Forecasts of several metrics, one below another; of those without a range as of losses."""
    blocks: list[Block] = []
    for one in forecasts:
        own = metric_blocks(one) if isinstance(one, MetricForecast) else forecast_blocks(one)
        blocks += [*([""] if blocks else []), *own]
    return as_text(blocks)


def metric_blocks(forecast: MetricForecast) -> list[Block]:
    """One row per target and route, the better one first, then what limits the answers."""
    levels = list(forecast.targets[0].intervals)
    header = ["target", "route", "median", *(f"{100 * v:.10g}% interval" for v in levels)]
    header.append("missed by")
    rows = [row for target in forecast.targets for row in _rows(target, levels, forecast.best)]
    low, high = sorted((forecast.worst, forecast.best))
    limits = texts(forecast.limits)
    for target in forecast.targets:
        limits += [f"{target_label(target.at)}: {text}" for text in texts(target.limits)]
    end = "at best" if forecast.best else "at worst"
    return [
        f"forecast of {forecast.metric} ({low:g} to {high:g}, {high:g} {end}) from "
        f"{counted(forecast.runs, 'run')} of {forecast.source}",
        "",
        Table(header, rows),
        "intervals are of the metric of a new run; the route with a star missed hidden runs by "
        "less",
        f"missed by: on average, in {counted(forecast.backtests, 'backtest')}, as far ahead as the "
        "target",
        Section("limits", limits),
    ]


def _rows(target: MetricTarget, levels: Sequence[float], best: float) -> list[list[str]]:
    places = 2 if best == 100 else 4
    label = target_label(target.at)
    routes = sorted(target.routes, key=lambda route: route != target.route)
    rows = []
    for number, route in enumerate(routes):
        one = target.routes[route]
        median = "unsupported" if one.median is None else f"{one.median:.{places}f}"
        ends = ["[{:.{p}f}, {:.{p}f}]".format(*one.intervals[v], p=places) for v in levels]
        missed = "-" if one.backtest_error is None else f"{one.backtest_error:.{places}f}"
        star = " *" if route == target.route and len(routes) > 1 else ""
        rows.append(["" if number else label, f"{route}{star}", median, *ends, missed])
    return rows
