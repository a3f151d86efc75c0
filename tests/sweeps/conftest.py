"""Fixtures shared by the tests of sweeps."""

import pytest


@pytest.fixture
def in_this_process(monkeypatch):
    """Sweeps train here instead of in worker processes, which would import torch for seconds."""
    from sweeps.data.registry import load_corpus
    from sweeps.launchers.base import TaskEnded, TaskMessage
    from sweeps.running import runner

    def work_here(tasks, work, launch, again):
        for task in tasks:
            messages = []
            work(task, messages.append)
            yield from (TaskMessage(task=task, message=message) for message in messages)
            yield TaskEnded(task=task)

    monkeypatch.setattr(runner, "find_launcher", lambda engine: work_here)
    load_corpus.cache_clear()
