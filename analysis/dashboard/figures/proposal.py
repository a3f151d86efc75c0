"""The runs that are proposed among those that there are."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.dashboard.figures.loss import MANY_POINTS, about_runs
from analysis.dashboard.figures.ticks import fit_ticks
from analysis.decisions.further_runs.next_runs import NextRuns
from analysis.text.numbers import count_in_words, flops_in_words, percent_in_words
from analysis.tuning.screening import screen
from scaling.records import Records
from scaling.words import counted


def proposal_figure(records: Records, found: NextRuns) -> go.Figure:
    """Sizes and tokens of the runs of the table, and of the proposed ones, larger where they narrow
    more; along compute alone, losses and budgets."""
    by_size = bool(found.runs) and found.runs[0].params is not None
    by_size = by_size or (not found.runs and "params" in records and "tokens" in records)
    x, y = ("params", "tokens") if by_size else ("train_flops", "loss")
    used = screen(records, x, y)
    title = charts.axis_title("tokens") if by_size else charts.loss_title(records.loss_kind)
    drawn = charts.figure(x=charts.axis_title(x), y=title)
    new = [(run.params, run.tokens) if by_size else (run.train_flops, None) for run in found.runs]
    fit_ticks(drawn, x=[*used.column(x), *(one[0] or np.nan for one in new)])
    if by_size:
        fit_ticks(drawn, y=[*used.column(y), *(one[1] or np.nan for one in new)])
    kind: Any = go.Scattergl if len(used) > MANY_POINTS else go.Scatter
    drawn.add_trace(
        kind(
            x=used.column(x),
            y=used.column(y),
            mode="markers",
            name="runs there are",
            marker={"color": charts.MEASURED, "size": 7, "opacity": 0.7},
            text=about_runs(used),
            hovertemplate="%{text}<extra></extra>",
        )
    )
    if not found.runs:
        return drawn
    most = max(run.narrows for run in found.runs) or 1.0
    lowest = float(np.min(used.column("loss"))) if not by_size else np.nan
    drawn.add_trace(
        go.Scatter(
            x=[run.params if by_size else run.train_flops for run in found.runs],
            y=[run.tokens if by_size else lowest for run in found.runs],
            mode="markers",
            name="proposed, larger where they narrow more",
            marker={
                "color": charts.FORECAST,
                "symbol": "star",
                "size": [10 + 10 * max(run.narrows, 0.0) / most for run in found.runs],
                "line": {"color": "white", "width": 1},
            },
            text=[
                "<br>".join(
                    [
                        *([f"N {count_in_words(run.params)}"] if run.params else []),
                        *([f"D {count_in_words(run.tokens)}"] if run.tokens else []),
                        f"{flops_in_words(run.train_flops, 3)} FLOP, {counted(run.times, 'seed')}",
                        f"adds {flops_in_words(run.price, 3)} FLOP",
                        f"narrows by {percent_in_words(100 * run.narrows)}",
                    ]
                )
                for run in found.runs
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    return drawn
