"""Facts about how results show themselves: one list of blocks, in a terminal and in a notebook."""

import re

from scaling.display import Section, Table, as_html, as_text

WIDE = Table(["run", "loss", "interval"], [["a <b> & c", "1.0000", "[0.9, 1.1]"], ["d", "2", "-"]])
BLOCKS = ["a head", "", WIDE, Section("limits", ["few runs & more"]), Section("evidence", [])]


def test_text_has_every_block_and_no_empty_section():
    assert as_text(BLOCKS).splitlines() == [
        "a head",
        "",
        "run          loss    interval",
        "a <b> & c  1.0000  [0.9, 1.1]",
        "d               2           -",
        "",
        "limits:",
        "  - few runs & more",
    ]


def test_a_table_wider_than_the_terminal_is_cut_and_each_part_names_its_rows():
    lines = as_text([WIDE], width=20).splitlines()
    assert max(map(len, lines)) <= 24  # a column is never cut itself
    assert [line.split()[0] for line in lines if line] == ["run", "a", "d"] * 2
    assert as_text([WIDE], width=40) == as_text([WIDE])


def test_a_long_sentence_is_wrapped_and_hangs_under_its_beginning():
    text = as_text([Section("limits", ["so many words " * 10])], width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert text.splitlines()[3].startswith("    so")


def test_html_has_the_same_cells_escaped():
    html = as_html(BLOCKS)
    assert ">a &lt;b&gt; &amp; c</td>" in html and "<b>" not in html
    assert "<li>few runs &amp; more</li>" in html and "evidence" not in html
    for cell in ("a head", "1.0000", "[0.9, 1.1]"):
        assert cell in html


def test_a_table_of_many_columns_names_each_cell_where_it_is_narrow():
    """On a phone its rows are broken, so that no cell is cut off: each has its heading."""
    many = Table(["run", "loss", "low", "high"], [["a", "1", "0.9", "1.1"]])
    html = as_html([many])
    cells = re.findall(r'<td data-head="(.*?)">(.*?)</td>', html)
    assert cells == list(zip(many.header, many.rows[0], strict=True))
    assert "<table class=many>" in html and "@container" in html
    assert "<table class=many>" not in as_html([WIDE])
