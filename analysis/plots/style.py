"""How all figures look: colours that colour-blind readers can tell apart, and ticks to read."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)

from analysis.display import DrawnResult
from analysis.text.numbers import MINUS, count_in_words
from scaling.arrays import FloatArray
from scaling.columns import COLUMNS, label, loss_label
from scaling.errors import ConfigError
from scaling.tables.notes import printable

# Okabe and Ito's palette, which keeps apart under the common colour-vision deficiencies
MEASURED = "#0072B2"
FITTED = "#222222"
FORECAST = "#D55E00"
ROUGH = "#F0B48A"  # FORECAST made pale: what is no more than an order of magnitude
HELD_OUT = "#009E73"
ASKED = "#CC79A7"
MUTED = "#777777"

ENDINGS = (".svg", ".png", ".pdf")
_NO_DATE = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # the same file each time
MANY_POINTS = 2000  # more are drawn as one picture inside the SVG, which would grow by megabytes

Colour = tuple[float, float, float]


@contextmanager
def figure_style() -> Iterator[None]:
    """Sizes and grid of all figures, for the figures made inside the block."""
    quiet: dict[str, Any] = {
        "axes.edgecolor": "#444444",
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "figure.constrained_layout.use": True,
        "grid.color": "#e4e4e4",
        "grid.linewidth": 0.7,
        "legend.fontsize": 9.5,
        "legend.title_fontsize": 9.5,
        "legend.frameon": True,
        "legend.framealpha": 0.9,
        "legend.edgecolor": "#ffffff",
        "svg.hashsalt": "scaling",  # the same figure is the same file
    }
    base, sizes = sns.axes_style("ticks"), sns.plotting_context("notebook", font_scale=0.95)
    settings: dict[Any, Any] = base | sizes | quiet
    with plt.rc_context(settings):
        yield


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure in the form that its ending names, one of ENDINGS, with the folders above it.

    Raises ConfigError for another ending, and where the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{target}: no figure of that kind; end it in {', '.join(ENDINGS)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, dpi=150, metadata=_NO_DATE.get(target.suffix.lower()))
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror})") from error


def save_plot(result: DrawnResult, path: str | Path) -> None:
    """The figure of a result that has one Axes, as `save_figure` writes it."""
    with figure_style():
        figure = Figure(figsize=(6.4, 4.4))
        result.plot(figure.subplots())
        save_figure(figure, path)


def axes_or_new(ax: Axes | None, height: float = 4.3) -> Axes:
    """The given Axes, or those of a new figure of so many inches."""
    if ax is not None:
        return ax
    with figure_style():
        return plt.subplots(figsize=(6.4, height))[1]


def shades(count: int) -> list[Colour]:
    """``count`` colours from light to dark, for an ordered quantity; one alone is neither."""
    palette = sns.color_palette("viridis_r", as_cmap=True)
    places = np.linspace(0.18, 0.95, count) if count > 1 else [0.65]
    return [tuple(palette(v)[:3]) for v in places]


def draw_runs(ax: Axes, x: FloatArray, y: FloatArray, colour: Colour, name: str) -> None:
    """The runs of one colour: dots with a white rim, so that those that overlap are told apart."""
    ax.scatter(x, y, s=30, color=colour, edgecolors="white", linewidths=0.5, zorder=3, label=name)


def draw_others(ax: Axes, x: FloatArray, y: FloatArray) -> None:
    """The runs that have no colour of their own, as small grey dots; nothing where there are
    none."""
    if len(x):
        ax.scatter(x, y, s=12, color=MUTED, alpha=0.35, lw=0, label="other")


def label_axes(ax: Axes, x: str, loss_kind: str) -> None:
    """Axis labels of a figure of losses, from the columns, so that no axis drifts from the code."""
    ax.set_xlabel(axis_label(x))
    text = name_in_figure(loss_label(loss_kind), 60, width=34)
    ax.set_ylabel(text[:1].upper() + text[1:])


def axis_label(column: str) -> str:
    """The label of a column with its first letter large."""
    text = label(column)
    return text[:1].upper() + text[1:] if column in COLUMNS else name_in_figure(column)


def name_in_figure(name: object, most: int = 40, *, width: int | None = None) -> str:
    """A name from somebody's table as text of a figure: not endless, in lines of ``width`` letters,
    and no formula where it has dollar signs."""
    text = printable(name, most)
    lines = textwrap.wrap(text, width) if width else [text]
    return "\n".join(lines).replace("$", r"\$")


def legend_above(ax: Axes, *, title: str = "", ncols: int = 2) -> None:
    """The legend above the axes: inside them it would hide a point or a line sooner or later.

    Of a figure of ours with these axes alone it is the figure's legend, and as wide as that.
    """
    how: dict[str, Any] = {"ncols": ncols, "alignment": "left", "columnspacing": 1.2}
    how |= {"frameon": False}  # nothing lies behind it
    how |= {"title": title} if title else {}
    figure = ax.get_figure()
    if figure is not None and len(figure.axes) == 1 and _leaves_room(figure):
        figure.legend(loc="outside upper left", **how)
    else:
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), **how)


def _leaves_room(figure: Figure | SubFigure) -> bool:
    """Whether the figure makes room for what stands outside its axes."""
    return isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)


def loss_axis(ax: Axes) -> None:
    """A logarithmic loss axis that is ticked at round numbers, not at powers of ten, over what is
    drawn already."""
    low, high = ax.dataLim.intervaly
    if 0 < low <= high < 1.001 * low:  # one loss, about which an axis would reach over a decade
        ax.set_ylim(low / 1.05, high * 1.05)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_locator(NullLocator())


def size_axis(ax: Axes, column: str, values: Sequence[float] | npt.NDArray[np.float64]) -> None:
    """A logarithmic x axis over ``values``: powers of ten, or more ticks where it is short."""
    low, high = float(np.min(values)), float(np.max(values))
    if high / low < 1.001:  # one budget but for rounding, which leaves an axis no width
        ax.set_autoscalex_on(False)
        ax.set_xlim(low / 1.05, high * 1.05)
    ax.set_xscale("log")
    if high / low > 50:
        ax.xaxis.set_major_locator(LogLocator(numticks=10))
        ax.xaxis.set_major_formatter(LogFormatterMathtext())
        ax.xaxis.set_minor_formatter(NullFormatter())
        return
    ticks = _round_ticks(low / 1.05, high * 1.05)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_size(value, column)))
    ax.xaxis.set_minor_locator(NullLocator())


def _round_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, five or so and equally spaced in no scale."""
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        ticks = [step * 10.0**d for d in decades for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            return inside
    return inside or [low, high]


def short_size(value: float, column: str) -> str:
    """A size as a tick: 15k, 1.2M, 70B for counts; a power of ten for FLOP."""
    if column == "train_flops":
        power = int(np.floor(np.log10(value) + 1e-9))
        return rf"${value / 10.0**power:.3g}\times10^{{{power}}}$"
    return count_in_words(value)


def percent_axis(axis: Axis) -> None:
    """Ticks with a percent sign for values that are percentages."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: _signed_percent(value)))


def _signed_percent(value: float) -> str:
    text = f"{value:+.3g}%" if abs(value) > 1e-9 else "0%"
    return text.replace("-", MINUS)
