"""Words and tables on a page: whatever they were made from, they stay text."""

import html
import re
from collections.abc import Iterable, Sequence

import streamlit as st

from analysis.report.tables.cells import Table
from analysis.text.numbers import in_print
from scaling.limits import Limit, texts

STYLE = """<style>
.scaling-table { overflow-x: auto; margin: .3rem 0 1rem; }
.scaling-table table { border-collapse: collapse; font-size: .9rem; }
.scaling-table th, .scaling-table td { text-align: left; vertical-align: top; white-space: nowrap;
  padding: .3rem 1rem .3rem 0; border-bottom: 1px solid rgba(128, 128, 128, .3); }
.scaling-table td.wide { white-space: normal; min-width: 10rem; overflow-wrap: anywhere; }
.scaling-table thead th { border-bottom: 2px solid rgba(128, 128, 128, .7); }
.scaling-table tr.marked td { background: rgba(255, 200, 60, .22); }
[data-testid="stMainBlockContainer"] { padding: 3.4rem 2.5rem 3rem; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding: 4.4rem 1rem 3rem; }
  .scaling-cards thead { display: none; }
  .scaling-cards tr { display: block; border-bottom: 2px solid rgba(128, 128, 128, .5);
    padding: .4rem 0; }
  .scaling-cards td { display: flex; gap: .6rem; border: none; white-space: normal;
    padding: .1rem 0; }
  .scaling-cards td::before { content: attr(data-label); min-width: 7.5rem; opacity: .7; }
  .scaling-cards td:empty { display: none; }
}
.scaling-facts { display: flex; flex-wrap: wrap; gap: .3rem 1.8rem; }
.scaling-facts div div { font-size: .8rem; opacity: .7; }
.scaling-facts strong { font-size: 1.15rem; font-weight: 600; }
h1 { font-size: 1.9rem !important; overflow-wrap: anywhere; }
h3 { font-size: 1.3rem !important; }
</style>"""
_LONG = 32  # characters of a cell that may be broken into lines


def plain(text: str) -> str:
    """The text as it stands: what Markdown and Streamlit would read as signs is escaped."""
    shown = "".join(c if c.isprintable() or c in "\n\u00a0" else repr(c)[1:-1] for c in text)
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!~|:$&^])", r"\\\1", shown)


def sentence(text: str) -> str:
    """A sentence of the library for a page: a capital first, a full stop last, and plain."""
    said = in_print(text)
    return plain(said if said.endswith((".", "?", "!")) else f"{said}.")


def table(shown: Table, *, cards: bool = False, links: Sequence[str] = ()) -> None:
    """A table of the report; wide ones scroll by themselves, or are a card a row on a phone.

    ``links`` are addresses to which the first cells of the rows lead.
    """
    if not shown.rows:
        return
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in shown.head)
    body = "".join(
        _row(row, shown.head, marked=i in shown.marked, link=links[i] if links else "")
        for i, row in enumerate(shown.rows)
    )
    look = "scaling-table scaling-cards" if cards else "scaling-table"
    st.html(
        f'<div class="{look}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
    if shown.note:
        st.caption(plain(shown.note))


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """A few facts in a line that breaks on a phone: what is told, and its value."""
    body = "".join(
        f"<div><div>{html.escape(name)}</div><strong>{html.escape(value)}</strong></div>"
        for name, value in pairs
    )
    st.html(f'<div class="scaling-facts">{body}</div>')


def _row(cells: Sequence[str], head: Sequence[str], *, marked: bool, link: str) -> str:
    shown = [html.escape(cell) for cell in cells]
    if link:
        shown[0] = f'<a href="{html.escape(link)}" target="_self">{shown[0]}</a>'
    wide = [' class="wide"' * (len(cell) > _LONG) for cell in cells]
    body = "".join(
        f'<td data-label="{html.escape(name)}"{look}>{text}</td>'
        for name, look, text in zip(head, wide, shown, strict=False)
    )
    return f'<tr class="{"marked" if marked else "plain"}">{body}</tr>'


def say_limits(limits: Iterable[Limit]) -> None:
    """What limits an answer, each sentence once."""
    for text in texts(limits):
        st.caption(sentence(text))
