"""Words and tables on a page: whatever they were made from, they stay text."""

import html
import re
from collections.abc import Iterable, Sequence

import streamlit as st

from analysis.report.tables import Table
from analysis.text.numbers import in_print
from scaling.limits import Limit, texts

STYLE = """<style>
.scaling-table { overflow-x: auto; margin: .3rem 0 1rem; }
.scaling-table table { border-collapse: collapse; font-size: .9rem; }
.scaling-table th, .scaling-table td { text-align: left; vertical-align: top; white-space: nowrap;
  padding: .3rem 1rem .3rem 0; border-bottom: 1px solid rgba(128, 128, 128, .3); }
.scaling-table td.wide { white-space: normal; min-width: 16rem; }
.scaling-table thead th { border-bottom: 2px solid rgba(128, 128, 128, .7); }
.scaling-table tr.marked td { background: rgba(255, 200, 60, .22); }
[data-testid="stMainBlockContainer"] { padding-top: 3.6rem; }
[data-testid="stMetricValue"] { font-size: 1.5rem; }
</style>"""
_LONG = 48  # characters of a cell that may be broken into lines


def plain(text: str) -> str:
    """The text as it stands: what Markdown and Streamlit would read as signs is escaped."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!~|:$&^])", r"\\\1", shown)


def sentence(text: str) -> str:
    """A sentence of the library for a page: a capital first, a full stop last, and plain."""
    said = in_print(text)
    return plain(said if said.endswith((".", "?", "!")) else f"{said}.")


def table(shown: Table) -> None:
    """A table of the report; wide ones scroll by themselves."""
    if not shown.rows:
        return
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in shown.head)
    body = "".join(_row(row, marked=i in shown.marked) for i, row in enumerate(shown.rows))
    st.html(
        f'<div class="scaling-table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
    if shown.note:
        st.caption(plain(shown.note))


def _row(cells: Sequence[str], *, marked: bool) -> str:
    body = "".join(
        f"<td{' class=wide' * (len(cell) > _LONG)}>{html.escape(cell)}</td>" for cell in cells
    )
    return f'<tr class="{"marked" if marked else "plain"}">{body}</tr>'


def say_limits(limits: Iterable[Limit]) -> None:
    """What limits an answer, each sentence once."""
    for text in texts(limits):
        st.caption(sentence(text))
