"""Facts about the pages of forecasts in a browser: sliders move numbers, files arrive, and new runs
appear by themselves."""

import json

import pandas as pd
import pytest

from scaling.cli import main
from tests.analysis.dashboard.browsing import (
    NEEDS_BROWSER,
    PHONE,
    served,
    started_browser,
    visits,
)
from tests.grids import grid_of_runs

pytestmark = NEEDS_BROWSER
HOSTILE = "<img src=x onerror=document.title='taken'>"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A ladder that grows, and a second one like it; with hostile names."""
    folder = tmp_path_factory.mktemp("browser")
    paths = []
    for name, seed in (("growing", 1), ("second", 2)):
        table = grid_of_runs(4, seed=seed)
        table["run_id"] = [f"{HOSTILE} r{i}" for i in range(len(table))]
        table.to_csv(folder / f"{name}.csv", index=False)
        paths.append(str(folder / f"{name}.csv"))
    return paths


@pytest.fixture(scope="module")
def address(tables, tmp_path_factory):
    """Where a dashboard on the tables answers."""
    folder = tmp_path_factory.mktemp("server")
    with served(tables, folder, f"sqlite:///{folder}/mlflow.db") as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with started_browser() as started:
        yield started


@pytest.fixture
def visit(browser, address):
    with visits(browser, address, drawn=".js-plotly-plot .main-svg") as visit:
        yield visit


def facts(page):
    """The numbers that stand side by side, by name."""
    script = "[...document.querySelectorAll('.scaling-facts > div')].map(one => one.innerText)"
    pairs = (text.split("\n") for text in page.evaluate(script))
    return {pair[0]: pair[-1] for pair in pairs}


def saved(page, label):
    """The file that a button gives."""
    with page.expect_download() as found:
        page.get_by_role("button", name=label).first.click()
    return found.value


def test_the_slider_moves_the_forecast_and_the_link(visit):
    page = visit("forecast")
    before = facts(page)
    slider = page.get_by_role("slider").last
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "b => !document.querySelector('.scaling-facts').innerText.includes(b)", arg=before["Loss"]
    )
    after = facts(page)
    assert float(after["Loss"]) > float(before["Loss"])  # less compute, a higher loss
    assert "budget=" in page.url


def test_figure_table_answer_and_report_of_a_forecast_can_be_taken_away(visit, tables, capsys):
    page = visit("forecast", source=tables[0], budget="2e19")
    for label, start in {"PNG": b"\x89PNG", "SVG": b"<?xml", "CSV": b"params"}.items():
        assert saved(page, label).path().read_bytes().startswith(start)
    document = json.loads(saved(page, "JSON").path().read_text())
    assert main(["forecast", tables[0], "--flops", "2e19", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert document["targets"] == printed["targets"]
    report = saved(page, "Report")
    assert report.suggested_filename == "report.html"
    assert "What you asked for" in report.path().read_text()


def test_runs_that_land_appear_by_themselves_with_what_they_changed(visit, tables):
    table = pd.read_csv(tables[0])
    table.iloc[:-1].to_csv(tables[0], index=False)
    page = visit("forecast", source=tables[0], budget="2e19")
    table.to_csv(tables[0], index=False)
    told = page.get_by_text("1 run landed")
    told.wait_for()  # nobody touched the page
    assert "The forecast went from" in told.inner_text()


@pytest.mark.parametrize("name", ["forecast", "allocate", "discover", "next", "compare"])
def test_on_a_phone_the_figure_comes_before_the_words(name, visit, tables):
    query = {"source": tables[0], "b": tables[1], "propose": "1", "input": "params", "search": "1"}
    page = visit(name, PHONE, **query)
    figure = page.locator(".js-plotly-plot").first.bounding_box()
    words = page.locator(".scaling-facts").first.bounding_box()
    assert figure["y"] < words["y"] and figure["y"] < PHONE["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.title() != "taken"


def test_a_name_is_text_under_the_pointer(visit, tables):
    page = visit("forecast", source=tables[0])
    point = page.locator(".js-plotly-plot .scatterlayer .point").first
    point.hover(force=True)
    page.locator(".hoverlayer text").first.wait_for()
    assert page.title() != "taken" and page.locator(".hoverlayer img").count() == 0
