"""Forecasts of metrics as text."""

from collections.abc import Mapping, Sequence

from analysis.capabilities.result import MetricForecast, MetricTarget
from analysis.forecasting.answer.result import Forecast
from analysis.text.forecasting import MOST_WEIGHED
from analysis.text.tables import target_label
from scaling.display import Block, Section, Table, answer_alone, as_text
from scaling.limits import texts
from scaling.words import counted


def metrics_text(forecasts: Mapping[str, MetricForecast | Forecast], *, alone: bool = False) -> str:
    """Forecasts by the names of their metrics, one below another, each with how its own runs were
    read; of those without a range as of losses. ``alone``: without what they rest on."""
    blocks: list[Block] = []
    for name, one in forecasts.items():
        named = [] if isinstance(one, MetricForecast) else [f"{name}, forecast as a loss:"]
        own = answer_alone(one.blocks()) if alone else one.blocks()
        blocks += [*([""] if blocks else []), *named, *own]
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
        f"intervals are of the metric of a new run{_star(forecast)}",
        *_missed(forecast),
        *(line for target in forecast.targets[:MOST_WEIGHED] for line in _standing(target)),
        Section("limits", limits),
    ]


def _star(forecast: MetricForecast) -> str:
    """What the star beside a route says, where there is one."""
    if not any(len(target.routes) > 1 for target in forecast.targets):
        return ""
    why = "missed hidden runs by less" if forecast.backtests else "answers, untested"
    return f"; the route with a star {why}"


def _missed(forecast: MetricForecast) -> list[str]:
    if not forecast.backtests:
        return []
    many = counted(forecast.backtests, "backtest")
    return [f"missed by: on average, in {many}, as far ahead as the target"]


def _standing(target: MetricTarget) -> list[str]:
    """Where a target lies, and what each route is made of."""
    label = target_label(target.at)
    parts = [
        f"{route} = " + ", ".join(f"{name} {weight:.0%}" for name, weight in one.weights.items())
        for route, one in target.routes.items()
    ]
    return ["", f"{label}: {target.decades_beyond:.2f} decades beyond the runs", *parts]


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
