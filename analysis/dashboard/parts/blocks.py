"""What a verb prints, on a page: the blocks of a result as tables and lines."""

import re
from collections.abc import Iterable

import streamlit as st

from analysis.dashboard.words import sentence, table
from analysis.report.tables.cells import Table
from analysis.text.numbers import MINUS
from scaling import display

_DASH = "\u2013"
_NEGATIVE = re.compile(r"(?<![\w.])-(?=[\d.])")


def show_blocks(blocks: Iterable[display.Block]) -> None:
    """The blocks in their order: tables, sentences, and sections folded to their lines."""
    for block in blocks:
        if isinstance(block, display.Table):
            table(of_text(block))
        elif isinstance(block, display.Section):
            for line in block.sentences:
                st.caption(sentence(line))
        elif block.strip():
            st.caption(sentence(block.strip()))


def of_text(shown: display.Table) -> Table:
    """A table of a verb as one of the report."""
    head = tuple(cell[:1].upper() + cell[1:] for cell in map(str.strip, shown.header))
    return Table(head=head, rows=tuple(tuple(map(_cell, row)) for row in shown.rows))


def _cell(text: str) -> str:
    return _DASH if text == "-" else _NEGATIVE.sub(MINUS, text.strip())
