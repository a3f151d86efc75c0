"""Training curves as they grow, with where the running runs are heading."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.forecasting.unfinished_runs import RunningForecast
from analysis.text.numbers import count_in_words

MOST_RUNNING = 24
MOST_ENDED = 16
MOST_POINTS = 200  # of a line
_OF_STATE = {"running": charts.MEASURED, "failed": charts.FORECAST, "diverged": charts.ASKED}
_ENDED = "#b9b9b9"


def runs_to_draw(cells: pd.DataFrame) -> pd.DataFrame:
    """The runs whose curves are worth a look: those that train, then what failed or diverged, and
    finished ones of all sizes to compare with. Held-out runs are none of them: the end of a curve
    nearly tells its loss."""
    known = cells[~cells["held_out"]]
    running = known[known["state"] == "running"].head(MOST_RUNNING)
    bad = known[known["state"].isin(("failed", "diverged", "interrupted"))].head(MOST_ENDED // 2)
    done = known[known["state"].isin(("finished", "settled"))].sort_values("params", kind="stable")
    most = MOST_ENDED - len(bad)
    if len(done) > most:
        done = done.iloc[np.unique(np.linspace(0, len(done) - 1, most).round().astype(int))]
    return pd.concat([done, bad, running])


def curves_figure(
    curves: pd.DataFrame, cells: pd.DataFrame, outlooks: Mapping[str, RunningForecast]
) -> go.Figure:
    """A line a run; of a running one also its forecast, with its interval, at its planned end."""
    drawn = charts.figure(x="Optimizer step", y="Training loss (nats per token)", height=400)
    by_run = dict(iter(curves[curves["step"] > 0].groupby("run_id", sort=False)))
    told = set()
    for cell in cells.to_dict("records"):
        points = by_run.get(cell["run_id"])
        if points is None:
            continue
        points = points.sort_values("step")
        if len(points) > MOST_POINTS:
            keep = np.unique(np.geomspace(1, len(points), MOST_POINTS).round().astype(int)) - 1
            points = points.iloc[keep]
        state = cell["state"]
        name = charts.named(cell["name"] or cell["run_id"])
        drawn.add_trace(
            go.Scatter(
                x=points["step"],
                y=points["train_loss"],
                mode="lines",
                line={"width": 2 if state == "running" else 1, "color": _colour(state)},
                name=charts.named(state),
                legendgroup=state,
                showlegend=state not in told,
                hovertemplate=f"<b>{name}</b><br>{count_in_words(cell['params'])} parameters"
                "<br>step %{x}, loss %{y:.4f}<extra></extra>",
            )
        )
        told.add(state)
        found = outlooks.get(cell["run_id"])
        if found is not None and cell["planned_steps"] > 0:
            _heading(drawn, found, cell["planned_steps"], points, name, "heading" not in told)
            told.add("heading")
    return drawn


def _heading(
    drawn: go.Figure,
    found: RunningForecast,
    planned_steps: float,
    points: pd.DataFrame,
    name: str,
    first: bool,
) -> None:
    """Where a running run is heading: its forecast at its planned end, dotted from where it is."""
    drawn.add_trace(
        go.Scatter(
            x=[points["step"].iloc[-1], planned_steps],
            y=[points["train_loss"].iloc[-1], found.predicted],
            mode="lines+markers",
            line={"width": 1, "dash": "dot", "color": charts.FORECAST},
            marker={"size": [0, 7], "color": charts.FORECAST},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [0, found.high - found.predicted],
                "arrayminus": [0, found.predicted - found.low],
                "color": charts.FORECAST,
                "thickness": 1.5,
            },
            name=f"heading for, {100 * found.confidence_level:g}% interval",
            legendgroup="heading",
            showlegend=first,
            hovertemplate=f"<b>{name}</b><br>{charts.named(found.line)}<extra></extra>",
        )
    )


def _colour(state: str) -> str:
    return _OF_STATE.get(state, _ENDED)
