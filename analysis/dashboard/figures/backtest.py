"""Errors of backtests by their distance, as `analysis.plots.backtest` draws them."""

import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.evaluation.backtest import Backtest

# bars are many: pale enough to see the points
_INSIDE, _OUTSIDE = "rgba(0, 114, 178, .25)", "rgba(213, 94, 0, .45)"


def errors_figure(scored: Backtest, *, at: float | None = None) -> go.Figure:
    """The error of every hidden run with its 90% interval; ``at`` is the distance of a target."""
    table = scored.to_frame()
    drawn = charts.figure(
        x="Decades beyond the runs kept",
        y="Error of the prediction (%)",
        x_log=False,
        y_log=False,
        height=340,
    )
    drawn.add_hline(0, line={"color": charts.MUTED, "width": 1})
    ends = {end: 100 * (table[f"{end}_90"] / table["measured"] - 1) for end in ("low", "high")}
    for inside, colour, bar, symbol, name in (
        (True, charts.MEASURED, _INSIDE, "circle", "measured loss inside the 90% interval"),
        (False, charts.FORECAST, _OUTSIDE, "x", "measured loss outside it"),
    ):
        own = table["inside"].astype(bool) == inside
        if not own.any():
            continue
        error = table["error_percent"][own]
        drawn.add_trace(
            go.Scatter(
                x=table["decades_beyond"][own],
                y=error,
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 7},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": ends["high"][own] - error,
                    "arrayminus": error - ends["low"][own],
                    "thickness": 1.6,
                    "color": bar,
                    "width": 0,
                },
                customdata=table[["predicted", "measured"]][own].to_numpy(),
                hovertemplate="predicted %{customdata[0]:.4g}, measured %{customdata[1]:.4g}: "
                "%{y:+.2f}%<extra></extra>",
            )
        )
    if at:
        drawn.add_vline(
            at,
            line={"color": charts.ASKED, "dash": "dash"},
            annotation={"text": "asked for", "font": {"size": 11}},
        )
    return drawn
