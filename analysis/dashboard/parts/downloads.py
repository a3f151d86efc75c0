"""What a page offers to take away: figures as the report draws them, tables, answers as JSON."""

import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.style import figure_style

SIZE_INCHES = (6.4, 4.3)


def offer(
    name: str,
    *,
    draw: Callable[[Axes], object] | None = None,
    table: pd.DataFrame | None = None,
    document: Callable[[], str] | None = None,
    report: Callable[[], str] | None = None,
) -> None:
    """A row of buttons: the figure (PNG, SVG), the table (CSV), the answer (JSON), the report
    (HTML).

    ``draw`` is a function of `analysis.plots` on Axes. A file is made when its button is pressed.
    """
    with st.container(horizontal=True):
        if draw is not None:
            for ending in ("png", "svg"):
                _button(name, ending, _Drawn(draw, ending))
        if table is not None:
            _button(name, "csv", lambda: table.to_csv(index=False).encode())
        if document is not None:
            _button(name, "json", lambda: document().encode())
        if report is not None:
            _button("report", "html", lambda: report().encode(), label="Report")


class _Drawn:
    """A figure as the bytes of a file, drawn when asked for."""

    def __init__(self, draw: Callable[[Axes], object], ending: str) -> None:
        self._draw, self._ending = draw, ending

    def __call__(self) -> bytes:
        with figure_style():
            figure = Figure(figsize=SIZE_INCHES, layout="constrained")
            self._draw(figure.subplots())
            written = io.BytesIO()
            how: dict[str, Any] = {"metadata": {"Date": None}} if self._ending == "svg" else {}
            figure.savefig(written, format=self._ending, dpi=150, **how)
        return written.getvalue()


_MIME = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "csv": "text/csv",
    "json": "application/json",
    "html": "text/html",
}


def _button(name: str, ending: str, made: Callable[[], bytes], label: str = "") -> None:
    st.download_button(
        label or ending.upper(),
        data=made,
        file_name=f"{name}.{ending}",
        mime=_MIME[ending],
        key=f"download {name} {ending}",
        on_click="ignore",
        icon=":material/download:",
    )
