"""Loss against compute (or another column) of groups of runs, with what each would reach."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import seaborn as sns
from matplotlib.axes import Axes

from analysis.forecasting.answer.result import TargetForecast
from analysis.intervals import LEVEL, interval_at
from analysis.plots.style import (
    MANY_POINTS,
    MUTED,
    axes_or_new,
    label_axes,
    legend_above,
    loss_axis,
    name_in_figure,
    size_axis,
)
from scaling.records import Records
from scaling.words import counted

MOST_COLOURS = 8  # groups that a reader tells apart; more are grey
_LETTERS = 24  # of a group's name


def plot_groups(
    groups: Mapping[str, Records],
    forecasts: Mapping[str, Sequence[TargetForecast]],
    *,
    x: str = "train_flops",
    confidence_level: float = LEVEL,
    ax: Axes | None = None,
) -> Axes:
    """Losses of each group's runs against ``x``, a colour a group, and beside them the forecasts of
    that group that its runs support, with their intervals at ``confidence_level``."""
    ax = axes_or_new(ax)
    shown: list[float] = []
    palette = sns.color_palette("colorblind", MOST_COLOURS)
    for (label, runs), colour in zip_longest([*groups.items()], palette[: len(groups)]):
        named = name_in_figure(label or "runs", _LETTERS)
        shade, legend = (MUTED, "") if colour is None else (colour, named)
        ahead = [(t.at[x], t.median, t) for t in forecasts.get(label, ()) if x in t.at]
        at = [(place, median, t) for place, median, t in ahead if median is not None]
        shown += [*runs.column(x), *(place for place, _, _ in at)]
        many = len(runs) > MANY_POINTS
        ax.scatter(
            runs.column(x),
            runs.column("loss"),
            s=24,
            color=shade,
            alpha=0.75,
            linewidths=0,
            label=legend,
            rasterized=many,
        )
        for place, median, target in at:
            low, high = interval_at(target.intervals, confidence_level)
            ax.vlines(place, low, high, color=shade, lw=1.6, zorder=2)
            ax.plot([place], [median], "D", ms=5, color=shade, zorder=3)
    if (more := len(groups) - MOST_COLOURS) > 0:
        ax.scatter([], [], s=24, color=MUTED, label=counted(more, "other group"))
    loss_axis(ax)
    size_axis(ax, x, shown)
    label_axes(ax, x, next(iter(groups.values())).loss_kind)
    legend_above(ax)
    return ax
