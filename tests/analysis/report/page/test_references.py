"""Facts about what losses are held against, in the report: a table, a line, and words for what is
infinite."""

from dataclasses import replace

import pytest

from analysis.report import gather_findings, render_report
from analysis.report.figures.data import data_behind
from analysis.report.tables.state import references_table
from tests.analysis.report.page.read import Page


@pytest.fixture(scope="module")
def held(ladder):
    columns = {
        "baseline.unigram": 3.5,
        "baseline.empirical_unseen_contexts": 40,
        "baseline.empirical_unseen_tokens": 2,
        "baseline.counted_tokens": 1e6,
        "baseline.scored_tokens": 50,
        "entropy": 1.5,
    }
    records = replace(ladder, table=ladder.table.assign(**columns))
    return gather_findings(records, bootstrap=50, with_backtest=False)


def test_the_report_lists_them_with_how_many_runs_lie_below(held):
    table, losses = references_table(held), held.used.column("loss")
    assert [row[0].split(":")[0] for row in table.rows] == ["unigram", "empirical", "entropy"]
    below = f"{(losses < 3.5).sum()} of {len(losses)}"
    assert table.rows[0][1:] == ("3.5", below)
    said = "infinite (40 of 50 contexts unseen, 2 tokens never seen after the context)"
    assert table.rows[1][1:] == (said, "all")
    assert table.rows[2][1:] == ("1.5", f"0 of {len(losses)}")
    assert "counted in 1,000,000 training tokens" in table.note


def test_the_page_shows_them_and_its_figure_carries_them(held, html):
    text = Page(render_report(held)).text
    assert "What losses are held against" in text and "Dotted lines are" in text
    series = data_behind(held)["loss"].set_index("series")["loss"]
    assert series["reference: unigram"] == 3.5 and series["reference: entropy"] == 1.5
    assert "What losses are held against" not in Page(html).text
