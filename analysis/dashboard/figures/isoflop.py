"""Loss against model size: the runs of each budget, and what the asked budget would reach."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.dashboard.figures.loss import (
    MANY_POINTS,
    MOST_DRAWN,
    about_runs,
    drawn_of,
    to_draw,
)
from analysis.dashboard.figures.ticks import fit_ticks
from analysis.decisions.buildable import BuildableShape
from analysis.decisions.flat_region import LITTLE, SizeCurve
from analysis.decisions.optimal_split import OptimalSplit
from analysis.fitting.result import Fit
from analysis.intervals import Interval, interval_at
from analysis.plots.isoflop import along_budget, budgets_to_show, runs_by_budget
from analysis.plots.style import shades
from analysis.text.decisions import shape_in_words
from analysis.text.numbers import count_in_words, flops_in_words, loss_in_words
from analysis.tuning.screening import screen
from scaling.arrays import BoolArray
from scaling.records import Records

SIZES = ("params", "tokens", "train_flops")


@dataclass(frozen=True, kw_only=True)
class BudgetRuns:
    """The runs of budgets with several sizes, what a hover tells of each, and what losses are."""

    table: pd.DataFrame  # as `analysis.plots.isoflop.runs_by_budget` has it
    told: npt.NDArray[np.object_]
    loss_kind: str
    of: int  # runs there are; of very many some are drawn


def budget_runs(records: Records) -> BudgetRuns:
    """The runs that `analysis.plots.isoflop.plot_isoflop` draws."""
    whole = runs_by_budget(records)
    table = whole[_to_draw(whole)] if len(whole) else whole
    told = about_runs(screen(records, *SIZES)) if len(table) else []
    return BudgetRuns(
        table=table,
        told=np.array(told, dtype=object)[table.index.to_numpy(dtype=np.intp)],
        loss_kind=records.loss_kind,
        of=len(whole),
    )


def _to_draw(table: pd.DataFrame) -> BoolArray:
    """All runs, or of very many those of the budgets that get a colour and some of the others."""
    if len(table) <= MOST_DRAWN:
        return np.ones(len(table), dtype=bool)
    budgets, params = table["budget"].to_numpy(), table["params"].to_numpy()
    shown, _ = budgets_to_show(budgets, params)
    some = to_draw(table["train_flops"].to_numpy(), table["loss"].to_numpy())
    return np.asarray(some | np.isin(budgets, shown))


def isoflop_figure(
    runs: BudgetRuns,
    fit: Fit | None,
    split: OptimalSplit | None,
    *,
    level: float,
    shape: BuildableShape | None = None,
) -> go.Figure:
    """One colour a budget of the runs with the law ``fit`` along it, and the curve of the asked
    budget with its flat region, its best size and the nearest shape."""
    drawn = charts.figure(x=charts.axis_title("params"), y=charts.loss_title(runs.loss_kind))
    _runs(drawn, runs, fit)
    if split is not None and split.params is not None:
        _asked(drawn, split, level, shape)
    return drawn


def _runs(drawn: go.Figure, runs: BudgetRuns, fit: Fit | None) -> None:
    table, told = runs.table, runs.told
    if table.empty:
        return
    kind: Any = go.Scattergl if len(table) > MANY_POINTS else go.Scatter
    fit_ticks(drawn, x=table["params"])
    budgets, params, tokens = (table[c].to_numpy() for c in ("budget", "params", "tokens"))
    shown, others = budgets_to_show(budgets, params)
    for colour, budget in zip([*shades(len(shown)), None], [*shown, None], strict=True):
        own = budgets == budget if budget is not None else np.isin(budgets, others)
        if not own.any():
            continue
        flops = float(np.median(table["train_flops"][own]))
        name = "other budgets" if budget is None else flops_in_words(flops)
        paint = charts.MUTED if colour is None else _rgb(colour)
        drawn.add_trace(
            kind(
                x=params[own],
                y=table["loss"][own],
                mode="markers",
                name=drawn_of("other runs", len(table), runs.of)
                if budget is None
                else "runs, darker for more compute",
                showlegend=budget is None or budget == shown[-1],
                legendgroup=name,
                marker={"color": paint, "size": 7, "opacity": 0.4 if colour is None else 0.9},
                text=told[own],
                hovertemplate="%{text}<extra></extra>",
            )
        )
        if fit is not None and budget is not None:
            n, d = along_budget(params[own], tokens[own])
            drawn.add_trace(
                go.Scatter(
                    x=n,
                    y=fit.law.loss(n, d),
                    mode="lines",
                    legendgroup=name,
                    showlegend=False,
                    line={"color": paint, "width": 1.6},
                    hoverinfo="skip",
                )
            )


def _rgb(colour: tuple[float, float, float]) -> str:
    return "rgb({},{},{})".format(*(round(255 * part) for part in colour))


def _asked(
    drawn: go.Figure, split: OptimalSplit, level: float, shape: BuildableShape | None
) -> None:
    """The curve of a budget, its flat region bold, the best size with its range, the shape."""
    curve, flat = split.size_curve, split.flat_params
    if curve is None or flat is None or split.loss is None:
        return
    _curve(drawn, curve, flat, f"{flops_in_words(split.budget, 3)} FLOP, asked for")
    low, high = interval_at(split.params_range, level)
    best = split.params or 0.0
    ends: dict[str, Any] = {"array": [high - best], "arrayminus": [best - low]}
    ends |= {"type": "data", "symmetric": False, "color": charts.ASKED}
    drawn.add_trace(
        go.Scatter(
            x=[best],
            y=[split.loss],
            mode="markers",
            name=f"best size, {100 * level:g}% interval",
            marker={"color": charts.ASKED, "size": 13, "symbol": "star"},
            error_x=ends if np.isfinite(high) else None,
            hovertemplate="N %{x:.3s}, loss %{y:.4g}<extra></extra>",
        )
    )
    if shape is not None:
        loss = float(np.interp(np.log(shape.params), np.log(curve.params), curve.loss))
        drawn.add_trace(
            go.Scatter(
                x=[shape.params],
                y=[loss],
                mode="markers",
                name="nearest shape",
                marker={"color": charts.FITTED, "size": 11, "symbol": "square-open"},
                text=[shape_in_words(shape)],
                hovertemplate="%{text}<extra></extra>",
            )
        )


def _curve(drawn: go.Figure, curve: SizeCurve, flat: Interval, name: str) -> None:
    told = [
        f"N {count_in_words(n)}<br>D {count_in_words(d)}<br>loss {loss_in_words(v)}"
        for n, d, v in zip(curve.params, curve.tokens, curve.loss, strict=True)
    ]
    inside = (curve.params >= flat.low) & (curve.params <= flat.high)
    for kept, called, line, opacity in (
        (np.ones_like(inside), name, {"width": 1.6, "dash": "dash"}, 1.0),
        (inside, f"wastes less than {100 * LITTLE:g}%", {"width": 6}, 0.45),
    ):
        drawn.add_trace(
            go.Scatter(
                x=curve.params[kept],
                y=curve.loss[kept],
                mode="lines",
                name=called,
                line={"color": charts.FORECAST, **line},
                opacity=opacity,
                text=[text for text, own in zip(told, kept, strict=True) if own],
                hovertemplate="%{text}<extra></extra>",
            )
        )
