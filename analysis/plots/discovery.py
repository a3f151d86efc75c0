"""How found laws did where runs were hidden: every hidden run with its interval, and every form."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.discovery.result import Discovery
from analysis.plots.style import (
    FITTED,
    FORECAST,
    MANY_POINTS,
    MEASURED,
    MUTED,
    axes_or_new,
    figure_style,
    legend_above,
    name_in_figure,
    percent_axis,
    save_figure,
    shades,
)
from analysis.text.numbers import TIMES
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.words import counted

INSIDE = "inside"  # the place that is no direction, as the errors of forms call it
_BAND = 0.8  # of a row's height that its marks take up
#: Most runs of a row, and then the size of a mark and the width of a line.
_LOOKS = ((30, 30.0, 1.4), (150, 14.0, 0.9), (500, 6.0, 0.5), (10**9, 4.0, 0.25))
_LETTERS = 26  # of a name on one line
_LOW = 0.6  # inches of a row, below which its name has one line
_FAR = 3.0  # times the error or interval's end that nine in ten are below: the end of the axis


def save_discovery_figure(found: Discovery, path: str | Path) -> None:
    """Errors of hidden runs and of forms side by side, a row each place where runs were hidden, as
    SVG, PNG or PDF.

    Raises ConfigError for another ending, and where the file cannot be written; FitError where no
    law is claimed.
    """
    _require_a_law(found)
    with figure_style():
        figure = Figure(figsize=(12.5, _height(found)))
        runs, forms = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        plot_form_errors(found, ax=forms)
        plot_hidden_runs(found, ax=runs)  # last: both have its rows' names
        forms.tick_params(labelleft=False)
        save_figure(figure, path)


def plot_hidden_runs(found: Discovery, *, ax: Axes | None = None) -> Axes:
    """Error of what all forms together said of every hidden run, with its 90% interval, a row each
    place where runs were hidden: the further down in the row, the further beyond the runs kept.

    Right of zero: predicted too high. A run that was hidden several times stands several times; one
    whose error is off the axis is a triangle at its end. Raises FitError where no law is claimed.
    """
    _require_a_law(found)
    ax = axes_or_new(ax, _height(found))
    runs = _in_rows(found)
    inside = (runs["low"] <= 0) & (runs["high"] >= 0)
    left, right = _ends_of_axis(runs)
    ax.axvline(0, color=MUTED, lw=1, zorder=1)
    kinds = ((inside, MEASURED, "o", "inside"), (~inside, FORECAST, "X", "outside"))
    for which, colour, marker, where in kinds:
        for _, own in runs[which].groupby("size"):
            _draw_runs(ax, own, (left, right), colour, marker)
        if which.any():
            label = f"measured {where} ({int(which.sum()):,})"
            ax.scatter([], [], s=30, color=colour, marker=marker, label=label)
    ax.set_xlim(left, right)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    _label_rows(ax, found, runs)
    if found.errors_are == "relative":
        percent_axis(ax.xaxis)
    order = "(downwards in a row: further out)"
    ax.set_xlabel("\n".join(filter(None, ["Predicted above measured", _unit(found), order])))
    legend_above(ax, title=_of_the_intervals(found))
    return ax


def plot_form_errors(found: Discovery, *, ax: Axes | None = None) -> Axes:
    """Root mean square error of each form, a row each place where runs were hidden; forms go by
    their number in the ranking, the first at the top and darkest.

    Raises FitError where no law is claimed.
    """
    _require_a_law(found)
    ax = axes_or_new(ax, _height(found))
    count, places = len(found.forms), _places(found)
    lanes = _lanes(count)
    scale = _scale(found)
    for number, colour in enumerate(reversed(shades(count))):
        form = found.forms[number]
        errors = [scale * form.errors[place] for place in places]
        y = np.arange(len(places)) + lanes[number]
        label = f"{number + 1}: {form.weight:.0%}"
        marks: dict[str, Any] = {"color": colour, "zorder": 3, "clip_on": False}
        ax.scatter(errors, y, s=75, edgecolors="white", label=label, **marks)
        on_mark = "white" if number < max(count / 2, 1) else FITTED
        told: dict[str, Any] = {"fontsize": 7, "zorder": 4, "color": on_mark}
        for error, row in zip(errors, y, strict=True):
            ax.text(error, row, str(number + 1), ha="center", va="center_baseline", **told)
    ax.set_xlim(0, 1.05 * ax.get_xlim()[1])
    _label_rows(ax, found, None)
    if found.errors_are == "relative":
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}%"))
    ax.set_xlabel("\n".join(filter(None, ["Root mean square error of each form", _unit(found)])))
    legend_above(ax, title="forms in the order of the ranking, and their weights", ncols=4)
    return ax


def _require_a_law(found: Discovery) -> None:
    if not found.claimed:
        raise FitError(f"{found.source}: no law is claimed, so that there is nothing to draw")


def _places(found: Discovery) -> list[str]:
    return list(found.forms[0].errors)


def _height(found: Discovery) -> float:
    """Inches in which every row has room for its name and every form of it for its number."""
    return 2.1 + max(0.9, 0.17 * len(found.forms)) * len(_places(found))


def _scale(found: Discovery) -> float:
    return 100.0 if found.errors_are == "relative" else 1.0


def _lanes(count: int) -> FloatArray:
    """Where ``count`` marks of a row stand about its middle."""
    return np.linspace(-1, 1, count) * _BAND / 2 * (1 if count > 2 else 0.4) * (count > 1)


def _in_rows(found: Discovery) -> pd.DataFrame:
    """Hidden runs with their errors as they are drawn: y, error, low, high, and the size of the
    mark and the width of the line."""
    told = found.hidden_frame()
    errors = told[["error", "error_low_90", "error_high_90"]].astype(np.float64) * _scale(found)
    errors.columns = pd.Index(["error", "low", "high"])
    finite = np.isfinite(errors).all(axis=1)
    errors = errors.assign(place=told["along"].replace("", INSIDE))
    errors = errors.assign(beyond=told["beyond"], measured=told["measured"])[finite]
    rows = []
    for number, place in enumerate(_places(found)):
        own = errors[errors["place"] == place].sort_values(["beyond", "measured"])
        _, size, width = next(look for look in _LOOKS if len(own) <= look[0])
        rows.append(own.assign(y=number + _lanes(len(own)), size=size, width=width))
    return pd.concat(rows, ignore_index=True)


def _ends_of_axis(runs: pd.DataFrame) -> tuple[float, float]:
    """As far as the errors and their intervals reach, but for a few that would hide the others."""
    ends = runs[["error", "low", "high"]].to_numpy()
    far = _FAR * float(np.quantile(np.abs(ends).max(axis=1), 0.9)) if len(ends) else 1.0
    low, high = (float(np.clip(end, -far, far)) for end in (ends.min(), ends.max()))
    margin = 0.04 * (max(high, 0.0) - min(low, 0.0)) or 1.0
    return min(low, 0.0) - margin, max(high, 0.0) + margin


def _draw_runs(
    ax: Axes, runs: pd.DataFrame, ends: tuple[float, float], colour: str, marker: str
) -> None:
    """Marks and intervals of one size; a mark beyond the ends of the axis is a triangle there."""
    (size, width), left, right = runs[["size", "width"]].iloc[0], *ends
    many = len(runs) > MANY_POINTS
    style: dict[str, Any] = {"color": colour, "rasterized": many}
    ax.hlines(runs["y"], runs["low"], runs["high"], alpha=0.3, lw=width, zorder=2, **style)
    style |= {"s": size, "linewidths": 0.4, "edgecolors": "white", "zorder": 3, "clip_on": False}
    below, above = runs["error"] < left, runs["error"] > right
    for some, shape in ((~below & ~above, marker), (below, "<"), (above, ">")):
        if some.any():
            at = runs["error"][some].clip(left, right)
            ax.scatter(at, runs["y"][some], marker=shape, **style)


def _label_rows(ax: Axes, found: Discovery, runs: pd.DataFrame | None) -> None:
    """A row each place, its name and, of ``runs`` and where there is room, how many predictions
    stand in it."""
    places, labels = _places(found), []
    is_low = ax.bbox.height / ax.figure.dpi < _LOW * len(places)
    for place in places:
        most = _LETTERS if is_low else 2 * _LETTERS
        name = "inside the data" if place == INSIDE else name_in_figure(place, most, width=_LETTERS)
        if runs is not None and not is_low:
            name += f"\n{counted(int((runs['place'] == place).sum()), 'prediction')}"
        labels.append(name)
    ax.set_yticks(range(len(places)), labels)
    ax.set_ylim(len(places) - 0.45, -0.55)
    ax.grid(visible=False, axis="y")
    for edge in range(1, len(places)):
        ax.axhline(edge - 0.5, color="#e4e4e4", lw=0.7, zorder=0)
    if runs is not None:
        ax.set_ylabel("Where runs were hidden")


def _unit(found: Discovery) -> str:
    """In which errors are, where percent does not say it."""
    name = name_in_figure(found.target, 28)
    return "" if found.errors_are == "relative" else f"(standard deviations of {name})"


def _of_the_intervals(found: Discovery) -> str:
    """That what the intervals hold is no evidence, and what is drawn of a large table."""
    said = f"90% intervals, stretched {TIMES} {found.stretch:.3g} on these same runs:\n"
    said += "how often they hold is no evidence"
    told, hidden = (
        sum(len(block.rows) for block in found.hidden_runs),
        sum(block.count for block in found.hidden_runs),
    )
    return said if told == hidden else f"{said}; {told:,} of {counted(hidden, 'prediction')}"
