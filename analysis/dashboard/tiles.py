"""How a page begins, and its numbers side by side."""

from collections.abc import Sequence

import streamlit as st

from analysis.dashboard import uploads
from analysis.dashboard.page import Page
from analysis.dashboard.words import plain


def heading(what: str, page: Page, *others: str) -> None:
    """What the page answers, and from which runs."""
    names = (uploads.name_of(one).rpartition("/")[2] for one in (page.source, *others) if one)
    st.title(plain(f"{what}: {' and '.join(names)}"), anchor=False)


def show_tiles(tiles: Sequence[tuple[str, str]]) -> None:
    """Numbers with their names, as many to a row as there is room for."""
    with st.container(horizontal=True, gap="medium"):
        for name, value in tiles:
            st.metric(plain(name), value, width="content")
