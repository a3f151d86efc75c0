"""Every sweep and table, with its answer in one line; and a place to drop a table."""

import time
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.dashboard import LARGEST_UPLOAD_MB, cache, uploads
from analysis.dashboard.page import Page, refused
from analysis.dashboard.parts.answers import AHEAD, ahead, ahead_in_words
from analysis.dashboard.parts.columns import show_columns
from analysis.dashboard.state import choose, flag_field
from analysis.dashboard.words import plain, table
from analysis.evaluation.verdicts import SealStanding, coverage_so_far
from analysis.report.tables import state as state_tables
from analysis.report.tables.cells import NO_INTERVAL, Table
from analysis.text.numbers import hours_in_words, loss_in_words
from scaling.errors import ScalingError
from scaling.records import Records

FIELDS = (flag_field("watch"),)
NO_RUNS = (
    "No sweep yet. Start one with `scaling run CONFIG`, name a table with `scaling dashboard "
    "FILE`, or drop one in on the page Home."
)
WAITING = "\u2026"
_HEAD = ("Source", "Runs", "Lowest loss", f"Forecast at {AHEAD:g}x", "Changed", "Sealed")


def draw(page: Page) -> None:
    """A row a source; one that cannot be read is an error on its own row."""
    st.title("Sweeps and tables")
    if page.sources:
        every = cache.REFRESH_SECONDS if page.state["watch"] else None
        st.fragment(_answers, run_every=every)(page)
        st.toggle(f"Look again every {cache.REFRESH_SECONDS:g} s", **page.bind("watch"))
    else:
        st.info(NO_RUNS)
    _add(page)
    if page.source and not page.source.startswith("mlflow:"):
        show_columns(page)


def _answers(page: Page) -> None:
    """The table of answers: what is quickly known at once, then the forecasts one by one."""
    page = replace(page)
    st.session_state["told"] = set()
    try:
        seals = page.known("seals", "", (), page.feeds.seals).value
    except ScalingError as error:  # the store is away; tables still answer
        page.tell(str(error))
        seals = ()
    place = st.empty()
    rows = [_known_at_once(page, source, seals) for source in page.sources]
    _put(page, place, rows)
    for number, source in enumerate(page.sources):
        if rows[number][3] == WAITING:
            found = ahead(page, _records(page, source))
            rows[number] = (
                *rows[number][:3],
                ahead_in_words(page, found, source),
                *rows[number][4:],
            )
            _put(page, place, rows)


def _put(page: Page, place: DeltaGenerator, rows: Sequence[tuple[str, ...]]) -> None:
    bad = tuple(i for i, row in enumerate(rows) if row[2] == "")
    links = [
        f"?{page.state.query_with(page='home' if i in bad else 'sweep', source=source)}"
        for i, source in enumerate(page.sources)
    ]
    with place.container():
        table(Table(head=_HEAD, rows=tuple(rows), marked=bad), cards=True, links=links)


def _records(page: Page, source: str) -> Records:
    """The chosen source is read as the viewer says, the others as they are."""
    return page.load(source, bare=source != page.source)


def _known_at_once(page: Page, source: str, seals: Sequence[SealStanding]) -> tuple[str, ...]:
    name = uploads.name_of(source)
    try:
        records = _records(page, source)
    except ScalingError as error:
        return (name, str(error), "", "", "", "")
    counts = state_tables.state_counts(records)
    best = state_tables.best_run(records)
    own = [one for one in seals if one.seal.source == source]
    return (
        name,
        ", ".join(f"{count:,} {state}" for state, count in counts.items()),
        NO_INTERVAL if best is None else loss_in_words(best[1]),
        WAITING,
        _age(page, source),
        _record(own),
    )


def _record(own: Sequence[SealStanding]) -> str:
    """What became of the sealed forecasts of a source."""
    if not own:
        return NO_INTERVAL
    held = [
        f"{one.inside} of {one.verdicts} inside {100 * one.level:g}%"
        for one in coverage_so_far(own)
    ]
    return ", ".join(held) or f"{len(own)} waiting"


def _age(page: Page, source: str) -> str:
    """How long ago a source changed."""
    path = uploads.path_of(source)
    try:
        at = page.feeds.changed(str(path or source))
    except ScalingError:
        at = None
    return NO_INTERVAL if at is None else f"{hours_in_words((time.time() - at) / 3600)} ago"


def _add(page: Page) -> None:
    """A table by file or by clipboard, for this viewer and whoever has the link."""
    with st.expander("Add a table of runs", expanded=not page.sources):
        st.caption(
            plain(
                f"CSV, TSV, JSON, Parquet or Excel, up to {LARGEST_UPLOAD_MB} MB; it stays on the "
                "machine that serves this page, until the server ends."
            )
        )
        dropped = st.file_uploader("A file", max_upload_size=LARGEST_UPLOAD_MB)
        if dropped is not None and st.session_state.get("taken") != dropped.file_id:
            st.session_state["taken"] = dropped.file_id
            _take(page, dropped.name, dropped.getvalue())
        with st.form("paste", clear_on_submit=True, border=False):
            pasted = st.text_area("Or paste rows, with their header", placeholder=_EXAMPLE)
            if st.form_submit_button("Add these rows") and pasted.strip():
                _take(page, "pasted.csv", pasted.encode())


_EXAMPLE = "params,tokens,loss\n1e6,1e8,4.1\n3e6,3e8,3.6"


def _take(page: Page, name: str, content: bytes) -> None:
    """Keep a table, and look at it."""
    try:
        source = uploads.keep(name, content)
    except ScalingError as error:
        refused(error)
        return
    fields = page.state.fields
    choose(fields["upload"], tuple(dict.fromkeys((*page.state["upload"], source))))
    choose(fields["source"], source)
    choose(fields["map"], ())
    choose(fields["where"], "")
    st.rerun()
