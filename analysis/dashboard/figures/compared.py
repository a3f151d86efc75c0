"""Two recipes: the multiplier of A's compute, and the losses of both."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.dashboard.figures.loss import MANY_POINTS, about_runs
from analysis.dashboard.figures.ticks import fit_ticks
from analysis.decisions.two_recipes.compared import ArmComparison
from analysis.intervals import interval_at
from analysis.text.numbers import flops_in_words
from analysis.tuning.screening import screen
from scaling.records import Records


def multiplier_figure(found: ArmComparison, *, least: float) -> go.Figure:
    """The multiplier against compute: each cell, each rung and each supported target with its
    interval, and the ``least`` multiplier of the gate."""
    drawn = charts.figure(
        x="Training compute of B (FLOP)", y="A's compute to match B, over B's", height=400
    )
    drawn.add_hline(1, line={"color": charts.MUTED, "width": 1.2})
    drawn.update_yaxes(autorangeoptions={"include": [0.95, 1.05, 0.95 * least]})
    if least != 1:
        drawn.add_hline(least, line={"color": charts.HELD_OUT, "width": 1.4, "dash": "dash"})
    drawn.add_trace(
        go.Scatter(
            x=[cell.flops_b for cell in found.cells],
            y=[cell.multiplier for cell in found.cells],
            mode="markers",
            name="cells",
            marker={"color": charts.MUTED, "size": 6, "opacity": 0.6},
            text=[f"A {c.loss_a:.4g}, B {c.loss_b:.4g}" for c in found.cells],
            hovertemplate="%{y:.3g} (%{text})<extra></extra>",
        )
    )
    reached = [cell.flops_b for cell in found.cells]
    fit_ticks(drawn, x=[*reached, *(target.train_flops for target in found.targets)])
    level = found.confidence_level
    rungs = [(r.train_flops, r.multiplier, r.intervals) for r in found.rungs]
    told = [
        (t.train_flops, t.multiplier, t.multiplier_intervals)
        for t in found.targets
        if t.multiplier is not None
    ]
    for name, colour, symbol, points in (
        ("rungs", charts.MEASURED, "circle", rungs),
        ("targets", charts.FORECAST, "diamond", told),
    ):
        if not points:
            continue
        low, high = np.array([interval_at(p[2], level) for p in points], np.float64).T
        middle = np.array([p[1] for p in points], np.float64)
        drawn.add_trace(
            go.Scatter(
                x=[p[0] for p in points],
                y=middle,
                mode="markers",
                name=f"{name}, {100 * level:g}% interval",
                marker={"color": colour, "symbol": symbol, "size": 10},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": high - middle,
                    "arrayminus": middle - low,
                    "thickness": 2.5,
                    "width": 0,
                },
                customdata=np.column_stack([low, high]),
                text=[flops_in_words(p[0], 3) for p in points],
                hovertemplate="%{y:.3g} [%{customdata[0]:.3g}, %{customdata[1]:.3g}] at %{text} "
                "FLOP<extra></extra>",
            )
        )
    return drawn


def arms_figure(a: Records, b: Records) -> go.Figure:
    """The losses of both arms against compute."""
    drawn = charts.figure(
        x=charts.axis_title("train_flops"), y=charts.loss_title(a.loss_kind), height=380
    )
    for records, name, colour, symbol in (
        (a, "A", charts.MEASURED, "circle"),
        (b, "B", charts.FORECAST, "diamond"),
    ):
        used = screen(records, "train_flops")
        fit_ticks(drawn, x=used.column("train_flops"))
        kind: Any = go.Scattergl if len(used) > MANY_POINTS else go.Scatter
        drawn.add_trace(
            kind(
                x=used.column("train_flops"),
                y=used.column("loss"),
                mode="markers",
                name=f"{name}: {charts.named(records.source)}",
                marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
                text=about_runs(used),
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return drawn
