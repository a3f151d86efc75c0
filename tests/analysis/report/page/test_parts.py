"""Facts about the report's sections of other verbs: the same numbers, in every form."""

import json
import re
from html import unescape

import numpy as np
import pytest

from analysis import ForecastOptions, compare, next_runs
from analysis.forecasting.question.targets import Targets
from analysis.report import Asked, gather_findings, render_report
from analysis.report.forms.document import report_json
from analysis.report.forms.markdown import report_markdown
from analysis.report.page.parts import parts_of
from analysis.report.words.summary import summarise
from analysis.text.compared import comparison_blocks
from scaling import laws
from scaling.cli import main
from scaling.display import Table as Cells
from scaling.limits import LimitCode
from scaling.records import records_from_table, write_records
from scaling.simulate import isoflop_runs, simulate_records
from tests.analysis.report.page.read import Page

FEW = ForecastOptions(draws=400)
BETTER = laws.Chinchilla(E=1.7, A=380.0, B=1900.0, alpha=0.34, beta=0.37)


@pytest.fixture(scope="module")
def other(truth):
    grid = isoflop_runs([1e18, 3e18, 1e19, 3e19, 1e20], [0.35, 0.7, 1.4, 2.8], truth)
    return simulate_records(BETTER, grid, relative_noise=0.003, seed=9)


@pytest.fixture(scope="module")
def asked(other):
    return Asked(targets=(Targets.flops(1e21),), against=other, next_budget=3e20)


@pytest.fixture(scope="module")
def found(ladder, asked):
    return gather_findings(ladder, bootstrap=50, options=FEW, asked=asked, with_backtest=False)


def words(text):
    return " ".join(re.sub(r"\\(.)", r"\1", unescape(text)).replace("\u00a0", " ").split())


@pytest.mark.usefixtures("undrawn")
def test_the_sections_are_there_in_order_with_headings_of_their_own(found):
    assert [part.id for part in parts_of(found)] == [
        "open",
        "compared",
        "next",
        "quoted",
        "identity",
    ]
    page = render_report(found)
    for part in parts_of(found):
        assert f'<h2 id="{part.id}">' in page and f'<a href="#{part.id}">' in page


@pytest.mark.usefixtures("undrawn")
def test_every_cell_and_sentence_of_them_stands_in_html_and_in_markdown(found):
    page = words(Page(render_report(found)).text)
    markdown = words(report_markdown(found, "A title"))
    for part in parts_of(found):
        assert len(part.tables) >= 1
        for piece in part.pieces:
            if isinstance(piece, str):
                shown = [piece]
            elif hasattr(piece, "rows"):
                shown = [cell for row in (piece.head, *piece.rows) for cell in row]
            else:
                shown = list(piece.sentences)
            for text in shown:
                assert words(text) in page and words(text) in markdown, text


def test_the_comparison_is_that_of_its_verb(found, ladder, other):
    own = compare(ladder, other, 1e21, options=found.options)
    document = json.loads(report_json(found, ""))["comparison"]
    assert document["gate"]["decision"] == own.verdict().decision
    assert document["targets"] == json.loads(own.to_json())["targets"]
    (part,) = (part for part in parts_of(found) if part.id == "compared")
    tables = [block for block in comparison_blocks(own) if isinstance(block, Cells)]
    assert [table.rows for table in part.tables] == [tuple(map(tuple, t.rows)) for t in tables]
    (told,) = (one.text for one in summarise(found) if one.heading == "Which recipe")
    multiplier = own.targets[-1].multiplier
    assert multiplier > 1 and f"needs {multiplier:.3g} times its compute" in told
    assert 'download="multiplier-of-compute-against-compute.csv"' in render_report(found)


def test_what_to_run_next_is_what_its_verb_proposes(found, ladder):
    own = next_runs(ladder, 1e21, 3e20, options=found.options)
    document = json.loads(report_json(found, ""))["next"]
    assert document["runs"] == json.loads(own.to_json())["runs"]
    (told,) = (one.text for one in summarise(found) if one.heading == "What to run next")
    assert "would narrow the 90% interval" in told


def test_the_open_cell_of_a_diverged_run_is_told_in_summary_section_and_json(found):
    (told,) = (one.text for one in summarise(found) if one.heading == "Provisional")
    assert "1 open cell" in told
    document = json.loads(report_json(found, ""))["provisional"]
    assert document["cells"][0]["states"] == {"diverged": 1}
    assert document["together"] == pytest.approx(found.provisional.together)


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_that_cannot_be_made_is_said_and_costs_nothing_else(ladder, other):
    elsewhere = other.table.assign(params=other.table["params"] * 1e4, tokens=1e3, train_flops=1e30)
    asked = Asked(against=elsewhere, next_budget=1.0)
    made = gather_findings(ladder, bootstrap=0, options=FEW, asked=asked, with_backtest=False)
    assert made.comparison is None and made.proposal is None
    refused = [limit.text for limit in made.limits if limit.code is LimitCode.NO_ANSWER]
    assert refused[0].startswith("the comparison asked for: ")
    assert refused[1].startswith("what to run next: ") and "raise the budget" in refused[1]
    page = unescape(render_report(made))
    assert all(text in page for text in refused)


@pytest.mark.usefixtures("undrawn")
def test_hostile_names_of_the_other_recipe_break_no_form(ladder, other):
    bad = "<script>alert(1)</script>|\u202e" + "x" * 500
    asked = Asked(against=records_from_table(other.table, source=bad))
    made = gather_findings(ladder, bootstrap=0, options=FEW, asked=asked, with_backtest=False)
    page = render_report(made)
    assert "<script>" not in page and "\u202e" not in page
    assert all(len(part.heading) < 100 for part in parts_of(made))
    assert "<script>" not in report_markdown(made, "t")
    json.loads(report_json(made, bad))


@pytest.mark.usefixtures("undrawn")
def test_the_verb_takes_the_other_recipe_and_the_budget(ladder, other, tmp_path, capsys):
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    write_records(ladder, paths[0])
    write_records(other, paths[1])
    out = tmp_path / "report.json"
    flags = ["--against", str(paths[1]), "--next", "3x", "--draws", "200", "-o", str(out)]
    assert main(["report", str(paths[0]), *flags]) == 0
    said = capsys.readouterr().err
    document = json.loads(out.read_text())
    assert document["comparison"]["b"] == str(paths[1]) and "3x the largest run" in said
    assert document["next"]["budget"] == pytest.approx(3e20, rel=0.01)
    assert document["next"]["target_flops"] == pytest.approx(
        10 * np.max(ladder.usable().column("train_flops"))
    )
    missing = ["report", str(paths[0]), "--against", "gone.csv", "-o", str(out)]
    assert main(missing) == 2 and "gone.csv" in capsys.readouterr().err


def test_a_page_says_what_it_is_of(found, seal):
    from dataclasses import replace

    from analysis.evaluation.verdicts import SealStanding

    standing = SealStanding(seal=seal, verdicts=(), limits=())
    links = {"mlflow:known": "http://127.0.0.1:5000/#/experiments/1/runs"}
    made = replace(found, seals=(standing,), links=links)
    (part,) = (part for part in parts_of(made) if part.id == "identity")
    cells = dict(part.tables[0].rows)
    assert cells["Data hash of the runs"] == found.records.data_hash
    assert cells["Digest of the seal bet"] == seal.digest
    assert cells["Runs of mlflow:known"] == links["mlflow:known"]
    assert json.loads(report_json(made, ""))["links"] == links
