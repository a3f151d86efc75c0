"""Facts about the report's forms: HTML, Markdown and JSON have the same numbers."""

import json
import re
from html import unescape
from inspect import getsource
from pathlib import Path

import pytest

from analysis import ForecastOptions, Hardware
from analysis.forecasting.question.targets import Targets
from analysis.report import Asked, gather_findings, render_report, write_report
from analysis.report.forms import markdown
from analysis.report.forms.document import report_json
from analysis.report.forms.markdown import report_markdown, report_tables
from analysis.report.page import render
from analysis.text.numbers import amount_in_words, count_in_words, loss_in_words
from scaling import Price
from scaling.cli import main
from scaling.records import write_records
from tests.analysis.report.page.read import Page

MEANS = Hardware(
    price=Price(per_device_hour=2.5, currency="USD"), mfu=0.4, devices=8, deadline=86400.0
)


@pytest.fixture(scope="module")
def planned(ladder):
    asked = Asked(targets=(Targets.flops(3e20, 1e25),), losses=(2.2,), hardware=MEANS)
    return gather_findings(ladder, bootstrap=50, options=ForecastOptions(draws=400), asked=asked)


@pytest.fixture(scope="module")
def page(planned):
    return Page(render_report(planned)).text


def words(text):
    """Text without the marks and breaks in which its forms differ."""
    return " ".join(re.sub(r"\\(.)", r"\1", unescape(text)).replace("\u00a0", " ").split())


def test_every_cell_of_the_markdown_tables_stands_on_the_page(planned, page):
    on_page = words(page)
    cells = {
        cell
        for _, table in report_tables(planned)
        for row in (table.head, *table.rows)
        for cell in row
        if cell != "Assumption"
    }
    assert len(cells) > 100
    assert [cell for cell in cells if words(cell).rstrip(".") not in on_page] == []


def test_every_table_that_the_page_shows_is_one_of_the_markdown():
    shown = re.compile(r"(?:state_tables|decision_tables|tables)\.(\w+_table)\(")
    template = (Path(render.__file__).parent / "report.html").read_text()
    on_page, as_markdown = (set(shown.findall(t)) for t in (template, getsource(markdown)))
    assert len(on_page) > 15 and on_page == as_markdown


def test_what_the_runs_alone_allow_is_told_in_markdown_too(ladder):
    asked = ForecastOptions(draws=400, certificate=True)
    found = gather_findings(ladder, bootstrap=50, options=asked)
    assert "Any sum of falling powers" in report_markdown(found, "A title")


def test_markdown_has_every_table_and_statement(planned):
    text = words(report_markdown(planned, "A title"))
    for _, table in report_tables(planned):
        for row in table.rows:
            assert words(" | ".join(row)) in text
    for statement in json.loads(report_json(planned, "A title"))["summary"]:
        assert words(statement["text"]) in text


def test_the_numbers_of_json_are_those_of_the_page(planned, page):
    on_page = words(page)
    document = json.loads(report_json(planned, "A title"), parse_constant=pytest.fail)
    first, far = document["plan"]["budgets"]
    assert amount_in_words(first["cost"]) in on_page and document["plan"]["currency"] == "USD"
    assert amount_in_words(first["device_hours"]) in on_page
    assert count_in_words(first["split"]["params"]) in on_page
    assert loss_in_words(first["split"]["loss"]) in on_page
    assert far["split"]["params"] is None and far["split"]["loss"] is None
    assert {one["name"] for one in document["plan"]["assumed"]} >= {"mfu", "peak_flops", "devices"}
    for one in document["plan"]["assumed"]:
        assert one["text"].partition(",")[0].lower() in on_page.lower()


def test_the_decision_is_told_in_the_summary_with_what_it_takes(planned):
    statements = json.loads(report_json(planned, ""))["summary"]
    (decided,) = (s["text"] for s in statements if s["heading"] == "What budgets buy, and take")
    assert "device hours" in decided and "USD" in decided and "Twice the budget" in decided
    assert "No size and no loss is supported at 1" in decided  # 1e25 FLOP
    assert "Within 24 h these do not end" in decided


def test_without_a_speed_no_hours_are_shown(ladder, findings):
    text = report_markdown(findings, "")
    assert "The decision" in text and "device hours" not in text.lower()
    assert findings.plan.splits == findings.splits


@pytest.mark.usefixtures("undrawn")
def test_a_file_has_the_form_of_its_ending(planned, tmp_path):
    for ending, begins in ((".md", "# Q3"), (".json", "{"), (".html", "<!DOCTYPE")):
        path = write_report(planned, tmp_path / f"report{ending}", title="Q3")
        assert path.read_text(encoding="utf-8").lstrip().startswith(begins)


def test_hostile_names_break_no_form(ladder, tmp_path):
    bad = "<script>alert(1)</script>|`x`\n# [y](javascript:z)\x1b[31m"
    table = ladder.table.assign(run_id=[f"{bad}{i}" for i in range(len(ladder))])
    from scaling.records import records_from_table

    found = gather_findings(
        records_from_table(table, source=f"runs{bad}.csv"),
        bootstrap=0,
        with_backtest=False,
        options=ForecastOptions(draws=200),
    )
    html = render_report(found)
    assert "<script>" not in html
    text = report_markdown(found, bad)
    assert "\x1b" not in text and "<script>" not in text
    heads = [line for line in text.splitlines() if line.startswith("# ")]
    assert len(heads) == 1
    widths = {}
    for line in text.splitlines():
        if line.startswith("|"):
            widths.setdefault(len(re.findall(r"(?<!\\)\|", line)), 0)
    json.loads(report_json(found, bad))


@pytest.mark.parametrize("ending", [".md", ".json"])
def test_the_verb_writes_each_form(ladder, tmp_path, ending, capsys):
    runs, file = tmp_path / "runs.csv", tmp_path / f"report{ending}"
    write_records(ladder, runs)
    flags = ["--flops", "3e20", "--price", "2.5EUR/h", "--mfu", ".4", "--draws", "200"]
    assert main(["report", str(runs), *flags, "-o", str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert "EUR" in text
    assert main(["report", str(runs), "--price", "2/h", "-o", str(file)]) == 2
    assert "no run was timed" in capsys.readouterr().err


def test_a_price_for_runs_that_know_no_split_is_not_passed_over(tmp_path, capsys):
    flops = [1e17 * 2**i for i in range(7)]
    rows = [f"{c},{1.8 + 1000 * c**-0.15}" for c in flops]
    runs = tmp_path / "curve.csv"
    runs.write_text("\n".join(["flops,loss", *rows]))
    flags = ["--flops", "1e20", "--price", "2/h", "--mfu", ".4", "-o", str(tmp_path / "r.md")]
    assert main(["report", str(runs), *flags]) == 0
    assert "not answered: what budgets cost" in capsys.readouterr().err
