"""Facts about budgets and about the runs that no cheaper run beats."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.measurements.frontier import unbeaten_runs
from analysis.fitting.policy import fit_law
from scaling.answerable import AS_PLANNED, best_of_budget, budget_numbers
from scaling.errors import ScalingError
from scaling.records import records_from_table


def test_runs_within_two_percent_share_a_budget():
    flops = np.array([1e20, 1e18, 1.01e18, 3e18, 1.015e20])
    assert budget_numbers(np.log(flops)).tolist() == [2, 0, 0, 1, 2]


def test_seeds_of_a_configuration_stay_or_go_together():
    table = pd.DataFrame(
        {
            "params": [1e6, 1e6, 2e6, 2e6],
            "tokens": [2e8, 2e8, 1e8, 1e8],
            "train_flops": [1.2e15] * 4,
            "loss": [3.0, 3.2, 2.9, 3.6],  # the lucky seed is of the worse configuration
        }
    )
    kept = unbeaten_runs(records_from_table(table))
    assert kept.column("loss").tolist() == [3.0, 3.2]
    assert kept.dropped_by_reason == {"beaten by a run of no more compute": 2}


def test_a_run_that_a_cheaper_run_beats_is_not_on_the_frontier():
    table = pd.DataFrame({"train_flops": [1e15, 1e16, 1e17], "loss": [3.0, 3.1, 2.5]})
    assert unbeaten_runs(records_from_table(table)).column("loss").tolist() == [3.0, 2.5]


def test_the_frontier_of_a_ladder_has_every_budget_once(ladder):
    kept = unbeaten_runs(ladder)
    budgets = budget_numbers(np.log(kept.column("train_flops")))
    assert np.bincount(budgets).tolist() == [2, 2, 2, 2, 2]  # both seeds of the best size


SEEDS = pd.DataFrame(
    {
        "train_flops": np.repeat([1e15, 1e16, 1e17], 3),
        "loss": [3.0, 3.02, 2.98, 2.8, 2.83, 2.78, 2.6, 2.62, 2.59],
        "seed": [1, 2, 3] * 3,
    }
)


def test_seeds_of_a_budget_are_repeats_where_no_size_is_known():
    records = records_from_table(SEEDS)
    assert len(set(records.configurations)) == 3
    assert len(unbeaten_runs(records)) == 9  # none is picked for its luck


@pytest.mark.parametrize("seeds", [[1, 1, 2] * 3, None], ids=["a seed twice", "no seeds"])
def test_runs_of_a_budget_that_no_seed_tells_apart_are_no_repeats(seeds):
    table = SEEDS.drop(columns="seed") if seeds is None else SEEDS.assign(seed=seeds)
    assert len(set(records_from_table(table).configurations)) == 9


def test_the_best_configuration_of_a_budget_is_best_in_the_mean_of_its_seeds():
    compute, configuration = np.zeros(5), np.array([0, 0, 1, 1, 1])
    loss = np.array([2.9, 3.6, 3.0, 3.1, 3.05])  # the luckiest run is of the worse configuration
    best = best_of_budget(compute, loss, configuration)
    assert best.tolist() == [False, False, True, True, True]


def test_where_nothing_has_finished_a_fit_says_so_in_one_line():
    table = pd.DataFrame({"train_flops": [1e15, 1e16], "loss": [3.0, 2.9], "status": "running"})
    with pytest.raises(ScalingError) as caught:
        fit_law(records_from_table(table), "power_law")
    assert "running" in str(caught.value) and "\n" not in str(caught.value)


def test_runs_that_follow_each_other_closely_over_decades_are_many_budgets():
    compute = np.linspace(np.log(1e18), np.log(1e20), 2000)
    numbers = budget_numbers(compute)
    assert numbers.max() + 1 == pytest.approx(np.ptp(compute) / AS_PLANNED, abs=2)
    assert (np.diff(numbers) >= 0).all()
