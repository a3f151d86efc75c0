"""A target's answer is its own: the same alone, among others, and in any order."""

import numpy as np
import pandas as pd
import pytest

from analysis import ForecastOptions, Targets, forecast
from analysis.text.forecasting import MOST_WEIGHED
from scaling import records_from
from tests.grids import grid_of_runs

QUICK = ForecastOptions(draws=200)
SIZES = np.geomspace(1e6, 3e8, 12)
CURVE = pd.DataFrame(
    {"params": SIZES, "loss": 1.7 + 400 * SIZES**-0.34 * (1 + 0.004 * np.cos(2.1 * np.arange(12)))}
)
QUESTIONS = {
    "along a column, near and far": (CURVE, "params", [5e8, 3e10, 9e8, 4e9]),
    "by compute, without sizes": (
        CURVE.rename(columns={"params": "train_flops"}).assign(train_flops=SIZES * 1e12),
        "train_flops",
        [5e20, 3e22, 9e20, 4e21],
    ),
    "by size and tokens": (grid_of_runs(4), None, [(3e9, 1e11), (1e9, 4e11), (2e10, 1e12)]),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_target_is_answered_alike_alone_and_among_others(question):
    table, column, asked = QUESTIONS[question]

    def answered(*points):
        if column is None:
            return forecast(runs, Targets.runs(*zip(*points, strict=True)), options=QUICK).targets
        return forecast(runs, Targets.along(column, *points), options=QUICK).targets

    runs = records_from(table)
    together = answered(*asked)
    for point, among in zip(asked, together, strict=True):
        (alone,) = answered(point)
        assert alone.at == pytest.approx(among.at, rel=1e-12)
        assert alone.limits == among.limits and alone.backtests == among.backtests
        assert alone.furthest_backtest == among.furthest_backtest
        assert alone.centre == pytest.approx(among.centre, rel=1e-9)
        ends = {k: pytest.approx(tuple(v), rel=1e-9) for k, v in alone.intervals.items()}
        assert {k: tuple(v) for k, v in among.intervals.items()} == ends
        assert among.weights == pytest.approx(alone.weights, rel=1e-9)


def test_the_weights_of_the_laws_are_told_at_every_target_of_a_few():
    table, column, asked = QUESTIONS["along a column, near and far"]
    for count in (2, 4):
        made = str(forecast(table, Targets.along(column, *asked[:count]), options=QUICK))
        shown = min(count, MOST_WEIGHED)
        assert made.count("weights of the laws at N ") == shown
        assert made.count("parts of the width at N ") == shown
    assert "(3 of 4 targets" in made
