"""Figures to point at: Plotly in the report's colours, drawn by the browser without the network.

Names of runs are written into hovers, where Plotly reads tags: `named` keeps them text.
"""

import html
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from scaling.columns import COLUMNS, label, loss_label
from scaling.tables.notes import printable

# those of `analysis.plots.style`, which draws the report's figures
MEASURED = "#0072B2"
FITTED = "#222222"
FORECAST = "#D55E00"
ROUGH = "#F0B48A"
HELD_OUT = "#009E73"
ASKED = "#CC79A7"
MUTED = "#777777"
BAND = "rgba(213, 94, 0, .18)"
_GRID = "#e4e4e4"
_CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "showTips": False,
}
_IMAGE = {"format": "png", "scale": 2}


def axis_title(column: str) -> str:
    """The title of an axis of this column."""
    text = label(column) if column in COLUMNS else column
    return named(text[:1].upper() + text[1:])


def loss_title(loss_kind: str) -> str:
    """The title of an axis of losses."""
    text = loss_label(loss_kind)
    return named(text[:1].upper() + text[1:])


def figure(
    *, x: str, y: str, x_log: bool = True, y_log: bool = True, height: int = 420
) -> go.Figure:
    """An empty figure with titled axes; traces are added to it."""
    axis: dict[str, Any] = {
        "gridcolor": _GRID,
        "linecolor": "#444444",
        "ticks": "outside",
        "zeroline": False,
        "automargin": True,
    }
    power = {"exponentformat": "power"} | ({"dtick": 1} if x_log else {})
    log_y = {"exponentformat": "none", "nticks": 8} if y_log else {}
    return go.Figure(
        layout={
            "height": height,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "font": {"color": "#222222", "size": 13, "family": "sans-serif"},
            "hoverlabel": {"align": "left"},
            "hovermode": "closest",
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
            "uirevision": "kept",  # so that a zoom stays while data arrive
            "xaxis": {**axis, "title": x, "type": "log" if x_log else "linear", **power},
            "yaxis": {**axis, "title": y, "type": "log" if y_log else "linear", **log_y},
        }
    )


def named(name: object) -> str:
    """A name as it may stand in a hover, a legend or a title: no tag, no template, not endless."""
    text = html.escape(printable(name, 80))
    return text.replace("%{", "% {").replace("$", "&#36;")


def names(values: Iterable[object]) -> list[str]:
    """Names for the hovers of many points."""
    return [named(value) for value in values]


def show(drawn: go.Figure, name: str, alt: str) -> None:
    """Draw a figure where the page stands; ``name`` keeps its zoom while data arrive."""
    drawn.update_layout(uirevision=name)
    config = {**_CONFIG, "toImageButtonOptions": {**_IMAGE, "filename": name}}
    st.plotly_chart(drawn, theme=None, key=f"figure {name}", config=config, alt=alt)
