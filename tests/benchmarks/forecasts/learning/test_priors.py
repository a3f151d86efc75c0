"""Facts about the search for priors: fits in batches are those of a forecast."""

import numpy as np
import pytest

from analysis.forecasting.constants.calibration import SURFACE
from benchmarks.forecasts.forecast_skill import simulated_splits
from benchmarks.forecasts.learning import constants as learning
from benchmarks.forecasts.learning.constants import case_of
from benchmarks.forecasts.learning.priors import Search
from benchmarks.forecasts.learning.refits import refitted
from benchmarks.forecasts.learning.settings import BY_HAND, COORDINATES

WIDER = BY_HAND.moved({list(COORDINATES).index(name): 1 for name in ("ratio sd", "coupling sd")})


@pytest.fixture(scope="module")
def splits():
    found = (one for one in simulated_splits(2, 5, checked=False) if "under" not in one.group)
    return [("abc"[i % 3], "one decade", one) for i, one in enumerate(found)][:3]


@pytest.fixture(scope="module")
def cases(splits):
    return [case_of(*split) for split in splits]


def test_a_batch_scores_a_split_as_its_own_fit_does(splits, cases):
    for split, case in zip(splits, cases, strict=True):
        by_hand, wider = refitted(case, [BY_HAND, WIDER])
        own = case_of(*split, under=WIDER.of)
        # optima are flat: ends of searches differ, what they say hardly
        assert by_hand.scores(SURFACE) == pytest.approx(case.scores(SURFACE), rel=0.03)
        assert wider.scores(SURFACE) == pytest.approx(own.scores(SURFACE), rel=0.03)
        change = np.abs(own.said.centre - case.said.centre).max()
        assert np.abs(wider.stated.said.centre - own.said.centre).max() < 0.4 * change


def test_a_step_of_the_search_is_no_worse_and_knows_nothing_of_the_study_left_out(
    cases, monkeypatch
):
    monkeypatch.setattr(learning, "MOST_STEPS", 5)
    search = Search(cases=cases)
    constants = learning.Constants()
    found = search.step(BY_HAND, "a", constants)
    assert search.total(found, "a", constants) <= search.total(BY_HAND, "a", constants)
    others = Search(cases=[case for case in cases if case.study != "a"])
    assert others.step(BY_HAND, None, constants) == found
