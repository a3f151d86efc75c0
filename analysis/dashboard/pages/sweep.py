"""Where a sweep stands at this moment."""

import streamlit as st

from analysis.dashboard.page import Page
from analysis.dashboard.state import flag_field
from analysis.dashboard.words import plain, table
from analysis.report import state_tables

FIELDS = (flag_field("live", default=True),)


def draw(page: Page) -> None:
    """The runs by state."""
    st.title(plain(page.source))
    counts = state_tables.state_counts(page.records)
    for column, (state, count) in zip(
        st.columns(max(len(counts), 6)), counts.items(), strict=False
    ):
        column.metric(state, count)
    outlooks = page.known(
        "outlooks", page.source, page.source, lambda: page.feeds.outlooks(page.source)
    )
    lines = {run_id: found.line for run_id, found in outlooks.value.items()}
    table(state_tables.standing_table(page.records, lines))
