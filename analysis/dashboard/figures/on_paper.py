"""A figure of a page as Matplotlib draws it, for files: the same traces, axes and legend.

Where the report has a figure of its own (`analysis.plots`), that is what pages offer; this is for
those that only pages have.
"""

import html
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from analysis.plots.style import legend_above, loss_axis, size_axis
from scaling.arrays import FloatArray

MARKERS = {
    "circle": "o",
    "square": "s",
    "square-open": "s",
    "diamond": "D",
    "star": "*",
    "x": "x",
}
LINES = {"dash": "--", "dot": ":", "solid": "-"}
_TAG = re.compile("<[^>]*>")
_RGBA = re.compile(r"rgba?\(([^)]*)\)")


def draw_on(drawn: go.Figure, ax: Axes) -> Axes:
    """The traces of a page's figure on Matplotlib's Axes: points, lines, bands and error bars."""
    named: set[str] = set()
    for trace in drawn.data:
        label = _text(trace.name) if trace.showlegend is not False else ""
        _trace(ax, trace, "" if label in named else label)
        named.add(label)
    for shape in drawn.layout.shapes:
        where, line = (ax.axhline, shape.y0) if shape.y0 == shape.y1 else (ax.axvline, shape.x0)
        where(line, color=shape.line.color, lw=shape.line.width or 1, ls=_dash(shape.line.dash))
    _axis(ax, "x", drawn.layout.xaxis)
    _axis(ax, "y", drawn.layout.yaxis)
    if any(named):
        legend_above(ax)
    return ax


def _trace(ax: Axes, trace: Any, label: str) -> None:
    x, y = (_values(values) for values in (trace.x, trace.y))
    label = label or "_nolegend_"
    opacity = 1.0 if trace.opacity is None else trace.opacity
    if trace.fill == "toself":
        ax.fill(x, y, color=_colour(trace.fillcolor or trace.line.color, 0.25), label=label)
        return
    mode = trace.mode or "lines"
    across, up = _bars(trace.error_x), _bars(trace.error_y)
    if across is not None or up is not None:
        colour = _colour(trace.marker.color or trace.line.color)
        ax.errorbar(x, y, xerr=across, yerr=up, fmt="none", ecolor=colour, alpha=0.45, lw=2)
    if "lines" in mode:
        how = {"color": _colour(trace.line.color), "ls": _dash(trace.line.dash), "alpha": opacity}
        ax.plot(x, y, lw=0.8 * (trace.line.width or 2), **how, label=label)
        label = "_nolegend_"
    if "markers" in mode:
        sizes = np.array(trace.marker.size if trace.marker.size is not None else 6, np.float64)
        marker = MARKERS.get(trace.marker.symbol or "circle", "o")
        colour = _colour(trace.marker.color or trace.line.color)
        is_open = str(trace.marker.symbol).endswith("-open")
        paint: dict[str, Any] = {"facecolors": "none", "edgecolors": colour} if is_open else {}
        paint = paint or {"color": colour}
        alpha = 1.0 if trace.marker.opacity is None else trace.marker.opacity
        ax.scatter(x, y, s=(0.75 * sizes) ** 2, marker=marker, alpha=alpha, label=label, **paint)


def _values(values: Any) -> Any:
    """Numbers as numbers; names stay names."""
    listed = np.asarray([] if values is None else values)
    if listed.dtype.kind in "OUS" and any(isinstance(one, str) for one in listed):
        return [_text(one) for one in listed]
    return listed.astype(np.float64)


def _bars(error: Any) -> FloatArray | None:
    if error.array is None:
        return None
    low = error.array if error.arrayminus is None else error.arrayminus
    return np.array([low, error.array], np.float64)


def _axis(ax: Axes, name: str, axis: Any) -> None:
    title = _text(axis.title.text)
    (ax.set_xlabel if name == "x" else ax.set_ylabel)(title)
    if axis.type != "log":
        return
    (ax.set_xscale if name == "x" else ax.set_yscale)("log")
    low, high = sorted((ax.get_xlim if name == "x" else ax.get_ylim)())
    if name == "x" and low > 0:
        size_axis(ax, "", [low, high])
    elif np.log10(high / low) < 1:
        loss_axis(ax)
    if axis.ticktext:
        ticks(ax, name, axis.tickvals, axis.ticktext)
    elif name == "x" and np.log10(high / low) < 1:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def ticks(ax: Axes, name: str, places: Sequence[float], texts: Sequence[str]) -> None:
    """These ticks and no others."""
    axis = ax.xaxis if name == "x" else ax.yaxis
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_ticks(list(places), labels=list(texts))


def _text(named: Any) -> str:
    """A name without what was written for a browser, and no formula to Matplotlib either."""
    return html.unescape(_TAG.sub("", str(named or ""))).replace("$", r"\$")


def _dash(dash: str | None) -> str:
    return LINES.get(dash or "solid", "-")


def _colour(colour: str | None, opacity: float | None = None) -> Any:
    """A colour of a browser as one of Matplotlib."""
    found = _RGBA.match(colour or "")
    if found is None:
        rgb = to_rgb(colour or "#777777")
        return rgb if opacity is None else (*rgb, opacity)
    red, green, blue, *rest = (float(part) for part in found.group(1).split(","))
    rgb = (red / 255, green / 255, blue / 255)
    return to_rgba(rgb, rest[0] if rest else opacity)
