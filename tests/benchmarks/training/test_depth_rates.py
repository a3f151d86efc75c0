"""Facts about best learning rates over depth, by the runs of `benchmarks.training.depth_rates`."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.training.depth_rates import DEPTHS, FACTORS, MOST_APART, TABLE, best_rates, runs_of
from sweeps.config.recipe import find_recipe


def test_the_rule_of_depth_brings_the_best_rates_to_within_the_threshold():
    found = best_rates(pd.read_csv(TABLE))
    assert np.all(found.seeds == 6)
    assert found.ratio == pytest.approx(-0.20, abs=0.01)
    assert found.stderr == pytest.approx(0.07, abs=0.01)
    exponent = find_recipe("cpt-adamw/3").learning_rate_depth_exponent
    left = found.drawn[1:, -1] - found.drawn[1:, 0] - exponent * np.log(DEPTHS[1] / DEPTHS[0])
    assert np.mean(np.abs(left) < MOST_APART) > 0.98  # without it 46%
    assert 0.3 < found.share_inside < 0.6


def test_best_rates_that_are_known_are_found_whatever_their_scatter():
    rng, rows = np.random.default_rng(1), []
    for depth, best in zip(DEPTHS, (0.3, -0.1), strict=True):
        for factor in FACTORS:
            for seed in range(40):
                scatter = 0.005 * factor * rng.standard_normal()
                loss = np.exp(0.6 + 0.1 * (np.log(factor) - best) ** 2 + scatter)
                rows.append({"depth": depth, "rate_factor": factor, "seed": seed, "loss": loss})
    found = best_rates(pd.DataFrame(rows))
    assert found.drawn[0] == pytest.approx([0.3, -0.1], abs=3 * found.stderr)
    assert found.ratio == pytest.approx(-0.4, abs=3 * found.stderr)
    assert found.stderr < 0.05


def test_the_runs_are_those_of_the_table():
    table = pd.read_csv(TABLE)
    planned = {run.run_id for _, run in runs_of([1, 2])}
    here = set(table[table.seed <= 2].run_id)
    if table["data"].iloc[0] == next(run for _, run in runs_of([1])).data.data_hash:
        assert planned == here
    assert len(here) == len(planned) == 2 * len(DEPTHS) * len(FACTORS)
