"""The report's figures, drawn by `analysis.plots` and embedded as SVG."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.fitting.result import Fit
from analysis.plots.backtest import plot_backtest_coverage, plot_backtest_errors
from analysis.plots.isoflop import has_isoflop, plot_isoflop
from analysis.plots.loss_against import plot_loss_against
from analysis.plots.loss_curves import plot_loss_curves
from analysis.plots.residuals import plot_residuals
from analysis.plots.style import figure_style
from analysis.report.figure_data import MOST_ROWS, data_behind, data_uri, file_name
from analysis.report.findings import Findings
from analysis.report.summary import x_noun

# as wide as a phone, so that letters are as large there as in `figure_style`
SIZE_INCHES = (5.1, 4.1)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One embedded figure: a data URI, what it shows, what to see in it, and its data."""

    uri: str
    title: str
    caption: str
    data: str = ""  # a data URI of a CSV file; none where there are too many rows
    file: str = ""  # the name to save it by
    rows: int = 0


def draw_figures(findings: Findings) -> dict[str, Picture]:
    """Every figure that these findings support, by name."""
    level = f"{100 * findings.confidence_level:g}%"
    pictures = {
        "loss": _picture(
            lambda ax: _loss(findings, ax),
            f"Loss against {x_noun(findings.x)}",
            _what_is_drawn(findings, level),
        )
    }
    surface = findings.law_of("params", "tokens")
    if findings.x == "train_flops" and has_isoflop(findings.used):
        drawn = "Lines are the fitted law at that budget. " if surface else ""
        pictures["isoflop"] = _picture(
            lambda ax: plot_isoflop(findings.used, fit=surface, ax=ax),
            "Which size at which budget",
            f"One colour is one compute budget, spent on models of different size. {drawn}"
            "The lowest point of a colour is the best size for that budget; where the lowest "
            "point is at an end, the best size may lie outside what was tried.",
        )
    for i, law in enumerate(findings.laws):
        pictures[f"residuals {i}"] = _picture(
            partial(_residuals, law, findings.x),
            f"Residuals of {law.law.name.replace('_', ' ')}",
            "How far each measured loss lies above the fitted one. A curve, or one size that "
            "stays on one side, would say that the law or the training recipe misses something.",
        )
    if findings.backtest is not None:
        scored = findings.backtest
        pictures["errors"] = _picture(
            lambda ax: plot_backtest_errors(scored, ax=ax),
            "Rolling-origin backtest: error by distance",
            "Each point is a run that was hidden, then predicted from smaller ones. Bars are 90% "
            "intervals; a bar that misses the zero line did not contain the measured loss.",
        )
        pictures["coverage"] = _picture(
            lambda ax: plot_backtest_coverage(scored, ax=ax),
            "Rolling-origin backtest: promised and found coverage",
            "On the dashed line intervals are right as often as they say; below it they promise "
            "too much. Hidden runs share their backtest, so few backtests say little.",
        )
    if findings.curves is not None and len(findings.curves):
        curves = findings.curves
        pictures["curves"] = _picture(
            lambda ax: plot_loss_curves(curves, ax=ax),
            "Training curves",
            "One line is one run, darker where it is longer. A spike or a rise is worth a look.",
        )
    tables = data_behind(findings)
    return {name: _with_data(picture, tables[name]) for name, picture in pictures.items()}


def _with_data(picture: Picture, table: pd.DataFrame) -> Picture:
    data = data_uri(table) if len(table) <= MOST_ROWS else ""
    return replace(picture, data=data, file=file_name(picture.title), rows=len(table))


def _what_is_drawn(findings: Findings, level: str) -> str:
    told = ["Points are runs."]
    if findings.law_of(findings.x):
        told.append("The black line is the law fitted to the best of them.")
    supported = [t.supported for t in findings.forecast.targets] if findings.forecast else []
    if any(supported):
        told.append(
            "The dashed line is the forecast; the shaded range around it should hold a new run "
            f"{level} of the time."
        )
    if not all(supported):
        begins = "Where the line ends" if any(supported) else "Beyond the runs"
        told.append(
            f"{begins}, the runs support no number: the hatched range is an order of magnitude."
        )
    return " ".join([*told, "Both axes are logarithmic."])


def _loss(findings: Findings, ax: Axes) -> None:
    law = findings.law_of(findings.x)
    plot_loss_against(
        findings.used,
        x=findings.x,
        fit=law,
        forecast=findings.forecast,
        held_out=findings.held_out,
        confidence_level=findings.confidence_level,
        ax=ax,
    )
    # above the axes: inside so small a figure it would hide the forecast
    if (inside := ax.get_legend()) is not None:
        inside.remove()
    ax.figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)


def _residuals(fit: Fit, x: str, ax: Axes) -> None:
    assert fit.records is not None  # made here, not read from a file
    plot_residuals(fit, fit.records, x=x, ax=ax)


def _picture(draw: Callable[[Axes], object], title: str, caption: str) -> Picture:
    with figure_style():
        figure = Figure(figsize=SIZE_INCHES)
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    # the metadata name web addresses, which are never loaded but which nobody needs either
    svg = re.sub(rb"<metadata>.*?</metadata>", b"", buffer.getvalue(), flags=re.DOTALL)
    encoded = base64.b64encode(svg).decode("ascii")
    return Picture(uri=f"data:image/svg+xml;base64,{encoded}", title=title, caption=caption)
