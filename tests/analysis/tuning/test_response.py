"""What arms of a check say of a recipe: `analysis.tuning.response`."""

import numpy as np
import pandas as pd
import pytest

from analysis.tuning.response import common_surface, recipe_gaps
from analysis.tuning.rung_gaps import with_tuning_gap
from benchmarks.simulated.recipe_checks import CURVATURE, arms_around, calibration
from scaling.errors import FitError, RecordError
from scaling.extra_columns.recipe_arms import Arm, Factors, arms_from, arms_text


def found(best, noise, *, count=20, seed=0):
    rng = np.random.default_rng(seed)
    checks = [arms_around(np.array(best), noise, rng) for _ in range(count)]
    return checks, [recipe_gaps([arms])[0] for arms in checks]


def test_the_best_of_many_noisy_arms_is_no_gain_where_the_recipe_is_the_best():
    checks, gaps = found([0, 0, 0, 0], 0.015)
    means = [[np.mean(np.log(arm.losses)) for arm in arms] for arms in checks]
    taken_at_its_word = np.mean([row[1] - min(row) for row in means])
    assert taken_at_its_word > 0.002
    assert np.mean([gap.gap for gap in gaps]) < 0.5 * taken_at_its_word
    assert all(gap.gap <= 2 * gap.stderr for gap in gaps)


def test_the_gap_is_that_to_the_best_within_what_was_tried():
    _, gaps = found([0, -1, 0, 0.5], 0.005)
    truth = 0.5 * float(CURVATURE @ np.array([0, 1, 0, 0.25]))
    mean, error = np.mean([gap.gap for gap in gaps]), np.std([gap.gap for gap in gaps])
    assert mean == pytest.approx(truth, abs=3 * error / np.sqrt(20) + 0.0005)
    assert np.mean([gap.best.decay for gap in gaps]) < 0.6
    assert np.mean([gap.best.rate for gap in gaps]) == pytest.approx(1, abs=0.1)


def test_its_standard_error_covers_the_truth_as_often_as_it_should():
    _, gaps = found([0.3, -0.8, 0, 0], 0.008, count=40, seed=7)
    truth = 0.5 * float(CURVATURE @ np.array([0.09, 0.64, 0, 0]))
    inside = np.mean([abs(gap.gap - truth) < 1.645 * gap.stderr for gap in gaps])
    assert 0.8 <= inside <= 1.0


def test_another_recipe_is_the_best_found_where_it_beats_every_arm():
    arms = arms_around(np.zeros(4), 0.003, np.random.default_rng(1))
    own = arms[1].losses
    for factor, best in ((0.95, "other/1"), (1.02, "")):
        other = Arm(
            factors=Factors(), losses=tuple(factor * loss for loss in own), recipe="other/1"
        )
        (gap,) = recipe_gaps([[*arms, other]])
        assert gap.recipe == best
        assert (gap.gap > 0.03) == bool(best)


def test_rungs_that_agree_tell_the_common_best_better_than_one():
    best, told = np.array([0.4, -0.7, 0.0, 0.5]), [0, 1, 3]
    errors = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        one, *more = [arms_around(best, 0.006, rng) for _ in range(3)]
        found = common_surface([one]).best, common_surface([one, *more]).best
        errors.append([np.square(place - best)[told] for place in found])
    alone, together = np.sqrt(np.mean(errors, axis=0))
    assert np.all(together < alone)  # half as large, over twelve seeds
    assert together.max() < 0.2


def test_a_recipe_that_is_the_best_found_has_a_standard_error_of_what_may_be_missed():
    _, gaps = found([0, 0, 0, 0], 0.01, count=10)
    assert all(gap.stderr > 0.0005 for gap in gaps)


@pytest.mark.parametrize("noise", [0.004, 0.01])
def test_standard_errors_are_those_of_simulated_checks(noise):
    one = calibration(noise, scatter=0.5, bend=0.003, checks=40)
    assert 0.7 < one.stated / one.error < 1.6  # .95 and 1.09 over 80 checks of another seed
    assert one.inside >= 0.85


def test_arms_are_read_back_as_they_were_written():
    arms = [
        Arm(factors=Factors(), losses=(2.0, 2.1)),
        Arm(factors=Factors(decay=1 / 3, batch=2.0), losses=(2.2, float("nan"))),
        Arm(factors=Factors(), losses=(1.9,), recipe="other/1"),
    ]
    assert repr(arms_from(arms_text(arms))) == repr(tuple(arms))
    with pytest.raises(RecordError, match="holds no arms"):
        arms_from('[{"rate": 2}]')


def test_a_check_without_the_recipes_own_run_is_refused():
    arms = arms_around(np.zeros(4), 0.003, np.random.default_rng(1))
    with pytest.raises(FitError, match="the recipe's own run"):
        recipe_gaps([arms[3:]])


def test_one_column_holds_what_any_kind_of_check_found():
    arms = arms_text(arms_around(np.array([0, -1.0, 0, 0]), 0.003, np.random.default_rng(1)))
    table = pd.DataFrame(
        {
            "loss": [2.0, 2.0, 2.0, 2.0],
            "health": ["ok", "soft", "ok", None],
            "lr_gap": [0.0, 0.02, 0.0, np.nan],
            "lr_gap_stderr": [0.001, 0.002, 0.001, np.nan],
            "tuning_gap": [np.nan, np.nan, 0.03, np.nan],
            "tuning_gap_stderr": [np.nan, np.nan, 0.003, np.nan],
            "recipe_arms": [arms, None, None, None],
        }
    )
    read = with_tuning_gap(table)
    assert read["tuning_gap"].iloc[0] == pytest.approx(0.006, abs=0.004)
    assert [*read["tuning_gap"].iloc[1:3]] == [0.02, 0.03]
    assert np.isnan(read["tuning_gap"].iloc[3])
    assert [*read["health"].iloc[:2]] == ["soft", "soft"]
    assert [*with_tuning_gap(read)["tuning_gap"].iloc[:3]] == [*read["tuning_gap"].iloc[:3]]
