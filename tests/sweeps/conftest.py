"""Fixtures shared by the tests of sweeps."""

import pytest


@pytest.fixture
def in_this_process(monkeypatch):
    """Sweeps train here instead of in worker processes, which would import torch for seconds."""
    from sweeps.data.registry import load_corpus
    from sweeps.running import runner
    from tests.sweeps.work_here import work_here

    monkeypatch.setattr(runner, "find_launcher", lambda engine: work_here)
    load_corpus.cache_clear()
