"""Facts about the rungs of a ladder together: planted trends and outliers are found."""

import numpy as np
import pandas as pd
import pytest

from analysis.tuning.trends import curve_deviations, learning_rate_trend, outlying
from scaling.errors import FitError
from scaling.records import Records, records_from_table

WIDTHS = (16, 32, 64, 128, 256, 512)


def checked_ladder(width_slope=0.0, tokens_slope=0.0, noise=0.0, seed=0):
    """One checked rung a width; tokens grow unevenly, so that the two can be told apart."""
    rng = np.random.default_rng(seed)
    tokens = 1e6 * np.array([1, 8, 4, 32, 16, 128.0])
    offsets = 0.1 + width_slope * np.log(WIDTHS) + tokens_slope * np.log(tokens)
    return pd.DataFrame(
        {
            "width": WIDTHS,
            "tokens": tokens,
            "loss": 2.0,
            "health": "ok",
            "lr_offset": offsets + rng.normal(0, 1, len(WIDTHS)) * noise,
            "lr_curvature": 0.04,
        }
    )


def test_a_planted_trend_comes_back_and_names_its_price():
    trend = learning_rate_trend(records_from_table(checked_ladder(-0.1, 0.05)))
    assert trend.width_slope == pytest.approx(-0.1, abs=1e-9)
    assert trend.tokens_slope == pytest.approx(0.05, abs=1e-9)
    assert trend.is_real
    offset = 0.1 - 0.1 * np.log(1024) + 0.05 * np.log(1e10)
    assert trend.offset(1024, 1e10) == pytest.approx(offset)
    assert trend.loss_at_stake(1024, 1e10) == pytest.approx(0.02 / 2 * offset**2)


def test_noise_alone_is_seldom_called_a_trend():
    called = [
        learning_rate_trend(Records(checked_ladder(noise=0.1, seed=seed))).is_real
        for seed in range(200)
    ]
    # Two slopes with 95% intervals: 5% each, at most 10% together; 3 standard errors of 200 draws.
    assert np.mean(called) < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 200)


def test_rungs_at_the_edge_take_no_part_and_three_are_too_few():
    ladder = checked_ladder(-0.1)
    ladder.loc[2, ["health", "lr_offset"]] = ["edge", 9.0]
    trend = learning_rate_trend(records_from_table(ladder))
    assert trend.rungs == 5
    assert trend.width_slope == pytest.approx(-0.1, abs=1e-9)
    with pytest.raises(FitError, match="3 rungs"):
        learning_rate_trend(records_from_table(ladder[:4]))


def test_widths_and_tokens_in_lockstep_are_refused():
    ladder = checked_ladder().assign(tokens=lambda table: 1e6 * table["width"] ** 2.0)
    with pytest.raises(FitError, match="go together"):
        learning_rate_trend(records_from_table(ladder))


def curve(run_id, steps, shape, level):
    share = np.linspace(0.02, 1.0, 50)
    loss = level * (1 + shape * (share**-0.2 - 1))
    return pd.DataFrame({"run_id": run_id, "step": share * steps, "train_loss": loss})


def test_curves_of_one_shape_collapse_whatever_their_length_and_level():
    steps = {f"r{n}": 100 * 2**n for n in range(6)}
    curves = pd.concat(curve(run, steps[run], 1.0, 6.0 - n) for n, run in enumerate(steps))
    deviations = curve_deviations(curves, steps)
    assert set(deviations) == set(steps)
    assert max(map(abs, deviations.values())) < 1e-12
    assert outlying(deviations) == {}


def test_a_curve_that_falls_later_than_the_others_stands_out():
    steps = {f"r{n}": 1000 for n in range(8)}
    curves = pd.concat(
        curve(run, 1000, 2.0 if run == "r3" else 1.0 + 0.01 * n, 3.0) for n, run in enumerate(steps)
    )
    found = outlying(curve_deviations(curves, steps))
    assert set(found) == {"r3"}
    assert found["r3"] > 0


def test_a_curve_that_stops_early_is_left_out():
    half = curve("r0", 1000, 1.0, 3.0)
    half = half[half["step"] < 500]
    assert curve_deviations(half, {"r0": 1000}) == {}
