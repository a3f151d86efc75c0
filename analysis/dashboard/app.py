"""The pages as one application: menu, sidebar, and a mistake as a line in its place."""

import streamlit as st

from analysis.dashboard import uploads
from analysis.dashboard.feeds import Feeds
from analysis.dashboard.page import (
    FORMULA,
    Page,
    laws_to_choose,
    refused,
    shared_fields,
)
from analysis.dashboard.pages.home import NO_RUNS
from analysis.dashboard.parts import downloads
from analysis.dashboard.parts.report import report
from analysis.dashboard.registry import PAGES, Row
from analysis.dashboard.state import State, address, choice_field, choose, read_state
from analysis.dashboard.words import STYLE, plain
from analysis.forecasting.question.options import AUTO
from analysis.intervals import LEVELS
from scaling.errors import ScalingError
from scaling.tables.notes import printable

_BY_NAME = {row.name: row for row in PAGES}
_PAGE = choice_field("page", _BY_NAME, PAGES[0].name)


def show_dashboard(feeds: Feeds) -> None:
    """Draw the page that the viewer is on; Streamlit calls it again at every touch.

    Which page that is stands in the address as `page=`, beside all else that is chosen. (Pages with
    paths of their own make Streamlit forget the rest at each click, and look for its server below
    them first, which a browser reports as an error.)
    """
    name = read_state((_PAGE,), address())["page"]
    st.set_page_config(page_title=f"{_BY_NAME[name].title} - scaling", layout="wide")
    draw_page(feeds, _BY_NAME[name], with_menu=True)


def draw_page(feeds: Feeds, row: Row, *, with_menu: bool = False) -> None:
    """One page with its sidebar."""
    st.html(STYLE)
    st.session_state["told"] = set()
    state = read_state((_PAGE, *shared_fields(feeds), *row.fields), address())
    try:
        page = _page(feeds, row, state)
        if with_menu:
            _menu(page)
        for line in state.complaints:
            st.warning(plain(line))
        _sidebar(page)
        if page.source or not row.needs_runs:
            row.draw(page)
        else:
            st.title(row.title)
            st.info(NO_RUNS)
    except ScalingError as error:
        refused(error)


def _menu(page: Page) -> None:
    st.segmented_control(
        "Page",
        list(_BY_NAME),
        format_func=lambda name: f"{_BY_NAME[name].icon} {_BY_NAME[name].title}",
        required=True,
        label_visibility="collapsed",
        **page.bind("page"),
    )


def _page(feeds: Feeds, row: Row, state: State) -> Page:
    """The page with the source that was chosen, or the first there is."""
    try:
        listed = tuple(feeds.sources())
    except ScalingError as error:  # uploads can still be asked
        refused(error)
        listed = ()
    sources = (*listed, *(one for one in state["upload"] if uploads.path_of(one) is not None))
    for gone in (one for one in state["upload"] if uploads.path_of(one) is None):
        st.warning(plain(f"{printable(gone)}: no longer kept by this server; upload it again"))
    asked = state["source"]
    if asked and asked not in sources:
        there = "choose another" if sources else "there is none"
        st.warning(plain(f'no source "{printable(asked, 120)}"; {there}'))
    source = asked if asked in sources else next(iter(sources), "")
    return Page(name=row.name, feeds=feeds, state=state, sources=sources, source=source)


def _sidebar(page: Page) -> None:
    """What every page is about: runs, filter, law and level; and a link that carries them."""
    with st.sidebar:
        if page.sources:
            bound = page.bind("source")
            st.session_state[bound["key"]] = page.source
            st.selectbox("Runs from", page.sources, format_func=_named, **bound)
        st.text_input(
            "Keep the rows where",
            placeholder="params > 1M; seed == 0",
            help="Conditions as `--where` takes them, several with ; between them",
            **page.bind("where"),
        )
        st.selectbox("Law", laws_to_choose(page.feeds), format_func=_law, **page.bind("law"))
        if page.state["law"] == FORMULA:
            st.text_input(
                "Formula",
                placeholder="E + A*N^-alpha + B*D^-beta",
                help="Any arithmetic of the columns of the table, as `--law` takes it. Until one "
                "is written, all laws answer",
                **page.bind("formula"),
            )
        st.select_slider("Intervals hold", LEVELS, format_func=_percent, **page.bind("level"))
        if page.source and page.name != "forecast":  # which has one with what is asked there
            downloads.offer("report", report=report(page))
        if st.button("Forget what is chosen", type="tertiary"):
            page_name = page.state["page"]
            st.query_params.clear()
            choose(_PAGE, page_name)
            st.rerun()
        st.caption("The address of the page carries all of this: copy it to share what you see.")


def _named(source: str) -> str:
    return uploads.name_of(source)


def _law(name: str) -> str:
    if name == FORMULA:
        return "a formula of your own"
    return "all, weighted by backtests" if name == AUTO else name.replace("_", " ")


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
