"""Facts about the fall in loss that doubt grows with: it is that of the largest runs."""

import numpy as np

from analysis.forecasting.question.options import DEFAULT
from analysis.forecasting.question.setup import pose
from analysis.forecasting.weighing.forecaster import prepare
from scaling.laws.surfaces import Chinchilla
from scaling.simulate import isoflop_runs, simulate_records

LAW = Chinchilla(E=1.0, A=60.0, B=300.0, alpha=0.34, beta=0.33)


def fall_seen_by(records) -> float:
    return prepare(pose(records, ("train_flops",), DEFAULT), DEFAULT).ensemble.slope


def test_a_few_small_runs_beside_a_large_one_say_no_steeper_fall_than_a_whole_ladder():
    """Seven runs of which one lies two decades above the others: a run there falls as it falls in a
    ladder without a gap. The margin is less than half of what the smallest runs would add."""
    budgets = np.geomspace(1e16, 1e19, 7)
    whole = simulate_records(LAW, isoflop_runs(budgets, [0.5, 1, 2], LAW), relative_noise=0)
    table = whole.table.sort_values("train_flops", kind="stable").reset_index(drop=True)
    chosen = np.r_[0:6, len(table) - 2]
    few = simulate_records(
        LAW,
        {name: table[name].to_numpy()[chosen] for name in ("params", "tokens", "train_flops")},
        relative_noise=0,
    )
    small = simulate_records(LAW, isoflop_runs(budgets[:3], [0.5, 1, 2], LAW), relative_noise=0)
    there = fall_seen_by(whole)
    assert fall_seen_by(small) > 1.3 * there
    assert abs(fall_seen_by(few) / there - 1) < 0.12
