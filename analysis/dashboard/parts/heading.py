"""How a page begins."""

import streamlit as st

from analysis.dashboard import uploads
from analysis.dashboard.page import Page
from analysis.dashboard.words import plain


def heading(what: str, page: Page, *others: str) -> None:
    """What the page answers, and from which runs."""
    names = (uploads.name_of(one).rpartition("/")[2] for one in (page.source, *others) if one)
    st.title(plain(f"{what}: {' and '.join(names)}"), anchor=False)
