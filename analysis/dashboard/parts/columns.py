"""Which columns of a table were understood as what, and a way to say otherwise by hand."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from analysis.dashboard import uploads
from analysis.dashboard.page import Page, refused
from analysis.dashboard.state import choose
from analysis.dashboard.words import sentence, table
from analysis.report.tables import cells as tables
from scaling.display import Table
from scaling.errors import ScalingError
from scaling.records import Records
from scaling.tables.files.read import read_file
from scaling.tables.notes import printable

OURS = {
    "loss": "Loss",
    "params": "Parameters",
    "tokens": "Training tokens",
    "train_flops": "Training FLOP",
}
BY_ITSELF = ""
MOST_OFFERED = 500  # columns of a table


def show_columns(page: Page) -> None:
    """The columns of the chosen table with their meaning, and how to map them by hand."""
    st.subheader("Columns")
    try:
        records = page.records
    except ScalingError as error:
        refused(error)
        records = None
    if records is not None:
        _understood(records)
    with st.expander("Map columns by hand", expanded=records is None):
        try:
            theirs = _theirs(page, records)
        except ScalingError as error:
            refused(error)
            return
        for place, (ours, title) in zip(st.columns(len(OURS)), OURS.items(), strict=True):
            with place:
                _choice(page, ours, title, theirs)


def _understood(records: Records) -> None:
    """What the reader made of the table: the columns, and its notes. Of held-out runs it tells no
    loss, as no page does."""
    seen = records
    if "held_out" in records:
        seen = records.select(~records.table["held_out"].astype(bool), "held out by the plan")
    for block in seen.blocks():
        if isinstance(block, Table):
            rows = tuple(tuple(map(str, row)) for row in block.rows)
            table(tables.Table(head=tuple(map(str, block.header)), rows=rows))
    for note in records.told:
        st.caption(sentence(note.text))


def _theirs(page: Page, records: Records | None) -> list[str]:
    """The columns of the table by its own names."""
    if records is not None and records.raw is not None:
        return [str(name) for name in records.raw.columns][:MOST_OFFERED]
    path = uploads.path_of(page.source) or Path(page.source)
    return [str(name) for name in read_file(path).frame.columns][:MOST_OFFERED]


def _choice(page: Page, ours: str, title: str, theirs: Sequence[str]) -> None:
    mapped = page.columns.get(ours, BY_ITSELF)
    options = [BY_ITSELF, *dict.fromkeys((*theirs, *([mapped] if mapped else [])))]
    key = f"map {ours}"
    if key not in st.session_state or st.session_state[key] != mapped:
        st.session_state[key] = mapped
    st.selectbox(
        title,
        options,
        format_func=lambda name: printable(name) if name else "by its name",
        key=key,
        on_change=_mapped,
        args=(page, ours, key),
    )


def _mapped(page: Page, ours: str, key: str) -> None:
    """A column was mapped: the address says so."""
    pairs = {**page.columns, ours: st.session_state[key]}
    texts = tuple(f"{name}={column}" for name, column in pairs.items() if column)
    choose(page.state.fields["map"], texts)
