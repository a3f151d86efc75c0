"""A recipe's constants from arms on some rungs: `analysis.tuning.tuned_recipe`."""

import json

import numpy as np
import pytest

from analysis.plots import tuned_recipe as plots
from analysis.plots.tuned_recipe import plot_tuned_recipe, save_tuned_recipe_figure
from analysis.tuning.tuned_recipe import best_found, tuned_factors, tuned_recipe
from benchmarks.simulated.recipe_checks import CURVATURE, arms_around
from scaling.errors import ConfigError
from scaling.extra_columns.recipe_arms import Arm, Factors
from scaling.limits import LimitCode, first_of

BEST = np.array([0.4, -0.8, 0.0, 0.5])
OWN_GAP = 0.5 * float(CURVATURE @ BEST**2)


def checks(noise=0.003, seed=0):
    rng = np.random.default_rng(seed)
    return [arms_around(BEST, noise, rng) for _ in range(2)]


def judged(gap, seeds=2):
    own = Arm(factors=Factors(), losses=(2.0 * (1 + gap),) * seeds)
    return "width 64", [own, Arm(factors=Factors(rate=1.3), losses=(2.0,) * seeds)]


def tuned(**more):
    return tuned_recipe(checks(), rungs=["width 16", "width 32"], **more)


def test_the_best_constants_come_back_with_intervals_that_hold_them():
    found = tuned()
    truth = Factors.at(BEST)
    for one in found.constants:
        assert one.low <= getattr(truth, one.name) * 1.02 and one.high >= getattr(truth, one.name)
        assert one.tried_from <= one.low <= one.high <= one.tried_to
    worth = {one.name: one.worth for one in found.constants}
    assert max(worth, key=worth.get) in ("rate", "decay")
    assert found.gain == pytest.approx(OWN_GAP, abs=0.004)
    assert best_found(checks()).steps == pytest.approx(BEST, abs=0.4)


def test_a_constant_whose_worth_cannot_be_told_stays_as_it_was():
    found = tuned()
    kept = {one.name for one in found.constants if one.is_kept}
    assert "warmup" in kept and "rate" not in kept
    for one in found.constants:
        assert one.is_kept == (one.worth <= one.worth_stderr)
        assert not one.is_kept or one.factor == 1
    far, near = (np.abs(one.steps) for one in (best_found(checks()), found.best))
    assert np.all(near <= far + 1e-3)  # what one standard error cannot tell is not taken
    assert tuned_factors(checks()).steps == pytest.approx(found.best.steps)
    assert found.to_text().count("as it was  ") == len(kept)
    alike = [arms_around(np.zeros(4), 0.01, np.random.default_rng(seed)) for seed in range(2)]
    assert tuned_factors(alike) == Factors()
    (limit,) = tuned_recipe(alike, rungs=["a", "b"]).limits
    assert "the recipe stays as it was" in limit.text


def test_the_same_arms_give_the_same_recipe():
    assert tuned().to_json() == tuned().to_json()


def test_constants_that_matter_little_are_known_badly():
    widths = {one.name: np.log(one.high / one.low) for one in tuned().constants}
    assert widths["rate"] < widths["decay"] < widths["warmup"]


def test_another_rung_judges_and_harm_is_said():
    good = tuned(judged=judged(0.01)).judgement
    assert (good.rung, good.seeds) == ("width 64", 2)
    assert good.gap == pytest.approx(0.01)
    assert 0 < good.stderr < 0.01
    harmed = tuned(judged=judged(-0.05))
    assert "worse than the untuned" in first_of(LimitCode.NOT_JUDGED, harmed.limits).text
    assert "no rung was kept" in first_of(LimitCode.NOT_JUDGED, tuned().limits).text


def test_a_best_at_the_end_of_what_was_tried_is_said_to_be_one():
    rng = np.random.default_rng(1)
    far = tuned_recipe(
        [arms_around(np.array([0, -3.0, 0, 0]), 0.003, rng) for _ in range(2)], rungs=["a", "b"]
    )
    assert "weight decay" in first_of(LimitCode.TUNING_AT_EDGE, far.limits).text


def test_text_table_document_and_figure_tell_the_same(tmp_path):
    found = tuned(judged=judged(0.01), not_varied=("betas",))
    text = found.to_text()
    rate = found.constants[0]
    assert f"x {rate.factor:.3g}" in text and "not varied" in text and "betas" in text
    assert "on width 64, which was not used" in text
    assert json.loads(found.to_json())["constants"][0]["factor"] == rate.factor
    assert [*found.to_frame()["name"]] == ["rate", "decay", "warmup", "batch"]
    save_tuned_recipe_figure(found, tmp_path / "tuned.svg")
    assert (tmp_path / "tuned.svg").read_text().startswith("<?xml")
    with pytest.raises(ConfigError, match="a tuned recipe has rate, decay"):
        plot_tuned_recipe(found, of="betas")


def test_no_curve_is_cut_and_no_legend_lies_on_one(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: drawn.append(figure))
    save_tuned_recipe_figure(tuned(), "never.svg")
    assert len(drawn[0].axes) == 4 and len(drawn[0].legends) == 1
    for ax in drawn[0].axes:
        low, high = ax.get_ylim()
        assert low < min(ax.lines[0].get_ydata()) < max(ax.lines[0].get_ydata()) < high
        assert ax.get_legend() is None


def test_runs_far_beyond_the_rung_that_judged_are_said_to_be_untried():
    near, far = (tuned(judged=judged(0.01), largest_over_judged=times) for times in (3.0, 16.0))
    assert first_of(LimitCode.NOT_JUDGED, near.limits) is None
    assert "16 times the FLOP of width 64" in first_of(LimitCode.NOT_JUDGED, far.limits).text
