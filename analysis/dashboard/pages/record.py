"""Were the forecasts right? Every sealed one with its verdict, and how many held so far."""

import streamlit as st

from analysis.dashboard.page import Page
from analysis.dashboard.words import sentence, table
from analysis.evaluation.verdicts import record_line, unproved
from analysis.report import state_tables


def draw(page: Page) -> None:
    """The record of every sealed forecast of the run store."""
    st.title("Record")
    known = page.known("seals", "", (), page.feeds.seals)
    standings = known.value
    if not standings:
        st.info("No forecast is sealed yet; seal one with `scaling forecast SOURCE --seal NAME`.")
        return
    st.markdown(sentence(record_line(standings)))
    table(state_tables.seals_table(standings))
    for text in unproved(standings):
        st.caption(sentence(text))
