"""Facts about the dashboard in a real browser: it opens, moves, downloads and keeps to itself."""

import pandas as pd
import pytest

from sweeps.running.driver_lock import DriverLock
from tests.analysis.dashboard.browsing import (
    DESK,
    NEEDS_BROWSER,
    PHONE,
    SECONDS,
    served,
    started_browser,
    visits,
)
from tests.analysis.dashboard.stored import log, sweep_under_way
from tests.grids import true_loss

HOSTILE = "<script>document.title='taken'</script>**b** [x](javascript:alert(1)) $x$ :red[r]"
pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def store(new_store, tmp_path_factory):
    """A sweep with a plan: some runs finished, one that trains, others to come."""
    folder = tmp_path_factory.mktemp("store")
    return sweep_under_way(new_store(folder), folder)


@pytest.fixture(scope="module")
def server(store, tmp_path_factory):
    """The address of a dashboard on the sweep and on a table of hostile names."""
    kept, _ = store
    folder = tmp_path_factory.mktemp("tables")
    runs = pd.DataFrame(
        [(n, d) for n in (1e6, 4e6, 16e6, 64e6) for d in (1e8, 4e8, 16e8, 64e8)],
        columns=["params", "tokens"],
    )
    runs["loss"] = true_loss(runs["params"], runs["tokens"])
    runs["run_id"] = [f"{HOSTILE} {i}" for i in range(len(runs))]
    table = folder / "runs<b>.csv"
    runs.to_csv(table, index=False)
    sources = ["mlflow:ladder", table]
    with DriverLock(kept), served(sources, folder, kept.tracking_uri) as address:
        yield address, str(table)


@pytest.fixture(scope="module")
def browser():
    with started_browser() as started:
        yield started


@pytest.fixture
def visit(browser, server):
    with visits(browser, server[0]) as visit:
        yield visit


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_page_opens_and_fits_the_screen(visit, size):
    from analysis.dashboard.registry import PAGES

    for row in PAGES:
        page = visit(row.name, size)
        text = page.inner_text('[data-testid="stMain"]')
        assert "Traceback" not in text and len(text) > 40
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_the_menu_leads_to_a_page_and_keeps_what_was_chosen(visit):
    page = visit("home", level="0.8")
    page.get_by_role("radio", name="Sweep").or_(page.get_by_text("Sweep", exact=True)).first.click()
    page.wait_for_url("**page=sweep**")
    assert "level=0.8" in page.url


def test_a_slider_of_the_sidebar_moves_the_numbers(visit):
    page = visit("home")
    page.get_by_text("(90%:").first.wait_for()
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("(80%:").first.wait_for()
    assert "level=0.8" in page.url


def test_a_figure_comes_before_the_words_on_a_phone(visit):
    page = visit("sweep", PHONE)
    figure = page.locator(".js-plotly-plot").first.bounding_box()
    words = page.get_by_text("at this moment").first.bounding_box()
    assert figure["y"] < words["y"] and figure["y"] < PHONE["height"]


def test_figures_tables_and_answers_can_be_taken_away(visit):
    page = visit("sweep")
    starts = {"PNG": b"\x89PNG", "SVG": b"<?xml", "CSV": b"run_id"}
    for label, start in starts.items():
        with page.expect_download() as arriving:
            page.get_by_role("button", name=label).first.click()
        path = arriving.value.path()
        assert path.read_bytes().startswith(start)
        assert arriving.value.suggested_filename.endswith(label.lower())


def test_every_page_of_runs_gives_the_report(visit, server):
    page = visit("sweep", source=server[1])
    with page.expect_download() as arriving:
        page.get_by_role("button", name="Report").first.click()
    text = arriving.value.path().read_text()
    assert text.startswith("<!DOCTYPE html>") and "<script>document.title" not in text


def test_no_column_of_home_is_cut_off(visit):
    page = visit("home")
    cut = "[...document.querySelectorAll('.scaling-table')].map(e => e.scrollWidth - e.clientWidth)"
    page.get_by_text("Sealed").first.wait_for()
    assert max(page.evaluate(cut)[:1]) <= 0


def test_names_of_runs_stay_text(visit, server):
    _, table = server
    page = visit("sweep", source=table)
    page.get_by_text("Every run", exact=True).click()
    assert page.title() != "taken" and "<b>" in page.inner_text("h1")
    assert page.locator("h1 b").count() == 0
    box = page.locator(".js-plotly-plot .points path").first
    box.hover(force=True)
    page.wait_for_selector(".hoverlayer text")
    hover = page.text_content(".hoverlayer")
    assert "<script>" in hover and page.title() != "taken"


def test_a_table_that_is_pasted_is_answered(visit):
    page = visit("home")
    page.get_by_text("Add a table of runs").click()
    rows = [f"{n:g},{d:g},{true_loss(n, d):.4f}" for n in (1e6, 4e6, 2e7) for d in (1e8, 1e9, 5e9)]
    page.get_by_role("textbox", name="Or paste rows").fill("\n".join(["params,tokens,loss", *rows]))
    page.get_by_role("button", name="Add these rows").click()
    page.get_by_text("pasted.csv (uploaded)").first.wait_for()
    page.wait_for_url("**upload=upload**")
    page.get_by_text("9 finished").first.wait_for()


def test_200_megabytes_are_refused_in_a_line(visit, tmp_path):
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(200 << 20)
    page = visit("home")
    page.get_by_text("Add a table of runs").click()
    page.locator('input[type="file"]').set_input_files(str(large))
    page.get_by_text("50.0MB or smaller").or_(page.get_by_text("50MB or smaller")).first.wait_for()
    assert "2 " not in page.locator("text=Traceback").all_inner_texts()


def test_a_run_that_lands_appears_by_itself_and_other_viewers_are_not_disturbed(visit, store):
    kept, plan = store
    watching, other = visit("sweep", live="1"), visit("home", level="0.5")
    facts = watching.locator(".scaling-facts").first
    assert "12" in facts.inner_text()
    log(kept, plan.runs[13])
    watching.wait_for_function(
        "document.querySelector('.scaling-facts').innerText.includes('13')", timeout=SECONDS
    )
    assert "level=0.5" in other.url and "(50%:" in other.inner_text('[data-testid="stMain"]')
    assert "level" not in watching.url
