"""Loss against compute or another column: runs, the laws, the forecast with its band, what is asked
for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.dashboard.figures.ticks import fit_ticks
from analysis.evaluation.held_out import held_out_runs
from analysis.forecasting.answer.result import TargetForecast
from analysis.forecasting.reach import Reach
from analysis.intervals import interval_at
from analysis.text.numbers import count_in_words, flops_in_words, loss_in_words
from analysis.tuning.screening import screen
from scaling.arrays import BoolArray, FloatArray
from scaling.extra_columns.references import references_of
from scaling.records import Records

MANY_POINTS = 1500  # more are drawn by WebGL
MOST_DRAWN = 3000  # of a table of runs; a browser takes seconds over more, at every touch
LEAST_WEIGHT = 0.01  # of a law that gets a line
_SIZES = {"params": "N", "tokens": "D"}


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Runs as a figure marks them: where, at which loss, and what a hover tells."""

    x: FloatArray
    loss: FloatArray
    told: Sequence[str]
    of: int  # runs there are; of very many some are drawn


@dataclass(frozen=True, kw_only=True)
class DrawnRuns:
    """The runs of a figure of losses, and what the losses are."""

    used: Marks
    held_out: Marks
    references: tuple[tuple[str, float], ...]
    loss_kind: str


def drawn_runs(records: Records, x: str) -> DrawnRuns:
    """The runs that fits may use, those that are held out, and what losses are held against."""
    used = screen(records, x)
    return DrawnRuns(
        used=_marks(used, x),
        held_out=_marks(held_out_runs(records).with_values(x, "loss"), x),
        references=tuple(
            (line.name, line.loss) for line in references_of(used).finite if line.loss is not None
        ),
        loss_kind=records.loss_kind,
    )


def _marks(runs: Records, x: str) -> Marks:
    kept = runs.select(to_draw(runs.column(x), runs.column("loss")), "not drawn")
    told = about_runs(kept)
    return Marks(x=kept.column(x), loss=kept.column("loss"), told=told, of=len(runs))


def to_draw(x: FloatArray, loss: FloatArray) -> BoolArray:
    """Which points a figure shows: all, or of very many the lowest of each step of ``x`` and the
    rest evenly along it."""
    keep = np.ones(len(x), dtype=bool)
    if len(x) <= MOST_DRAWN:
        return keep
    order = np.lexsort((loss, x))
    lowest = loss[order] <= np.minimum.accumulate(loss[order])
    even = np.linspace(0, len(x) - 1, MOST_DRAWN).round().astype(np.intp)
    keep[:] = False
    keep[order[lowest]] = keep[order[even]] = True
    return keep


def drawn_of(name: str, drawn: int, of: int) -> str:
    """The name of a trace, which says where not all of the runs are drawn."""
    return name if drawn == of else f"{name}, {drawn:,} of {of:,} drawn"


def loss_figure(
    runs: DrawnRuns,
    reach: Reach,
    asked: Sequence[TargetForecast],
    *,
    level: float,
    before: Sequence[TargetForecast] = (),
    loss: float | None = None,
) -> go.Figure:
    """The runs, the curve of ``reach`` with its interval at ``level``, its laws, ``asked``
    targets and what was said of them ``before``, and a target ``loss``."""
    x = reach.column
    drawn = charts.figure(x=charts.axis_title(x), y=charts.loss_title(runs.loss_kind))
    _band(drawn, reach, level)
    _laws(drawn, reach)
    fit_ticks(drawn, x=[*runs.used.x, *(target.at[x] for target in reach.curve.targets)])
    _all_runs(drawn, runs)
    for name, value in runs.references:
        drawn.add_hline(
            value,
            line={"dash": "dot", "color": charts.MUTED, "width": 1.2},
            annotation={"text": charts.named(name), "font": {"size": 11}},
        )
    if loss is not None:
        drawn.add_hline(loss, line={"dash": "dash", "color": charts.ASKED, "width": 1.4})
    _targets(drawn, before, x, level, "before the new runs", hollow=True)
    _targets(drawn, asked, x, level, f"asked for, {100 * level:g}% interval", hollow=False)
    return drawn


def runs_figure(runs: DrawnRuns, x: str) -> go.Figure:
    """The runs alone, which are there before any forecast is."""
    drawn = charts.figure(x=charts.axis_title(x), y=charts.loss_title(runs.loss_kind))
    fit_ticks(drawn, x=[*runs.used.x, *runs.held_out.x])
    _all_runs(drawn, runs)
    return drawn


def _all_runs(drawn: go.Figure, runs: DrawnRuns) -> None:
    _runs(drawn, runs.used, "runs used by fits", charts.MEASURED, "circle")
    if len(runs.held_out.x):
        _runs(drawn, runs.held_out, "held-out runs", charts.HELD_OUT, "diamond")


def _runs(drawn: go.Figure, runs: Marks, name: str, colour: str, symbol: str) -> None:
    kind: Any = go.Scattergl if len(runs.x) > MANY_POINTS else go.Scatter
    drawn.add_trace(
        kind(
            x=runs.x,
            y=runs.loss,
            mode="markers",
            name=drawn_of(name, len(runs.x), runs.of),
            marker={"color": colour, "size": 7, "opacity": 0.75, "symbol": symbol},
            text=runs.told,
            hovertemplate="%{text}<extra></extra>",
        )
    )


def about_runs(runs: Records) -> list[str]:
    """What a hover tells of each run: its name, size, tokens, compute and loss."""
    written: dict[str, Callable[[float], str]] = {
        "params": lambda v: f"N {count_in_words(v)}",
        "tokens": lambda v: f"D {count_in_words(v)}",
        "train_flops": lambda v: f"{flops_in_words(v, 3)} FLOP",
        "loss": lambda v: f"loss {loss_in_words(v)}",
    }
    parts = [[f"<b>{name}</b>" for name in charts.names(runs.row_names)]]
    for column, write in written.items():
        if column in runs:
            values = runs.column(column)
            parts.append([write(v) if np.isfinite(v) else "" for v in values])
    return ["<br>".join(filter(None, told)) for told in zip(*parts, strict=True)]


def _band(drawn: go.Figure, reach: Reach, level: float) -> None:
    """The forecast as far as it is supported, and then its order of magnitude."""
    table, x = reach.curve.to_frame(), reach.column
    low, high = (f"{end}_{100 * level:.10g}" for end in ("low", "high"))
    carried = int((table[x] <= reach.furthest * (1 + 1e-9)).sum())
    sure = table.iloc[:carried]
    if carried:
        _filled(drawn, sure, x, (low, high), charts.BAND, f"new run, {100 * level:g}% interval")
    if carried < len(table):
        rough = table.iloc[max(carried - 1, 0) :]
        pattern = {"shape": "/", "fgcolor": charts.ROUGH, "bgcolor": "rgba(0,0,0,0)", "size": 7}
        _filled(
            drawn, rough, x, (low, high), charts.ROUGH, "order of magnitude only", pattern=pattern
        )
    if carried:
        drawn.add_trace(
            go.Scatter(
                x=sure[x],
                y=sure["median"],
                mode="lines",
                name="forecast",
                line={"color": charts.FORECAST, "dash": "dash", "width": 2.2},
                hovertemplate="forecast %{y:.4g} at %{x:.3g}<extra></extra>",
            )
        )


def _filled(
    drawn: go.Figure,
    table: pd.DataFrame,
    x: str,
    ends: tuple[str, str],
    colour: str,
    name: str,
    pattern: dict[str, Any] | None = None,
) -> None:
    how = {"fillpattern": pattern} if pattern else {"fillcolor": colour}
    drawn.add_trace(
        go.Scatter(
            x=[*table[x], *table[x][::-1]],
            y=[*table[ends[0]], *table[ends[1]][::-1]],
            fill="toself",
            mode="lines",
            line={"width": 0, "color": colour},
            name=name,
            hoverinfo="skip",
            **how,
        )
    )


def _laws(drawn: go.Figure, reach: Reach) -> None:
    """What each law says alone, where a median is supported."""
    targets = [target for target in reach.curve.targets if target.law_losses]
    names = {name: None for target in targets for name in target.law_losses}
    if len(names) < 2:
        return
    for number, name in enumerate(names):
        own = [target for target in targets if name in target.law_losses]
        if own[0].weights[name] < LEAST_WEIGHT:
            continue
        told = [f"{charts.named(name)}, weight {100 * t.weights[name]:.0f}%" for t in own]
        drawn.add_trace(
            go.Scatter(
                x=[target.at[reach.column] for target in own],
                y=[target.law_losses[name] for target in own],
                mode="lines",
                name="laws, each alone",
                legendgroup="laws",
                showlegend=number == 0,
                line={"color": charts.MUTED, "width": 1},
                opacity=0.6,
                text=told,
                hovertemplate="%{text}: %{y:.4g}<extra></extra>",
            )
        )


def _targets(
    drawn: go.Figure,
    targets: Sequence[TargetForecast],
    x: str,
    level: float,
    name: str,
    *,
    hollow: bool,
) -> None:
    """Targets one by one with their intervals; no mark stands where there is no median."""
    shown = [t.in_meaningful_digits() for t in targets if x in t.at]
    for number, target in enumerate(shown):
        low, high = interval_at(target.intervals, level)
        colour = charts.MUTED if hollow else charts.ASKED
        where, told = target.at[x], _about(target, low, high, level)
        drawn.add_trace(
            go.Scatter(
                x=[where, where],
                y=[low, high],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=number == 0,
                line={"color": colour, "width": 3, "dash": "solid" if target.supported else "dot"},
                text=[told, told],
                hovertemplate="%{text}<extra></extra>",
            )
        )
        if target.median is not None:
            drawn.add_trace(
                go.Scatter(
                    x=[where],
                    y=[target.median],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=False,
                    marker={
                        "color": colour,
                        "size": 12,
                        "symbol": "square-open" if hollow else "square",
                    },
                    text=[told],
                    hovertemplate="%{text}<extra></extra>",
                )
            )


def _about(target: TargetForecast, low: float, high: float, level: float) -> str:
    sizes = [
        f"{_SIZES[name]} {count_in_words(target.at[name])}" for name in _SIZES if name in target.at
    ]
    median = [] if target.median is None else [f"loss {loss_in_words(target.median)}"]
    return "<br>".join([*median, f"{100 * level:g}%: {low:.4g} to {high:.4g}", *sizes])
