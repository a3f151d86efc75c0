"""The pages as one application: menu, sidebar, and a mistake as a line in its place."""

from functools import partial

import streamlit as st

from analysis.dashboard import uploads
from analysis.dashboard.feeds import Feeds
from analysis.dashboard.page import SHARED, Page, refused
from analysis.dashboard.pages.home import NO_RUNS
from analysis.dashboard.registry import PAGES, Row
from analysis.dashboard.state import Field, State, address, carry_over, choose, read_state
from analysis.dashboard.words import STYLE, plain
from analysis.forecasting.options import AUTO
from analysis.intervals import LEVELS
from scaling.errors import ScalingError
from scaling.laws.registry import LAWS
from scaling.tables.notes import printable


def show_dashboard(feeds: Feeds) -> None:
    """Draw the page that the viewer is on; Streamlit calls it again at every touch."""
    st.set_page_config(page_title="scaling", page_icon=":material/trending_down:", layout="wide")
    pages = [
        st.Page(
            partial(draw_page, feeds, row),
            title=row.title,
            icon=row.icon,
            url_path="" if number == 0 else row.name,
            default=number == 0,
        )
        for number, row in enumerate(PAGES)
    ]
    st.navigation(pages, position="top").run()


def draw_page(feeds: Feeds, row: Row) -> None:
    """One page with its sidebar."""
    st.html(STYLE)
    st.session_state["told"] = set()
    carry_over(row.name, [field for one in PAGES for field in _fields(one)])
    state = read_state(_fields(row), address())
    for line in state.complaints:
        st.warning(plain(line))
    try:
        page = _page(feeds, row, state)
        _sidebar(page)
        if page.source or not row.needs_runs:
            row.draw(page)
        else:
            st.info(NO_RUNS)
    except ScalingError as error:
        refused(error)


def _fields(row: Row) -> tuple[Field, ...]:
    return (*SHARED, *row.fields)


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
        st.selectbox("Law", (AUTO, *LAWS), format_func=_law, **page.bind("law"))
        st.select_slider("Intervals hold", LEVELS, format_func=_percent, **page.bind("level"))
        if st.button("Forget what is chosen", type="tertiary"):
            for field in page.state.fields.values():
                choose(field, field.default)
            st.session_state["kept"] = {}
            st.rerun()
        st.caption("The address of the page carries all of this: copy it to share what you see.")


def _named(source: str) -> str:
    return uploads.name_of(source)


def _law(name: str) -> str:
    return "all, weighted by backtests" if name == AUTO else name.replace("_", " ")


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
