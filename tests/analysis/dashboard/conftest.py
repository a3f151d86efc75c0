"""Pages drawn without a server or a browser, from files."""

import html
import importlib.util
import json
import re
import sys
from functools import partial

import pytest

from tests.grids import grid_of_runs

if any(importlib.util.find_spec(name) is None for name in ("streamlit", "plotly")):
    collect_ignore_glob = ["test_*.py"]  # needs the extra `dashboard`

MAIN = sys.modules["__main__"]


def pytest_collection_modifyitems(items):
    """Streamlit warns of its own parts when a page is drawn without a browser."""
    for item in items:
        if "dashboard" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A ladder of 16 runs, one of them held out, one failed, one still training."""
    table = grid_of_runs(4)
    table["run_id"] = [f"r{i}" for i in range(16)]
    table["status"], table["reason"] = "finished", None
    table.loc[3, ["status", "loss", "reason"]] = ["running", None, None]
    table.loc[5, ["status", "loss", "reason"]] = ["failed", None, "out of memory"]
    table["held_out"] = table["run_id"] == "r15"
    path = tmp_path_factory.mktemp("dashboard") / "runs.csv"
    table.to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="session", autouse=True)
def no_components_of_others():
    """Each page that is drawn would look for Streamlit components in the metadata of every
    installed package, which takes longer than to draw it; the pages use none."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", list)
        yield


@pytest.fixture(autouse=True)
def main_module_given_back():
    """Streamlit puts the page it draws in its place, and processes started later would run that."""
    yield
    sys.modules["__main__"] = MAIN


@pytest.fixture(autouse=True)
def sources_asked_afresh():
    """One process serves one run store; here each test has its own. Answers are kept by content."""
    from analysis.dashboard import cache

    for kept in (cache._asked_now_and_then, cache._asked_of, cache._last_known):
        kept.clear()


@pytest.fixture
def drawn():
    """``drawn(page, sources, feeds={}, **query)``: one page as Streamlit draws it."""
    return draw


@pytest.fixture
def asked(capsys):
    """``asked(*words, code=0)``: what a verb prints with --json."""
    from tests.analysis.dashboard.verbs import printed

    return partial(printed, capsys)


def draw(name, sources, feeds=None, **query):
    """An AppTest of one page on tables; ``feeds`` replaces feeds, ``query`` is its address."""
    from streamlit.testing.v1 import AppTest

    def script(name, sources, feeds):
        from analysis.dashboard.app import draw_page
        from analysis.dashboard.feeds import Feeds
        from analysis.dashboard.registry import PAGES
        from scaling.cli.verbs.pages.dashboard_page import fingerprint_of
        from scaling.sources import records_from

        given = {
            "sources": lambda: sources,
            "load": records_from,
            "seals": lambda: (),
            "fingerprint": fingerprint_of,
        }
        draw_page(Feeds(**(given | feeds)), next(row for row in PAGES if row.name == name))

    test = AppTest.from_function(script, args=(name, sources, feeds or {}), default_timeout=120)
    for key, value in query.items():
        test.query_params[key] = value
    return test.run()


def shown(test):
    """Everything on the page as one text, as people read it."""
    kinds = ("title", "header", "subheader", "markdown", "info", "warning", "error", "caption")
    texts = [str(one.value) for kind in (*kinds, "success") for one in test.get(kind)]
    texts += [f"{one.label} {one.value}" for one in test.get("metric")]
    bodies = [one.proto.body for one in test.get("html") if "<style>" not in one.proto.body]
    texts += [" ".join(html.unescape(re.sub("<[^>]*>", " ", body)).split()) for body in bodies]
    return "\n".join(texts).replace("\\", "")


def figures(test):
    """The Plotly figures of a page, as their JSON documents."""
    return [json.loads(one.proto.spec) for one in test.get("plotly_chart")]
