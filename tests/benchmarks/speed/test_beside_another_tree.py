"""Facts about two checkouts beside each other."""

import pytest

from benchmarks.speed.beside_another_tree import MODELS, ROOT, beside, told


@pytest.mark.slow  # two processes that import PyTorch
def test_a_tree_beside_itself_gives_the_same_losses():
    row = beside("25k", ROOT, rounds=2, steps=2)
    assert row["same_losses"]
    assert row["ours_ms"] > 0
    assert len(row["ratios"]) == 2


def test_a_row_says_when_losses_differ():
    row = {"model": next(iter(MODELS)), "ours_ms": 2.0, "ratio": 1.25, "same_losses": False}
    assert told(row).split(", ")[1:] == ["1.250x as fast", "OTHER LOSSES"]
