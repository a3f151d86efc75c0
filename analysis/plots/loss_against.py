"""Loss against compute (or another column): runs, law with its band, forecast, held-out runs."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.evaluation.held_out import HeldOutCheck
from analysis.fitting.result import Fit
from analysis.forecasting.answer.result import Forecast, TargetForecast
from analysis.intervals import LEVEL, Interval, interval_at, interval_columns
from analysis.plots.reference_lines import draw_references
from analysis.plots.style import (
    ASKED,
    FITTED,
    FORECAST,
    HELD_OUT,
    MANY_POINTS,
    MEASURED,
    ROUGH,
    axes_or_new,
    label_axes,
    legend_above,
    loss_axis,
    size_axis,
)
from analysis.tuning.screening import screen
from scaling.errors import ForecastError
from scaling.extra_columns.references import references_of
from scaling.records import Records

GRID_POINTS = 80
FEWEST_FOR_A_LINE = 5  # fewer targets are drawn one by one


def plot_loss_against(
    records: Records,
    *,
    x: str = "train_flops",
    fit: Fit | None = None,
    forecast: Forecast | None = None,
    held_out: HeldOutCheck | None = None,
    asked: Sequence[TargetForecast] = (),
    confidence_level: float = LEVEL,
    ax: Axes | None = None,
) -> Axes:
    """Losses of the usable runs against ``x``, with what was fitted to them and forecast from them.

    ``fit`` is of a law of that one column; its band is the uncertainty of the law. The range of
    ``forecast`` is for a new run. Both at ``confidence_level``. The line of the forecast ends at
    the last target that the runs support; beyond it a hatched range is an order of magnitude.
    ``asked`` are targets to be marked one by one, those that are supported. What the losses are
    held against (`scaling.extra_columns.references`) is drawn as dotted lines where it is finite.
    """
    ax = axes_or_new(ax)
    used = screen(records, x)
    shown = [*used.column(x)]
    ax.scatter(
        used.column(x),
        used.column("loss"),
        s=26,
        color=MEASURED,
        alpha=0.75,
        linewidths=0,
        label="runs used by fits",
        zorder=3,
        rasterized=len(used) > MANY_POINTS,
    )
    if fit is not None:
        _draw_law(ax, fit, used, x, confidence_level)
    if forecast is not None:
        shown += _draw_forecast(ax, forecast, x, confidence_level)
    if held_out is not None:
        shown += _draw_held_out(ax, held_out, x)
    shown += _draw_asked(ax, [t for t in asked if t.supported and x in t.at], x, confidence_level)
    loss_axis(ax)
    size_axis(ax, x, shown)
    label_axes(ax, x, records.loss_kind)
    legend_above(ax)
    draw_references(ax, references_of(used))
    return ax


def plot_forecast(forecast: Forecast, *, ax: Axes | None = None) -> Axes:
    """The runs that a forecast was made from, and its targets with their intervals.

    Raises ForecastError for a forecast that was read from a file, which has no runs.
    """
    if forecast.records is None:
        raise ForecastError(
            f"a forecast from {forecast.source} that was read from a file holds no runs to draw; "
            "make it again, or draw with analysis.plots and the records"
        )
    level = min(forecast.targets[0].intervals, key=lambda known: abs(known - LEVEL))
    return plot_loss_against(
        forecast.records, x=_column_of(forecast), forecast=forecast, confidence_level=level, ax=ax
    )


def plot_held_out(check: HeldOutCheck, *, ax: Axes | None = None) -> Axes:
    """The runs behind a forecast, and what the held-out runs measured beside their intervals."""
    x, level = _column_of(check.forecast), check.confidence_level
    return plot_loss_against(check.records, x=x, held_out=check, confidence_level=level, ax=ax)


def _column_of(forecast: Forecast) -> str:
    """What the targets are drawn along: compute, or the one column that they have."""
    at = forecast.targets[0].at
    return "train_flops" if "train_flops" in at else next(iter(at))


def law_line(fit: Fit, used: Records, x: str, confidence_level: float) -> pd.DataFrame:
    """A law of ``x`` along the runs ``used``, as it is drawn: ``x``, loss, and low_90 and high_90
    (by the level) where the fit has a bootstrap."""
    values = used.column(x)
    grid = np.geomspace(values.min(), values.max(), GRID_POINTS)
    line = pd.DataFrame({x: grid, "loss": fit.law.loss(grid)})
    if fit.draws is None:
        return line
    band = Interval(*fit.interval(lambda law: law.loss(grid), confidence_level))
    return line.assign(**interval_columns({confidence_level: band}))


def _draw_law(ax: Axes, fit: Fit, used: Records, x: str, confidence_level: float) -> None:
    line = law_line(fit, used, x, confidence_level)
    grid, loss, *ends = (line[name].to_numpy() for name in line)
    ax.plot(grid, loss, color=FITTED, lw=1.6, label="fitted law", zorder=4)
    if ends:
        low, high = ends
        band = f"law, {100 * confidence_level:g}% band"
        ax.fill_between(grid, low, high, color=FITTED, alpha=0.15, lw=0, label=band, zorder=1)


def _draw_forecast(ax: Axes, forecast: Forecast, x: str, confidence_level: float) -> list[float]:
    """The median with its range as far as targets are supported, and beyond only a pale range."""
    targets = sorted((t for t in forecast.targets if x in t.at), key=lambda t: t.at[x])
    where = [t.at[x] for t in targets]
    medians = [t.median for t in targets]
    supported = np.array([median is not None for median in medians])
    last = int(np.max(np.flatnonzero(supported), initial=-1)) + 1
    level = f"{100 * confidence_level:g}% interval"
    if len(targets) < FEWEST_FOR_A_LINE:
        return _draw_targets(ax, targets, x, confidence_level)
    if last:
        ax.plot(
            where[:last],
            [np.nan if median is None else median for median in medians[:last]],
            color=FORECAST,
            lw=1.8,
            ls=(0, (5, 2)),
            label="forecast",
            zorder=4,
        )
    low, high = np.array([interval_at(t.intervals, confidence_level) for t in targets]).T
    fill = partial(ax.fill_between, where, low, high, lw=0, zorder=1)
    if last:
        fill(where=supported, color=FORECAST, alpha=0.18, label=f"new run, {level}")
    if not supported.all():
        rough = ~supported  # and its neighbours, so that the ranges meet
        rough = rough | np.r_[rough[1:], False] | np.r_[False, rough[:-1]]
        label = f"order of magnitude only, {level}"
        fill(where=rough, facecolor="none", edgecolor=ROUGH, hatch="////", label=label)
    return where


def _draw_targets(
    ax: Axes, targets: list[TargetForecast], x: str, confidence_level: float
) -> list[float]:
    """A few targets, each with its own interval; no mark stands where there is no median."""
    level = f"{100 * confidence_level:g}% interval"
    for is_read, colour, label in (
        (True, FORECAST, f"new run, {level}"),
        (False, ROUGH, f"order of magnitude only, {level}"),
    ):
        own = [target for target in targets if target.supported is is_read]
        if not own:
            continue
        where = [target.at[x] for target in own]
        low, high = np.array([interval_at(t.intervals, confidence_level) for t in own]).T
        bars: dict[str, Any] = {"color": colour, "lw": 1.8, "zorder": 4, "label": label}
        ax.vlines(where, low, high, ls="-" if is_read else ":", **bars)
        if is_read:
            medians = [np.nan if t.median is None else t.median for t in own]
            ax.scatter(where, medians, s=42, color=colour, zorder=5)
    return [target.at[x] for target in targets]


def _draw_asked(
    ax: Axes, targets: list[TargetForecast], x: str, confidence_level: float
) -> list[float]:
    where = [target.at[x] for target in targets]
    if targets:
        low, high = np.array([interval_at(t.intervals, confidence_level) for t in targets]).T
        medians = [np.nan if t.median is None else t.median for t in targets]
        label = f"asked for, {100 * confidence_level:g}% interval"
        ax.vlines(where, low, high, color=ASKED, lw=1.8, zorder=5, label=label)
        ax.scatter(where, medians, s=42, marker="s", color=ASKED, zorder=5)
    return where


def _draw_held_out(ax: Axes, check: HeldOutCheck, x: str) -> list[float]:
    runs = [run for run in check.runs if x in run.at]
    where = [run.at[x] for run in runs]
    ends = np.array([[run.interval.low, run.interval.high] for run in runs]).reshape(-1, 2)
    ax.errorbar(  # the interval alone: no mark stands for a median
        where,
        ends[:, 0],
        yerr=[np.zeros(len(ends)), ends[:, 1] - ends[:, 0]],
        fmt="none",
        ecolor=HELD_OUT,
        elinewidth=1.8,
        capsize=4,
        zorder=5,
        label=f"held-out run, predicted {100 * check.confidence_level:g}%",
    )
    ax.scatter(
        where,
        [run.measured for run in runs],
        marker="D",
        s=48,
        color=HELD_OUT,
        edgecolors="white",
        linewidths=0.8,
        zorder=6,
        label="held-out run, measured",
    )
    return where
