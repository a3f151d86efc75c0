"""Facts about rung health in records: a verdict holds for its shape, and fits hear of it."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit_law
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table
from scaling.rung_health import EDGE_REASON, spread_health


@pytest.fixture
def ladder():
    """Eight widths, two horizons each, on a power law; the shorter run carries the check."""
    rows = [
        {
            "width": width,
            "train_flops": flops,
            "loss": 1.5 + 40 * flops**-0.15,
            "loss_stderr": 0.001,
            "health": "ok" if short else None,
            "lr_gap": 0.0002 if short else np.nan,
        }
        for width in range(8, 72, 8)
        for short, flops in ((True, 1e8 * width**2), (False, 4e8 * width**2))
    ]
    return pd.DataFrame(rows)


def checked(ladder, width, health, gap):
    carries = (ladder["width"] == width) & ladder["health"].notna()
    return ladder.assign(
        health=ladder["health"].where(~carries, health),
        lr_gap=ladder["lr_gap"].where(~carries, gap),
    )


def test_a_shape_at_the_edge_is_left_out_whole_and_the_reason_is_kept(ladder):
    records = records_from_table(checked(ladder, 24, "edge", 0.02))
    used = records.usable("train_flops")
    assert 24 not in used.table["width"].to_numpy()
    assert used.dropped_by_reason == {EDGE_REASON: 2}
    assert fit_law(records, bootstrap=0).dropped == {EDGE_REASON: 2}


def test_a_soft_shape_stays_with_its_uncertainty_widened_by_the_gap(ladder):
    used = records_from_table(checked(ladder, 24, "soft", 0.005)).usable("train_flops").table
    soft = used["width"] == 24
    expected = np.hypot(0.001, 0.005 * used["loss"])
    assert used["loss_stderr"][soft].to_numpy() == pytest.approx(expected[soft].to_numpy())
    assert (used["loss_stderr"][~soft] == 0.001).all()
    assert used["health_weight"][soft].to_numpy() == pytest.approx(0.5)
    assert (used["health_weight"][~soft] == 1).all()


def test_a_fit_follows_healthy_shapes_and_says_that_others_count_less(ladder):
    ladder["loss"] *= np.where(ladder["width"] == 24, 1.05, 1.0)
    plain = fit_law(records_from_table(ladder), objective="least_squares", bootstrap=0)
    aware = fit_law(
        records_from_table(checked(ladder, 24, "soft", 0.05)),
        objective="least_squares",
        bootstrap=0,
    )
    assert abs(aware.law.b + 0.15) < 0.2 * abs(plain.law.b + 0.15)
    assert first_of(LimitCode.COUNTS_LESS, aware.limits)
    assert first_of(LimitCode.COUNTS_LESS, plain.limits) is None


def test_widening_happens_once(ladder):
    table = checked(ladder, 24, "soft", 0.005)
    once = spread_health(table)
    pd.testing.assert_frame_equal(spread_health(once), once)


def test_a_table_without_checks_is_used_as_it_is(ladder):
    plain = ladder.drop(columns=["health", "lr_gap"])
    used = records_from_table(plain).usable("train_flops")
    assert "health_weight" not in used
    assert len(used) == len(ladder)
