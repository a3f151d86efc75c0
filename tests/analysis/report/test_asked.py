"""Facts about the report's answers to questions of the reader's own: they are the verbs' own."""

import json
import re
from html import unescape

import pytest

from analysis.forecasting.question.targets import Targets
from analysis.report import Asked, gather_findings, render_report
from analysis.report.tables.forecasts import (
    NOT_SUPPORTED,
    asked_splits_table,
    asked_table,
    forecast_table,
    split_of_constants,
    splits_table,
)
from analysis.report.words.summary import summarise
from analysis.text.numbers import count_in_words, flops_in_words, loss_in_words, rough_in_words
from scaling.cli import main
from scaling.limits import LimitCode
from scaling.records import write_records

QUESTIONS = {
    "--flops": ("3e20", "1e25"),
    "--params": ("1B", "2B"),
    "--tokens": ("20B", "40B"),
    "--target-loss": ("2.2", "1.701"),
}


@pytest.fixture(scope="module")
def runs(ladder, tmp_path_factory):
    path = tmp_path_factory.mktemp("asked") / "ladder.csv"
    write_records(ladder, path)
    return str(path)


@pytest.fixture
def page(runs, tmp_path, undrawn):
    """The tables of the section that answers, row by row."""
    flags = [word for flag, values in QUESTIONS.items() for word in (flag, *values)]
    page = tmp_path / "report.html"
    assert (
        main(
            [
                "report",
                runs,
                *flags,
                "--level",
                "0.9",
                "--level",
                "0.5",
                "--title",
                "Q3 & on",
                "-o",
                str(page),
            ]
        )
        == 0
    )
    return unescape(page.read_text(encoding="utf-8")).replace("\u00a0", " ")


def rows_of(page):
    begins = page.index('<h2 id="asked">')
    section = page[begins : page.index("<h2 ", begins + 1)]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>.*?</tr>", section)]


def answer_of(capsys, *argv):
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_report_gives_the_numbers_of_the_verbs(page, runs, capsys):
    levels = ("--level", "0.9", "--level", "0.5")
    sizes = ("--params", *QUESTIONS["--params"], "--tokens", *QUESTIONS["--tokens"])
    by_size = answer_of(capsys, "forecast", runs, *sizes, *levels)
    by_budget = answer_of(capsys, "forecast", runs, "--flops", *QUESTIONS["--flops"], *levels)
    splits = answer_of(capsys, "allocate", runs, "--flops", *QUESTIONS["--flops"], *levels)
    losses = ("--target-loss", *QUESTIONS["--target-loss"])
    budgets = answer_of(capsys, "forecast", runs, *losses, *levels)

    rows = [row for row in rows_of(page) if row]
    for target, row in zip(by_size["targets"] + by_budget["targets"], rows[:4], strict=True):
        supported = target["median"] is not None
        place = f"{flops_in_words(target['at']['train_flops'], 3)} FLOP"
        assert row[0].startswith(f"{place} (N ") if supported else row[0] == place
        write = loss_in_words if supported else rough_in_words
        assert row[1] == (loss_in_words(target["median"]) if supported else NOT_SUPPORTED)
        for cell, level in zip(row[2:4], ("0.9", "0.5"), strict=True):
            assert cell == " to ".join(write(end) for end in target["intervals"][level])
    assert [row[1] == NOT_SUPPORTED for row in rows[:4]] == [False, False, False, True]
    for split, row in zip(splits, rows[4:6], strict=True):
        for cell, name in zip(row[1::2], ("params", "tokens"), strict=True):
            known = split[name] is not None
            assert cell == (count_in_words(split[name]) if known else NOT_SUPPORTED)
        ends = (count_in_words(end) for end in split["params_range"]["0.9"])
        assert row[2] == " to ".join(ends)
    for budget, row in zip(budgets, rows[6:], strict=True):
        assert row[0] == f"{budget['loss']:g}"
        known = budget["median"] is not None
        assert row[1] == (f"{flops_in_words(budget['median'], 3)} FLOP" if known else NOT_SUPPORTED)
    assert rows[6][1] != NOT_SUPPORTED == rows[7][1]


def test_the_page_has_the_title_that_it_was_given(page):
    assert "<title>Q3 & on</title>" in page and "<h1>Q3 & on</h1>" in page


def test_what_is_not_supported_is_said_in_the_summary_and_shown_nowhere(page):
    summary = page[page.index("What you asked for.") : page.index("What was run.")]
    assert "1 × 10²⁵ FLOP" in summary and "would end somewhere between" in summary
    assert "lies too far out for a number: somewhere from" in summary
    notes = page[page.index('<h2 id="asked">') : page.index('<h2 id="runs">')]
    assert "Unsupported: " in notes and "The split of 1 × 10²⁵ FLOP: " in notes
    assert page.index("What you asked for.") < page.index("What was run.")


@pytest.mark.usefixtures("undrawn")
def test_a_question_that_cannot_be_answered_is_said_and_costs_no_other(ladder):
    asked = Asked(targets=(Targets.flops(1e60), Targets.runs(1e9, 2e10)), losses=(-1.0,))
    found = gather_findings(ladder, bootstrap=0, with_backtest=False, asked=asked)
    refused = [limit.text for limit in found.limits if limit.code is LimitCode.NO_ANSWER]
    assert len(refused) == 2 and "decades beyond the data" in refused[0]
    assert refused[1] == (
        "the budget for a loss of -1: target loss -1: give a finite loss above zero"
    )
    text = unescape(render_report(found))
    assert all(f"Not answered: {one}." in text for one in refused)
    assert [row[0].endswith("(N\u00a01B, D\u00a020B)") for row in asked_table(found).rows] == [True]


@pytest.mark.usefixtures("undrawn")
def test_a_report_that_is_asked_nothing_has_no_such_section(ladder):
    found = gather_findings(ladder, bootstrap=0, with_backtest=False, asked=Asked())
    assert found.answers is None and "asked for" not in render_report(found)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--params", "1B"], "--params and --tokens pair up"),
        (["--params", "1B", "--tokens", "1B", "2B"], "as many of one as of the other"),
        (["--values", "3"], "name it with --x COLUMN"),
    ],
)
def test_half_a_question_is_refused_as_a_forecast_refuses_it(runs, flags, said, tmp_path, capsys):
    for verb in (["report", runs, "-o", str(tmp_path / "page.html")], ["forecast", runs]):
        assert main([*verb, *flags]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_a_factor_that_was_asked_for_nearly_has_no_second_answer(ladder):
    asked = Asked(targets=(Targets.flops(1.03e21, 1.033e21, 1.0334e21),))
    found = gather_findings(ladder, bootstrap=0, with_backtest=False, asked=asked)
    assert found.factors == found.split_factors == (100,)
    note = "10\u00d7 (1 \u00d7 10\u00b2\u00b9 FLOP) is nearly what you asked for and stands there."
    for table in (forecast_table(found), splits_table(found)):
        assert [row[0] for row in table.rows] == ["100\u00d7"] and table.note == note
    assert split_of_constants(found).count("FLOP") == 4  # three asked for, and a hundred times
    summary = " ".join(statement.text for statement in summarise(found))
    assert "10 times the largest fitted run (" not in summary
    assert "100 times the largest fitted run (" in summary
    for table in (asked_table(found), asked_splits_table(found)):
        assert len({row[0].partition(" FLOP")[0] for row in table.rows}) == 3
