"""Facts about the fit to the arms of the tiny recipes: a known optimum is found, and its gap."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.training.recipe_tuning import RATE, TABLE, arm_of, fitted, interval, paired_gap

STEPS = 1000


def made_up(noise=0.005):
    """Arms whose loss has its least at 1.2 times the rate and a decay factor of .6."""
    rng = np.random.default_rng(1)
    rows = []
    for width, flops, base in ((32, 3e10, 2.1), (48, 2.4e11, 1.8)):
        for seed in range(101, 105):
            for arm in range(24):
                rate, decay = rng.choice([0.7, 1, 1.4]), rng.choice([0.24, 0.6, 1.5])
                warmup, batch = rng.choice([10, 50]), rng.choice([4, 8])
                schedule = ["linear", "wsd"][arm % 2]
                log = 0.1 * np.log(rate / 1.2) ** 2 + 0.01 * np.log(decay / 0.6) ** 2
                log += 0.01 * np.log(warmup / 10) - 0.01 * (schedule == "wsd")
                log += 0.02 * np.log(batch / 4) + 0.01 * (seed - 101) + rng.normal(0, noise)
                rows.append(
                    (width, flops, seed, schedule, RATE * rate, decay, warmup, batch, base, log)
                )
    names = ["width", "flops", "seed", "schedule", "base_learning_rate", "weight_decay_factor"]
    table = pd.DataFrame(rows, columns=[*names, "warmup_steps", "batch_sequences", "base", "log"])
    return table.assign(loss=table.base * np.exp(table.log), steps=STEPS)


def test_a_known_optimum_and_the_gap_of_a_recipe_are_found():
    tuned = fitted(made_up())
    assert tuned.runs == 192 and tuned.residual == pytest.approx(0.5, abs=0.1)
    for is_large in (False, True):
        rates, decays = tuned.best_rates(is_large) / RATE, tuned.best_decays()
        assert rates[0] == pytest.approx(1.2, abs=0.05)
        assert np.percentile(rates[1:], 1) <= 1.2 <= np.percentile(rates[1:], 99)
        assert decays[0] == pytest.approx(0.6, rel=0.15)
        arm = arm_of("cpt-adamw-tiny/1", is_large=is_large, steps=STEPS, batch_sequences=8)
        truth = 10 * np.log(1.2) ** 2 + np.log(2 / 0.6) ** 2 + np.log(5) + 1 + 2 * np.log(2)
        gaps = tuned.gaps(arm, 10 / STEPS)
        assert gaps[0] == pytest.approx(truth, abs=0.6)
        assert np.percentile(gaps[1:], 1) <= truth <= np.percentile(gaps[1:], 99)


def test_more_scatter_makes_wider_intervals():
    calm, rough = (
        np.ptp(np.percentile(fitted(made_up(n)).best_rates(False), [5, 95])) for n in (0.003, 0.015)
    )
    assert rough > 2 * calm


def test_an_interval_says_the_fit_and_where_the_draws_lie():
    assert interval(np.array([5.0, *np.linspace(0, 100, 101)])) == "5.00 [5.00, 95.00]"


def test_the_tiny_recipe_of_the_quick_start_is_near_the_best_of_the_arms_that_ran():
    table = pd.read_csv(TABLE)
    table = table[(table.recipe != "cpt-adamw-tiny/2") & (table.batch_sequences >= 4)]
    tuned = fitted(table)
    for is_large, steps in ((False, 866), (True, 3629)):
        arm = arm_of("cpt-adamw-tiny/3", is_large=is_large, steps=steps, batch_sequences=4)
        assert abs(tuned.gaps(arm, 10 / steps)[0]) < 0.3
        assert tuned.best_rates(is_large)[0] / RATE == pytest.approx(1.05, abs=0.1)


def test_recipes_are_paired_by_the_seeds_that_both_were_trained_on():
    own = {"width": 64, "flops": 8e11, "base_learning_rate": 0.0108}
    first = own | {"recipe": "cpt-adamw-tiny/1", "weight_decay_factor": 2.0, "batch_sequences": 12}
    third = own | {"recipe": "cpt-adamw-tiny/3", "weight_decay_factor": 0.9, "batch_sequences": 6}
    table = pd.DataFrame(
        [
            first | {"seed": 1, "loss": 1.02},
            third | {"seed": 1, "loss": 1.0},
            third | {"seed": 1, "loss": 0.5, "batch_sequences": 4},  # another batch
            first | {"seed": 2, "loss": 5.0},  # a seed of its own
            third | {"seed": 2, "loss": 0.5, "base_learning_rate": 0.008},  # another rate
        ]
    )
    above = paired_gap(table, "cpt-adamw-tiny/1", "cpt-adamw-tiny/3")
    assert list(above.index) == [1]
    assert above.iloc[0] == pytest.approx(2.0, abs=0.03)
