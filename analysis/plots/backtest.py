"""How past forecasts would have turned out: errors and coverage by distance beyond the data."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.evaluation.backtest import Backtest
from analysis.plots.style import (
    FORECAST,
    MEASURED,
    MUTED,
    axes_or_new,
    figure_style,
    legend_above,
    percent_axis,
    save_figure,
    shades,
)
from scaling.arrays import FloatArray

DISTANCE = "Distance beyond the runs that were kept (decades)"


def save_backtest_figure(backtest: Backtest, path: str | Path) -> None:
    """Errors by distance and promised against found coverage, side by side, as SVG, PNG or PDF.

    Raises ConfigError for another ending, and where the file cannot be written.
    """
    with figure_style():
        figure = Figure(figsize=(12.5, 5.0))
        errors, coverage = figure.subplots(1, 2)
        plot_backtest_errors(backtest, ax=errors)
        plot_backtest_coverage(backtest, ax=coverage)
        save_figure(figure, path)


def plot_backtest_errors(backtest: Backtest, *, ax: Axes | None = None) -> Axes:
    """Error of every hidden run's prediction against its distance, with its 90% interval.

    Above zero: predicted too high. An interval that misses the zero line did not contain the
    measured loss; those are drawn in another colour and with a cross.
    """
    ax = axes_or_new(ax)
    runs = backtest.predictions
    measured = np.array([p.measured for p in runs])
    distance = _side_by_side(np.array([p.decades_beyond for p in runs]))
    error, low, high = (
        100 * (np.array([getattr(p, name) for p in runs]) / measured - 1)
        for name in ("predicted", "low_90", "high_90")
    )
    inside = (low <= 0) & (high >= 0)
    ax.axhline(0, color=MUTED, lw=1, zorder=1)
    kinds = ((inside, MEASURED, "o", "inside"), (~inside, FORECAST, "X", "outside"))
    for which, colour, marker, name in kinds:
        if which.any():
            ax.vlines(
                distance[which], low[which], high[which], color=colour, alpha=0.25, lw=1.6, zorder=2
            )
            ax.scatter(
                distance[which],
                error[which],
                s=34,
                color=colour,
                marker=marker,
                edgecolors="white",
                linewidths=0.5,
                zorder=3,
                label=f"measured loss {name} the 90% interval",
            )
    percent_axis(ax.yaxis)
    ax.set_xlabel(DISTANCE)
    ax.set_ylabel("Predicted above measured loss")
    ax.set_xlim(0, 1.06 * distance.max())
    legend_above(ax, ncols=1)
    return ax


def _side_by_side(distance: FloatArray) -> FloatArray:
    """Runs at one distance, moved apart by up to 2% of the axis, so that no bar hides another."""
    moved = distance.copy()
    for value in np.unique(distance.round(3)):
        own = np.flatnonzero(distance.round(3) == value)
        if len(own) > 1:
            moved[own] += np.linspace(-0.02, 0.02, len(own)) * distance.max()
    return moved


def plot_backtest_coverage(backtest: Backtest, *, ax: Axes | None = None) -> Axes:
    """Share of hidden runs inside their intervals against the share promised, by distance.

    On the diagonal, intervals are right as often as they say; below it they promise too much.
    """
    ax = axes_or_new(ax)
    ax.plot([0, 100], [0, 100], color=MUTED, lw=1, ls="--", zorder=1, label="as often as promised")
    bands = backtest.by_distance
    for colour, band in zip(shades(len(bands)), bands, strict=True):
        levels = sorted(band.score.coverage)
        ax.plot(
            [100 * level for level in levels],
            [100 * band.score.coverage[level] for level in levels],
            marker="o",
            ms=5,
            lw=1.4,
            color=colour,
            label=f"{band.words} ({band.score.predictions:,})",
        )
    levels = sorted(backtest.overall.coverage)
    ax.plot(
        [100 * level for level in levels],
        [100 * backtest.overall.coverage[level] for level in levels],
        marker="D",
        ms=6,
        lw=0,
        color=FORECAST,
        label=f"all, origins alike ({backtest.overall.predictions:,})",
        zorder=4,
    )
    ax.set_xlim(40, 100)
    ax.set_ylim(-3, 103)
    ax.set_xlabel("Confidence level of the interval (%)")
    ax.set_ylabel("Hidden runs inside it (%)")
    legend_above(ax, title="distance (hidden runs predicted)")
    return ax
