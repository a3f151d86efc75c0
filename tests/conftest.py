"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# Small tensors gain nothing from a second thread, and on a busy machine two collapse.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
