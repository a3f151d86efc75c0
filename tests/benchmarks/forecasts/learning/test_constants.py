"""Facts about learning from other people's ladders: what is written, and that nothing leaks."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import t as student

from analysis.forecasting.constants import population
from analysis.forecasting.constants.calibration import SURFACE, USUAL_SLOPE
from analysis.forecasting.weighing.ensemble import drift_of, spread_of
from benchmarks.forecasts.forecast_skill import simulated_splits
from benchmarks.forecasts.learning import constants as learning
from benchmarks.forecasts.learning.constants import (
    Constants,
    case_of,
    crps_of_t,
    learn,
    objective,
    text_of,
)
from benchmarks.forecasts.population import print_summary


@pytest.fixture(scope="module")
def cases():
    """Three made-up studies of two ladders each."""
    found = list(simulated_splits(2, 5, checked=False))[:6]
    return [case_of("abc"[i % 3], "one decade", split) for i, split in enumerate(found)]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(learning, "MOST_STEPS", 40)


def higher(case, share):
    """The case with hidden losses higher by a share of the predicted fall."""
    return replace(case, measured=case.measured + share * case.said.fall)


def test_nothing_of_a_study_that_is_left_out_changes_what_is_learned(cases, quick):
    changed = [higher(case, 0.5) if case.study == "a" else case for case in cases]
    assert learn(cases, without="a") == learn(changed, without="a")
    assert learn(cases, without="b") != learn(changed, without="b")


def test_learning_is_deterministic_and_better_than_its_start(cases, quick):
    found = learn(cases)
    assert found == learn(cases)
    assert objective(found, cases) < objective(Constants(), cases)


def test_ladders_that_end_below_their_laws_are_learned_as_a_drift_downwards(cases, quick):
    below = learn([higher(case, -0.3) for case in cases])
    above = learn([higher(case, 0.3) for case in cases])
    assert below.DRIFT > above.DRIFT
    assert below.DRIFT > 0 > above.DRIFT


def test_the_file_has_the_constants_that_were_learned(tmp_path):
    constants = Constants(LAWS=1.234, SPREAD=0.0678, DRIFT=-0.0123, STEEPNESS=-0.1)
    spec = importlib.util.spec_from_loader("written", loader=None)
    written = importlib.util.module_from_spec(spec)
    exec(text_of(constants), written.__dict__)
    assert written.LAWS == 1.2
    assert written.SPREAD == 0.068
    assert written.DRIFT == -0.012
    assert written.STEEPNESS == -0.1


def test_the_script_writes_the_constants_and_forecasts_every_study_by_the_others(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(learning, "WRITTEN", tmp_path / "population.py")
    monkeypatch.setattr(learning, "MOST_STEPS", 8)
    simulated = list(simulated_splits(1, 6, checked=False))
    monkeypatch.setattr(learning, "simulated_splits", lambda *_, **__: simulated[:1])
    made_up = list(simulated_splits(1, 5, checked=False))[:2]
    studies = [("ab"[i], "one decade", split) for i, split in enumerate(made_up)]
    rows = learning.learn_all(studies)
    assert [row["study"] for row in rows if row["method"] == "learned without its study"] == [
        "a",
        "b",
    ]
    assert "DRIFT = " in (tmp_path / "population.py").read_text()
    print_summary(rows)


def test_the_constants_in_use_are_in_a_file_that_the_script_wrote():
    constants = Constants(**{name: getattr(population, name) for name in vars(Constants())})
    assert learning.WRITTEN.read_text() == text_of(constants)
    assert constants.calibration == SURFACE


def test_a_steeper_ladder_drifts_less_far_down_and_an_unusual_one_less_surely():
    slopes = USUAL_SLOPE * np.exp([-0.9, -0.5, 0.0, 0.5, 0.9])
    means, sds = np.array([drift_of(slope, SURFACE) for slope in slopes]).T
    assert np.all(np.diff(means) < 0)
    assert means[2] > 0
    assert sds[2] == min(sds)
    assert drift_of(9.0, SURFACE) == drift_of(99.0, SURFACE)  # no ladder was seen there


def test_the_drift_moves_the_median_by_its_share_of_the_fall_and_grows_with_distance(cases):
    said = cases[0].said
    spread = spread_of(said, SURFACE)
    mean, sd = drift_of(said.slope, SURFACE)
    assert spread.centre == pytest.approx(said.centre - mean * said.fall)
    assert spread.drift == pytest.approx((sd * said.drop) ** 2)
    order = np.argsort(said.drop)
    assert np.all(np.diff(spread.drift[order]) >= 0)


@pytest.mark.parametrize("z", [0.0, 0.7, -2.5])
def test_the_ranked_probability_score_of_t_is_the_integral_that_defines_it(z):
    lower, _ = quad(lambda x: student.cdf(x, 6) ** 2, -np.inf, z)
    upper, _ = quad(lambda x: student.sf(x, 6) ** 2, z, np.inf)
    assert crps_of_t(np.array([z]), 6.0)[0] == pytest.approx(lower + upper, rel=1e-6)
