"""The best model size, and the tokens for it, budget by budget."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.dashboard.figures.ticks import fit_ticks
from analysis.decisions.optimal_split import OptimalSplit
from analysis.intervals import interval_at


def sizes_figure(
    splits: Sequence[OptimalSplit], asked: OptimalSplit | None, *, level: float
) -> go.Figure:
    """Best params and tokens with their ranges, as far as they are supported; and the asked one."""
    drawn = charts.figure(
        x=charts.axis_title("train_flops"), y="Best size N and tokens D", height=360
    )
    known = [split for split in splits if split.supported]
    sizes = [value or np.nan for split in known for value in (split.params, split.tokens)]
    fit_ticks(drawn, x=[split.budget for split in known], y=sizes)
    for column, colour, name in (
        ("params", charts.MEASURED, "parameters N"),
        ("tokens", charts.HELD_OUT, "training tokens D"),
    ):
        ends = [interval_at(getattr(split, f"{column}_range"), level) for split in known]
        where = [split.budget for split in known]
        drawn.add_trace(
            go.Scatter(
                x=[*where, *where[::-1]],
                y=[*(e.low for e in ends), *(e.high for e in ends[::-1])],
                fill="toself",
                mode="lines",
                line={"width": 0, "color": colour},
                opacity=0.25,
                name=f"{name}, {100 * level:g}% interval",
                hoverinfo="skip",
            )
        )
        drawn.add_trace(
            go.Scatter(
                x=where,
                y=[getattr(split, column) for split in known],
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": 2},
                hovertemplate="%{y:.3s} at %{x:.3g} FLOP<extra></extra>",
            )
        )
    if asked is not None and asked.params is not None:
        drawn.add_trace(
            go.Scatter(
                x=[asked.budget, asked.budget],
                y=[asked.params, asked.tokens],
                mode="markers",
                name="asked for",
                marker={"color": charts.ASKED, "size": 11, "symbol": "square"},
                hovertemplate="%{y:.3s}<extra></extra>",
            )
        )
    return drawn
