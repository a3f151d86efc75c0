"""Every sweep and table, with its answer in one line."""

import streamlit as st

from analysis.dashboard import uploads
from analysis.dashboard.page import Page
from analysis.dashboard.words import table
from analysis.report import state_tables
from analysis.report.tables import Table
from scaling.errors import ScalingError

FIELDS = ()
NO_RUNS = (
    "No sweep yet. Start one with `scaling run CONFIG`, name a table with `scaling dashboard "
    "FILE`, or drop one in here."
)


def draw(page: Page) -> None:
    """A row a source; one that cannot be read is an error on its own row."""
    st.title("Sweeps and tables")
    if not page.sources:
        st.info(NO_RUNS)
        return
    rows = [_row(page, source) for source in page.sources]
    table(Table(head=("Source", "Runs"), rows=tuple(rows)))


def _row(page: Page, source: str) -> tuple[str, ...]:
    try:
        records = page.load(source, bare=source != page.source)
    except ScalingError as error:
        return (uploads.name_of(source), str(error))
    counts = state_tables.state_counts(records)
    return (uploads.name_of(source), ", ".join(f"{n:,} {state}" for state, n in counts.items()))
