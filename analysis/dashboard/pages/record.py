"""Were the forecasts right? Every sealed one with its verdict, and how many held so far."""

from collections.abc import Sequence
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from analysis.dashboard import charts
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.page import Page
from analysis.dashboard.parts import downloads
from analysis.dashboard.words import facts, sentence, table
from analysis.display import results_json
from analysis.evaluation.verdicts import SealStanding, coverage_so_far, record_line, unproved
from analysis.intervals import interval_at
from analysis.report.tables import state as state_tables
from scaling.errors import ForecastError

NONE_YET = (
    "No forecast is sealed yet. Seal one before its run begins, with `scaling forecast SOURCE "
    "--flops 10x --seal NAME`: once the run lands, its verdict stands here."
)


def draw(page: Page) -> None:
    """The record of every sealed forecast of the run store."""
    st.title("Record")
    standings: Sequence[SealStanding] = page.known("seals", "", (), page.feeds.seals).value
    if not standings:
        st.info(NONE_YET)
        return
    facts(
        (f"inside {100 * one.level:g}% intervals", f"{one.inside} of {one.verdicts}")
        for one in coverage_so_far(standings)
    )
    drawn = _figure(standings, page.level)
    if drawn is not None:
        charts.show(drawn, "record", "Every verdict: its sealed interval and the measured loss")
    st.markdown(sentence(record_line(standings)))
    table(state_tables.seals_table(standings, page.level))
    for text in unproved(standings):
        st.caption(sentence(text))
    downloads.offer(
        "record",
        draw=None if drawn is None else partial(draw_on, drawn),
        document=lambda: results_json(standings),
    )


def _figure(standings: Sequence[SealStanding], level: float) -> go.Figure | None:
    """The sealed interval of each verdict with what was measured; None where nothing landed."""
    drawn = charts.figure(x="", y="Loss", x_log=False, height=380)
    names: list[str] = []
    told = False
    for standing in standings:
        for verdict in standing.verdicts:
            target = next(one for one in standing.seal.targets if one.at == verdict.at)
            try:
                low, high = interval_at(target.intervals, level)
            except ForecastError:
                low, high = next(iter(target.intervals.values()))
            name = charts.named(f"{standing.seal.name} {len(names) + 1}")
            names.append(name)
            inside = all(verdict.inside.values())
            hover = charts.named(verdict.line) + "<extra></extra>"
            drawn.add_trace(
                go.Scatter(
                    x=[name, name],
                    y=[low, high],
                    mode="lines",
                    line={"width": 8, "color": charts.ROUGH},
                    name="sealed interval",
                    showlegend=not told,
                    hovertemplate=hover,
                )
            )
            drawn.add_trace(
                go.Scatter(
                    x=[name],
                    y=[verdict.measured],
                    mode="markers",
                    marker={
                        "size": 10,
                        "color": charts.MEASURED if inside else charts.FORECAST,
                        "symbol": "circle" if inside else "x",
                    },
                    name="measured",
                    showlegend=not told,
                    hovertemplate=hover,
                )
            )
            told = True
    return drawn if names else None
