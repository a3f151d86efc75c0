"""The live page: the same answers as the report, while a sweep is still training.

It computes nothing itself: every number comes from the calls behind the report and the command
line, every figure from `analysis.plots`. Where runs and seals come from is the caller's affair
(`Feeds`), so that this page knows neither the run store nor the training.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from analysis.evaluation.verdicts import SealStanding, record_line, unproved
from analysis.fitting.policy import RESAMPLES
from analysis.forecasting.forecast import forecast
from analysis.forecasting.targets import Targets
from analysis.report import state_tables, tables
from analysis.report.figures import Picture, draw_figures
from analysis.report.findings import Findings, gather_findings
from analysis.report.summary import summarise
from analysis.report.tables import Table
from analysis.text.numbers import in_print
from analysis.text.tuning import gap_sentences, trend_sentences
from scaling.errors import ScalingError
from scaling.limits import LimitCode, texts
from scaling.records import Records
from scaling.tables.numbers import number

BOOTSTRAP = RESAMPLES  # as the report, whose numbers these are
REFRESH_SECONDS = 10
_STYLE = """<style>
.scaling-table { overflow-x: auto; margin: .3rem 0 1rem; }
.scaling-table table { border-collapse: collapse; font-size: .9rem; }
.scaling-table th, .scaling-table td { text-align: left; vertical-align: top; white-space: nowrap;
  padding: .3rem 1rem .3rem 0; border-bottom: 1px solid rgba(128, 128, 128, .3); }
.scaling-table thead th { border-bottom: 2px solid rgba(128, 128, 128, .7); }
.scaling-table tr.marked td { background: rgba(255, 200, 60, .22); }
.scaling-figure { margin: .6rem 0 1.4rem; }
.scaling-figure img { background: #fff; width: 100%; max-width: 46rem; }
.scaling-figure figcaption { font-size: .85rem; opacity: .75; max-width: 46rem; }
</style>"""


@dataclass(frozen=True, kw_only=True)
class Feeds:
    """Where the page gets its data. Each call reads afresh; a ScalingError becomes one line."""

    sources: Callable[[], Sequence[str]]
    """Names of tables and sweeps to choose from."""
    load: Callable[[str], Records]
    curves: Callable[[str], pd.DataFrame | None]
    """Training curves (run_id, step, train_loss) of a sweep; None for a table."""
    outlooks: Callable[[str], Mapping[str, str]]
    """Where running cells are heading, a sentence by run id."""
    seals: Callable[[], tuple[SealStanding, ...]]


def show_dashboard(feeds: Feeds) -> None:
    """Draw the page once; Streamlit calls it again at every touch."""
    st.set_page_config(page_title="scaling", layout="wide")
    st.html(_STYLE)
    told: set[str] = set()
    try:
        _page(feeds, told)
    except ScalingError as error:
        _tell(error, told)


def _tell(error: ScalingError, told: set[str]) -> None:
    """A mistake in its place on the page; one that stands there already is not repeated, since a
    broken store breaks every question to it."""
    if (line := str(error)) not in told:
        st.error(_plain(line))
        told.add(line)


def _page(feeds: Feeds, told: set[str]) -> None:
    sources = feeds.sources()
    if not sources:
        st.title("No sweep yet")
        st.write("Start one with `scaling run CONFIG`, or name a table: `scaling dashboard FILE`.")
        _sealed(feeds, told)
        return
    with st.sidebar:
        source = str(st.selectbox("Runs from", sources))
        level = st.select_slider("Intervals hold", (0.5, 0.8, 0.9, 0.95), 0.9, format_func=_percent)
        live = st.toggle(f"Look again every {REFRESH_SECONDS} s", value=False)
    st.title(_plain(source))
    standing, ahead, rungs, backtested, sealed = st.tabs(
        ["Standing", "Forecast", "Rung health", "Was it right?", "Sealed forecasts"]
    )
    with standing:
        st.fragment(_standing, run_every=REFRESH_SECONDS if live else None)(feeds, source, told)
    with sealed:
        _sealed(feeds, told)
    records = feeds.load(source)
    try:
        findings = _findings(records, feeds.curves, source, records.data_hash, level)
    except ScalingError as error:  # a sweep that has just begun has a standing and nothing else
        for tab in (ahead, rungs, backtested):
            tab.info(_plain(str(error)))
        return
    pictures = _pictures(findings, source, records.data_hash, level)
    with ahead:
        _forecast(findings, pictures)
    with rungs:
        _rungs(findings, pictures)
    with backtested:
        _backtested(findings, pictures)


@st.cache_resource(max_entries=8, show_spinner="Fitting, forecasting, backtesting ...")
def _findings(
    _records: Records,
    _curves: Callable[[str], pd.DataFrame | None],
    source: str,
    data_hash: str,
    level: float,
) -> Findings:
    """The answers for these runs, made anew only where source, runs or level have changed."""
    return gather_findings(
        _records, confidence_level=level, bootstrap=BOOTSTRAP, curves=_curves(source)
    )


@st.cache_resource(max_entries=8, show_spinner="Drawing ...")
def _pictures(
    _findings: Findings, source: str, data_hash: str, level: float
) -> Mapping[str, Picture]:
    return draw_figures(_findings)


def _standing(feeds: Feeds, source: str, told: set[str]) -> None:
    """Where the runs of a sweep stand at this moment."""
    try:
        records = feeds.load(source)
        outlooks = feeds.outlooks(source)
    except ScalingError as error:
        told.discard(str(error))  # this place is drawn anew by itself
        _tell(error, told)
        return
    counts = state_tables.state_counts(records)
    for column, (state, count) in zip(
        st.columns(max(len(counts), 6)), counts.items(), strict=False
    ):
        column.metric(state, count)
    _table(state_tables.standing_table(records, outlooks))


def _forecast(findings: Findings, pictures: Mapping[str, Picture]) -> None:
    for statement in summarise(findings):
        (st.warning if statement.warns else st.markdown)(
            f"**{statement.heading}.** {_plain(statement.text)}"
        )
    _picture(pictures, "loss")
    if findings.forecast is None:  # the summary says why
        return
    _table(tables.forecast_table(findings))
    _table(tables.shares_table(findings))
    st.subheader("Ask for another point")
    typed = st.text_input(findings.x, placeholder="for example 1e21")
    if typed:
        _answer(findings, typed)
    st.subheader("Which law has which say")
    _table(tables.weights_table(findings))
    if findings.used.dropped:
        st.subheader("Left out of the fits")
        _table(state_tables.dropped_table(findings))
    _picture(pictures, "isoflop")


def _answer(findings: Findings, typed: str) -> None:
    try:
        value = number(typed)
    except ValueError:
        st.error(_plain(f'"{typed}" is not a number; write it like 1e21'))
        return
    try:
        options = replace(findings.options, confidence_levels=(findings.confidence_level,))
        answer = forecast(findings.records, Targets.along(findings.x, value), options=options)
    except ScalingError as error:
        st.error(_plain(str(error)))
        return
    st.code(answer.to_text(), language=None)


def _rungs(findings: Findings, pictures: Mapping[str, Picture]) -> None:
    if findings.health is None:
        st.info(_plain(str(findings.refusal(LimitCode.NO_HEALTH))))
    else:
        _table(state_tables.health_table(findings))
        sentences = [
            *state_tables.health_reasons(findings),
            *gap_sentences(findings.health),
            *trend_sentences(findings.health),
        ]
        st.markdown("\n".join(f"- {_plain(in_print(sentence))}." for sentence in sentences))
    _picture(pictures, "curves")
    for name in pictures:
        if name.startswith("residuals"):
            _picture(pictures, name)


def _backtested(findings: Findings, pictures: Mapping[str, Picture]) -> None:
    st.subheader("Held-out runs")
    if findings.held_out is None:
        refusal = findings.refusal(LimitCode.NO_HELD_OUT_CHECK)
        st.info(_plain(refusal or "no run was held out"))
    else:
        if findings.held_out.warning:
            st.warning(_plain(findings.held_out.warning))
        _table(tables.held_out_table(findings))
        both = tables.from_all_table(findings)
        if both.rows:
            st.caption("The forecast without the held-out runs, and with them")
            _table(both)
        for sentence in texts(findings.held_out.limits, without=(LimitCode.MISSED,)):
            st.caption(_plain(sentence))
    st.subheader("Rolling-origin backtest: the largest runs hidden in turn")
    if findings.backtest is None:
        st.info(_plain(findings.refusal(LimitCode.NO_BACKTEST) or "none was made"))
        return
    _table(tables.backtest_table(findings))
    _picture(pictures, "errors")
    _picture(pictures, "coverage")


def _sealed(feeds: Feeds, told: set[str]) -> None:
    """The record of every sealed forecast of the run store."""
    try:
        standings = feeds.seals()
    except ScalingError as error:
        _tell(error, told)
        return
    if not standings:
        st.info("No forecast is sealed yet; seal one with `scaling forecast SOURCE --seal NAME`.")
        return
    st.markdown(_plain(f"{record_line(standings)}."))
    _table(state_tables.seals_table(standings))
    for sentence in unproved(standings):
        st.caption(_plain(sentence))


def _table(table: Table) -> None:
    if not table.rows:
        return
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table.head)
    body = "".join(_row(row, marked=i in table.marked) for i, row in enumerate(table.rows))
    st.html(
        f'<div class="scaling-table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
    if table.note:
        st.caption(_plain(table.note))


def _row(cells: Sequence[str], *, marked: bool) -> str:
    body = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    look = "marked" if marked else "plain"
    return f'<tr class="{look}">{body}</tr>'


def _picture(pictures: Mapping[str, Picture], name: str) -> None:
    if name not in pictures:
        return
    shown = pictures[name]
    title, caption = html.escape(shown.title), html.escape(shown.caption)
    notes = html.escape(shown.notes)
    st.html(
        f'<figure class="scaling-figure"><img src="{shown.uri}" alt="{title}. {caption}">'
        f"<figcaption><strong>{title}.</strong> {caption} {notes}</figcaption></figure>"
    )


def _plain(text: str) -> str:
    """The text as it stands: what Markdown and Streamlit would read as signs is escaped."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!~|:$])", r"\\\1", text)


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
