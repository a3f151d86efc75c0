"""A metric of runs against compute, with its forecast by both routes."""

import numpy as np
from matplotlib.axes import Axes

from analysis.capabilities.metrics import metric_of
from analysis.capabilities.result import MetricForecast
from analysis.capabilities.routes import DIRECTLY, THROUGH
from analysis.intervals import LEVEL
from analysis.plots.style import (
    ASKED,
    FORECAST,
    MEASURED,
    axes_or_new,
    axis_label,
    legend_above,
    name_in_figure,
    size_axis,
)
from scaling.errors import ForecastError

COLOURS = {THROUGH: FORECAST, DIRECTLY: ASKED}
PLACES = {THROUGH: 1 / 1.06, DIRECTLY: 1.06}  # the two routes of a target beside each other


def plot_metric(forecast: MetricForecast, *, ax: Axes | None = None) -> Axes:
    """The runs' values against compute, and at each target the median and the widest interval up to
    90% of both routes: bold of the one that answers, thin of the other.

    A target without a median has its intervals alone. Raises ForecastError of a forecast that was
    read from a file: its runs are gone.
    """
    if forecast.records is None:
        raise ForecastError("the forecast has no runs to draw; make it anew from its table")
    ax, better = axes_or_new(ax), "higher" if forecast.best else "lower"
    values = metric_of(forecast.records, forecast.metric, better).values
    compute = forecast.records.column("train_flops")
    known = np.isfinite(values) & np.isfinite(compute) & (compute > 0)
    ax.scatter(compute[known], values[known], s=30, color=MEASURED, label="runs", zorder=3)
    drawn = [*compute[known]]
    labelled: set[str] = set()
    for target in forecast.targets:
        for route, answer in target.routes.items():
            answers, at = route == target.route, target.at["train_flops"] * PLACES[route]
            level = max((one for one in answer.intervals if one <= LEVEL), default=LEVEL)
            low, high = answer.intervals.get(level) or next(iter(answer.intervals.values()))
            colour, width = COLOURS[route], 2.5 if answers else 1.0
            label = "" if route in labelled else f"forecast {route}, {100 * level:g}% interval"
            labelled.add(route)
            ax.plot([at, at], [low, high], color=colour, lw=width, label=label, zorder=4)
            if answer.median is not None:
                inside = colour if answers else "white"
                ax.plot([at], [answer.median], "D", color=colour, mfc=inside, ms=5, zorder=5)
            drawn.append(at)
    size_axis(ax, "train_flops", drawn)
    ax.set_xlabel(axis_label("train_flops"))
    ax.set_ylabel(name_in_figure(forecast.metric, 56, width=28))
    legend_above(ax, ncols=1)
    return ax
