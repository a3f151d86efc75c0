"""Facts about which rows repeat one another, and which are configurations of their own."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.measurements.frontier import unbeaten_runs
from analysis.tuning.screening import screen
from scaling.records import read_records, records_from_table
from tests.scaling.tables.ladder import CASES, floor_of, grid, law_of, said


def test_learning_rates_of_one_size_are_configurations_and_the_best_counts():
    records = read_records(CASES / "lr_sweep.csv")
    best = unbeaten_runs(records)
    assert len(best) == 6
    law = law_of(best, "power_law", objective="least_squares")
    assert (law.a, law.b, law.c) == pytest.approx((60.0, -0.0950, 2.000), rel=2e-3)
    assert law.loss(1e20) == pytest.approx(2.7554, abs=2e-3)
    assert len(np.unique(records.configurations)) == 42
    assert "differ in learning_rate" in said(records)


@pytest.mark.parametrize(
    "column",
    [
        *("batch_size", "optimizer", "weight decay", "eta", "tau", "init_std", "use_qk_norm"),
        *("z_loss", "grad_clip", "max_grad_norm", "aux_loss_coef"),
    ],
)
def test_any_setting_that_varies_tells_configurations_apart(column):
    table = grid()
    choices = ["adam", "lion"] if column == "optimizer" else [0.1, 0.2]
    both = [table.assign(**{column: choices[0]}), table.assign(**{column: choices[1]})]
    both[1]["val_loss"] *= 1.03
    records = records_from_table(pd.concat(both, ignore_index=True))
    assert records.settings_that_vary == [column]
    assert floor_of(records) == pytest.approx(1.7, abs=1e-3)


def test_shapes_of_one_size_are_configurations_that_a_law_of_size_reads_all():
    table = grid()
    both = [table.assign(num_heads=8), table.assign(num_heads=16)]
    records = records_from_table(pd.concat(both, ignore_index=True))
    assert "laws of size and tokens read them all" in said(records)
    assert len(screen(records, "params", "tokens")) == 2 * len(table)


def test_a_seed_alone_makes_repeats():
    table = grid()
    twice = pd.concat([table.assign(seed=1), table.assign(seed=2, val_loss=table.val_loss * 1.02)])
    records = records_from_table(twice)
    assert len(np.unique(records.configurations)) == len(table)
    assert "repeats" not in said(records)
    untold = records_from_table(twice.drop(columns="seed"))
    assert "losses differ by up to 2%" in said(untold)


@pytest.mark.parametrize("column", ["tries", "replicas", "learning_rate_capped", "wall_seconds"])
def test_what_came_of_a_run_makes_no_configuration_of_its_own(column):
    """A run that was interrupted has two tries, and is a repeat of the others all the same."""
    table = pd.DataFrame(
        {"params": np.repeat([1e6, 1e7, 1e8], 2), "tokens": 1e9, "seed": [1, 2] * 3}
    )
    table["loss"], table[column] = np.linspace(4, 3, 6), [1, 2, 1, 1, 2, 1]
    records = records_from_table(table)
    assert len(np.unique(records.configurations)) == 3
    assert len(records.usable("params", "tokens")) == 6
