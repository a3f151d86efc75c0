"""Simulated learning-rate checks: `benchmarks.simulated.rate_checks`."""

import numpy as np
import pytest

from benchmarks.simulated.ladders import KINDS, simulated_ladders


@pytest.mark.parametrize("kind", KINDS)
def test_checks_add_columns_and_leave_the_runs_alone(kind):
    ladder = next(simulated_ladders((kind,), 1, 11))
    assert ladder.checked[list(ladder.seen)].equals(ladder.seen)
    carried = ladder.checked["lr_gap"].notna()
    assert carried.sum() == ladder.checked["width"].nunique()
    cheapest = ladder.checked.groupby("width")["train_flops"].idxmin()
    assert set(ladder.checked.index[carried]) == set(cheapest)


def test_only_badly_tuned_ladders_show_a_gap():
    def mean_gap(kind):
        ladders = simulated_ladders((kind,), 10, 12)
        return np.mean([ladder.checked["lr_gap"].mean() for ladder in ladders])

    assert mean_gap("additive") < 0.002  # the noise of a check squares into a small positive gap
    assert mean_gap("mistuned") > 0.008
