"""Fixtures shared by all tests."""

import gc
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A pass over young objects every 700 of them is a twentieth of the time, and finds little.
gc.set_threshold(20_000, 20, 100)

# So that what a contract asserts is explained as it is in a test.
pytest.register_assert_rewrite("tests.conformance")

# Small tensors gain nothing from a second thread, and on a busy machine two collapse.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Examples are the same each time, and how long they take is nobody's concern.
settings.register_profile(
    "scaling", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("scaling")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of published measurements, which the repository does not contain."""
    named = os.environ.get("SCALING_PUBLISHED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "published"
    if not folder.is_dir():
        pytest.skip(f"published measurements are absent: {folder} (set SCALING_PUBLISHED_DATA)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory) -> Path:
    """Spools, caches and locks of the tests lie in a folder of their own."""
    folder = tmp_path_factory.mktemp("state")
    os.environ["SCALING_STATE_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def little_to_collect() -> None:
    """What earlier files imported is left out of each collection of garbage: code under test that
    asks for one would go through millions of objects."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """At the end all is collected, or libraries say that they lost count of their objects."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """A function: waits until what it is given holds, and returns what that gave.

    Tests wait for a fact by this alone, so that a slow machine makes them slower and nothing else:
    it gives up after 6,000 looks, five minutes or more, which only keeps a broken test from
    hanging.
    """

    def wait(holds: Callable[[], Any]) -> Any:
        for _ in range(6000):
            if found := holds():
                return found
            time.sleep(0.05)
        pytest.fail("it did not come true")

    return wait


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory) -> Path:
    """A database of MLflow without runs: making one takes seconds, copying it none."""
    from scaling.store.connection.mlflow_client import connect

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def new_store(_empty_database) -> Callable[[Path], str]:
    """A function: puts an empty tracking store into a folder, and returns its address."""

    def put(folder: Path) -> str:
        shutil.copy(_empty_database, folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"

    return put


@pytest.fixture
def tracking_uri(new_store, tmp_path, monkeypatch) -> str:
    """A tracking store of this test's own, which is the one in force."""
    uri = new_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Reports have all their words and empty pictures: drawing takes most of their time."""
    from analysis.report.figures import draw, picture

    def titled(draw, title, caption, notes=""):
        return picture.Picture(uri="data:,", title=title, caption=caption, notes=notes)

    monkeypatch.setattr(draw, "picture_of", titled)


@pytest.fixture
def text_files(tmp_path):
    """Forty files of a kilobyte each, all different."""
    folder = tmp_path / "text"
    folder.mkdir()
    for number in range(40):
        lines = [f"{number * line} apples cost {number + line} coins.\n" for line in range(40)]
        (folder / f"{number:02}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def tiny_mapping(text_files):
    """A mapping of a sweep of two widths and one held-out run, about 50 steps each."""
    return {
        "name": "tiny",
        "grid": {"width": [16, 32], "tokens": 8000},
        "held_out": [{"width": 32, "tokens": 16000}],
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [str(text_files / "*.txt")], "validation_windows": 16},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"workers": 1, "device": "cpu"},
    }


@pytest.fixture
def tiny_config(tiny_mapping):
    from sweeps.config.yaml_file import config_from_mapping

    return config_from_mapping(tiny_mapping)


@pytest.fixture
def in_this_process(monkeypatch):
    """Sweeps train here instead of in worker processes, which would import torch for seconds."""
    from sweeps.data.registry import load_corpus
    from sweeps.running import runner
    from tests.sweeps.work_here import work_here

    monkeypatch.setattr(runner, "find_launcher", lambda engine: work_here)
    load_corpus.cache_clear()
