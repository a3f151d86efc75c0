"""Facts about laws of any columns, and groups of runs, in the report: they are the verbs' own."""

import io
import json
from contextlib import redirect_stdout
from functools import cache

import numpy as np
import pandas as pd
import pytest

from analysis.discovery.discover import discover
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.report import Asked, gather_findings
from analysis.report.tables import forecasts as forecast_tables
from analysis.report.words.summary import summarise
from scaling.cli import main
from scaling.laws.written.formula import law_for
from scaling.limits import LimitCode
from scaling.sources import records_from

LAW = "E + A*N^-alpha + B*vocab^-beta"
BY_LAB = ("--by", "lab", "--law", "chinchilla")


def of_vocabularies():
    n, v = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(4e3, 1e5, 5)))
    noise = np.exp(0.003 * np.random.default_rng(0).normal(size=n.size))
    loss = (1.7 + 400 * n**-0.34 + 3 * v**-0.2) * noise
    return pd.DataFrame({"params": n, "tokens": 20 * n * (v / 2e4), "vocab": v, "loss": loss})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("apart")


@pytest.fixture(scope="module")
def table(folder):
    of_vocabularies().to_csv(folder / "runs.csv", index=False)
    return str(folder / "runs.csv")


@pytest.fixture(scope="module")
def grouped(folder):
    ours = of_vocabularies()
    theirs = ours.assign(lab="<b>theirs</b>", loss=1.05 * ours["loss"] + 0.1)
    path = folder / "grouped.csv"
    pd.concat([ours.assign(lab="ours"), theirs]).to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def points(folder):
    path = folder / "points.csv"
    rows = {"params": [3e9, 3e9], "vocab": [2e5, 2e5], "tokens": [6e10, 6e10]}
    pd.DataFrame(rows | {"lab": ["ours", "<b>theirs</b>"]}).to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def report(folder):
    """The report as JSON, or as the text of another form; the same one is written once."""

    @cache
    def ask(*words, form="json"):
        page = folder / f"page.{form}"
        assert main(["report", *words, "-o", str(page), "-q"]) == 0
        text = page.read_text()
        return json.loads(text) if form == "json" else text

    return ask


@pytest.fixture(scope="module")
def told():
    """What a verb says, as JSON; the same question is asked once."""

    @cache
    def ask(*words):
        said = io.StringIO()
        with redirect_stdout(said):
            assert main([*words, "--json"]) == 0
        return json.loads(said.getvalue())

    return ask


def refused(capsys, *words):
    assert main([*words]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_a_law_of_other_columns_has_its_constants_backtest_and_predictions(
    report, told, table, points
):
    page = report(table, "--law", LAW, "--at", points)
    assert page["discovery"] == told("forecast", table, "--law", LAW, "--at", points)
    assert page["backtest"] == told("backtest", table, "--law", LAW)
    (law,) = page["laws"]
    fitted = told("fit", table, "--law", LAW)
    assert law["constants"]["alpha"]["estimate"] == fitted["constants"]["alpha"]["estimate"]
    assert page["forecast"] is None and page["plan"] is None and page["splits"] == []
    assert "no forecast" in {limit["code"] for limit in page["limits"]}


def test_the_page_of_such_a_law_says_its_numbers_once_and_what_it_does_not_say(
    report, table, points, undrawn
):
    html = report(table, "--law", LAW, "--at", points, form="html")
    found = discover(table, law=LAW, at=pd.read_csv(points))
    assert f"{found.predictions[0].median:.3f}" in html
    assert "What this page does not say" in html and "Compute-optimal size" not in html
    assert html.count('<th scope="row">Form</th>') <= 1
    markdown = report(table, "--law", LAW, "--at", points, form="md")
    assert f"{found.predictions[0].median:.3f}" in markdown
    assert "A\\*N^-alpha" in markdown and "Alpha" not in markdown


def test_laws_that_are_found_stand_beside_the_forecast_of_compute(report, told, table, points):
    asked = ("--inputs", "params", "vocab", "--at", points)
    page = report(table, *asked)
    assert page["discovery"] == told("discover", table, *asked)
    assert page["forecast"]["targets"] and "asked" not in page


def test_many_columns_make_no_endless_summary(report, folder):
    rng = np.random.default_rng(0)
    runs = pd.DataFrame(np.exp(rng.normal(size=(30, 5))), columns=list("pqrst"))
    runs["loss"] = 2 + runs["p"] ** -0.3 + 0.5 * runs["q"] ** -0.2
    runs.to_csv(folder / "many.csv", index=False)
    runs.head(9).drop(columns="loss").to_csv(folder / "asked.csv", index=False)
    asked = ("--inputs", *"pqrst", "--at", str(folder / "asked.csv"))
    page = report(str(folder / "many.csv"), *asked)
    (told,) = [one for one in page["summary"] if one["heading"] == "Laws of 5 columns"]
    assert "7 more points stand below" in told["text"]


def test_points_of_size_and_tokens_are_forecast_on_the_page(report, told, table, points):
    page = report(table, "--at", points)
    assert page["asked"]["forecasts"] == [told("forecast", table, "--at", points)]


def test_a_table_without_compute_has_a_report_of_the_laws_of_its_columns(report, table, tmp_path):
    path = tmp_path / "vocabularies.csv"
    of_vocabularies()[["params", "vocab", "loss"]].to_csv(path, index=False)
    page = report(str(path), "--law", LAW)
    assert page["x"] == "params" and page["discovery"]["claimed"]
    assert page["backtest"]["along"] == "params"
    found = report(str(path), "--inputs", "vocab", "params")
    assert found["discovery"]["claimed"] and found["forecast"] is None


def test_a_mixture_has_a_report(report, tmp_path):
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=40)
    shares[:5, 0] = 0  # without a domain
    shares /= shares.sum(axis=1, keepdims=True)
    runs = pd.DataFrame(shares, columns=["web", "code", "books"])
    runs["loss"] = 1.5 + np.exp(shares @ [-0.5, 0.2, 0.4])
    runs.to_csv(tmp_path / "mixture.csv", index=False)
    law = "data_mixture(web, code, books)"
    page = report(str(tmp_path / "mixture.csv"), "--law", law)
    assert page["discovery"]["claimed"] and page["laws"][0]["law"] == law
    assert page["runs"] == page["laws"][0]["n_runs"] == page["discovery"]["runs"] == 40
    assert "40 runs are used" in report(str(tmp_path / "mixture.csv"), "--law", law, form="html")
    assert "no backtest" in {limit["code"] for limit in page["limits"]}


def test_groups_are_answered_each_by_itself_and_nothing_is_said_of_all(report, told, grouped):
    page = report(grouped, *BY_LAB)
    assert page["forecast"] is None and page["laws"] == [] and page["backtest"] is None
    groups = page["groups"]
    assert groups["backtests"] == told("backtest", grouped, *BY_LAB)
    by_verb = told("fit", grouped, *BY_LAB)
    for label in ("ours", "<b>theirs</b>"):
        (fit,) = groups["fits"]
        own = fit["groups"][label]
        assert own["constants"]["A"] == by_verb["groups"][label]["constants"]["A"]
        one = ("--where", f"lab == {label}")
        alone = told("forecast", grouped, *one, "--law", "chinchilla", "--flops", "10x")
        (made,) = groups["forecasts"][label]
        assert made["targets"][0]["median"] == pytest.approx(alone["targets"][0]["median"])
    assert page["runs"] == 60


def test_what_groups_differ_in_is_no_choice_of_a_recipe(report, told, grouped):
    apart, pooled = report(grouped, *BY_LAB), told("fit", grouped)
    assert any("differ in lab" in note["text"] for note in pooled["notes"])
    assert not any("differ in lab" in note["text"] for note in apart["notes"])
    fitted = told("fit", grouped, *BY_LAB)
    assert not any("differ in lab" in note["text"] for note in fitted["notes"])


def test_budgets_and_points_are_forecast_of_each_group(report, told, grouped, points):
    page = report(grouped, *BY_LAB, "--flops", "1e22", "--at", points)
    for label in ("ours", "<b>theirs</b>"):
        by_budget, by_point = page["groups"]["forecasts"][label]
        one = ("--where", f"lab == {label}", "--law", "chinchilla")
        alone = told("forecast", grouped, *one, "--flops", "1e22")
        assert by_budget["targets"] == alone["targets"]
        assert len(by_point["targets"]) == 1


def test_groups_that_share_constants_are_predicted_by_their_law(report, told, grouped, points):
    asked = ("--law", LAW, "--by", "lab", "--share", "alpha", "beta", "--at", points)
    page = report(grouped, *asked)
    assert page["discovery"] is None
    assert page["groups"]["predictions"]["points"] == told("forecast", grouped, *asked)["points"]


def test_a_law_of_other_columns_is_found_for_each_group(report, told, grouped, points):
    page = report(grouped, "--law", LAW, "--by", "lab", "--at", points)
    verb = told("forecast", grouped, "--law", LAW, "--by", "lab", "--at", points)
    assert page["discovery"]["predictions"] == verb["predictions"]


def test_values_below_zero_are_sent_to_the_verbs_that_answer_for_them(folder, capsys):
    runs = of_vocabularies()
    runs.assign(loss=runs["loss"] - 9).to_csv(folder / "negative.csv", index=False)
    words = ("report", str(folder / "negative.csv"), "--inputs", "params", "vocab")
    line = refused(capsys, *words, "-o", str(folder / "negative.html"))
    assert "below zero" in line and "scaling discover" in line


def test_what_is_not_answered_stands_on_the_page(report, table):
    page = report(table, "--inputs", "params", "vocabb")
    (told,) = [one for one in page["summary"] if one["heading"] == "What you asked for"]
    assert "Not answered" in told["text"] and "vocabb" in told["text"]


@pytest.mark.parametrize("apart", [{"by": "lab"}, {}])
def test_questions_of_all_runs_are_not_passed_over_where_none_is_answered(apart, grouped):
    law = law_for(LAW, records_from(grouped))
    options = DEFAULT if apart else ForecastOptions(law=law)
    asked = Asked(losses=(2.0,), next_budget=1e20, **apart)
    found = gather_findings(grouped, options=options, asked=asked, bootstrap=20)
    refused = [limit for limit in found.limits if limit.code is LimitCode.NO_ANSWER]
    assert len(refused) == 2
    assert any(one.heading == "What you asked for" for one in summarise(found))


def test_names_of_groups_stay_text(report, grouped):
    html = report(grouped, "--by", "lab", "--law", LAW, form="html")
    assert "<b>theirs</b>" not in html and "&lt;b&gt;theirs&lt;/b&gt;" in html


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--law", LAW, "--flops", "1e22"], "--flops is of compute"),
        (["--law", LAW, "--target-loss", "2"], "--target-loss is of compute"),
        (["--law", LAW, "--price", "2/h"], "--price, --mfu and the like is of compute"),
        (["--law", LAW, "--inputs", "params"], "leave one out"),
        (["--by", "lab", "--target-loss", "2"], "--target-loss is of one group"),
        (["--by", "lab", "--next", "10x"], "--where 'lab == ...'"),
        (["--share", "alpha"], "--by"),
        (["--by", "lab", "--share", "alpha"], "say which with --law"),
        (["--by", "nothing"], "nothing"),
    ],
)
def test_flags_that_would_be_passed_over_are_refused(flags, words, grouped, tmp_path, capsys):
    line = refused(capsys, "report", grouped, *flags, "-o", str(tmp_path / "page.json"))
    assert words in line
    assert not (tmp_path / "page.json").exists()


def test_the_table_of_groups_says_what_their_runs_do_not_support(report, grouped):
    text = report(grouped, *BY_LAB, "--flops", "1e31", form="md")
    assert forecast_tables.NOT_SUPPORTED in text
