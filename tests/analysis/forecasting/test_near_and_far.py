"""Along one column near and far targets have laws of their own; what all answers owe each other."""

import numpy as np
import pandas as pd
import pytest

from analysis import ForecastOptions, Targets, backtest, budget_for_loss, forecast
from scaling import records_from

QUICK = ForecastOptions(draws=200)
ALONG = ForecastOptions(draws=200, x="params")
SIZES = np.geomspace(1e6, 3e8, 12)
CURVE = pd.DataFrame(
    {"params": SIZES, "loss": 1.7 + 400 * SIZES**-0.34 * (1 + 0.004 * np.cos(2.1 * np.arange(12)))}
)
STEPS = np.arange(12.0)
FALLING = {
    "to a plateau": 2.5 + 2 * np.maximum(10.0 ** (-STEPS / 2), 0.01),
    "ever faster": 4 - 0.01 * STEPS**1.8,
    "hardly": 3 + 1e-6 * (SIZES / 1e6) ** -0.3,
}


def centres(table, column, factors):
    """The centres of a forecast at these multiples of the largest run."""
    at = np.asarray(factors) * table[column].max()
    made = forecast(table, Targets.along(column, *at), options=QUICK)
    return np.array([target.centre for target in made.targets])


@pytest.mark.parametrize(
    ("how", "column"), [*((how, "params") for how in FALLING), ("to a plateau", "train_flops")]
)
def test_a_forecast_of_falling_losses_does_not_rise(how, column):
    table = pd.DataFrame({column: SIZES * 1e12, "loss": FALLING[how]})
    found = centres(table, column, [1.02, 1.3, 2, 3.1, 3.2, 3.5, 5, 10, 30, 100])
    assert np.all(np.diff(found) <= 0)


def test_losses_that_hardly_differ_are_forecast_where_they_are():
    table = pd.DataFrame({"params": SIZES * 1e12, "loss": FALLING["hardly"]})
    # laws are fitted to half a thousandth of the loss at best, and take off what ladders do
    assert centres(table, "params", [1.1, 2, 10]) == pytest.approx(3.0, rel=1.5e-3)


@pytest.mark.parametrize("loss", [2.15, 1.96])  # at about 1.5 and 9 times the largest run
def test_a_budget_for_a_loss_is_where_the_forecast_has_it(loss):
    records = records_from(CURVE)
    budget = budget_for_loss(records, loss, options=ALONG).median
    (target,) = forecast(records, Targets.along("params", budget), options=ALONG).targets
    # budgets are told between steps of a twentieth of a decade
    assert target.centre == pytest.approx(loss, rel=2e-4)


def test_a_backtest_asks_what_a_forecast_from_the_runs_that_it_sees_is_asked():
    tested = backtest(records_from(CURVE), options=ALONG)
    distances = np.array([run.decades_beyond for run in tested.predictions])
    assert distances.min() < 0.5 < distances.max()
    far, near = (np.argmax(distances), np.argmin(distances))
    for run in (tested.predictions[far], tested.predictions[near]):
        seen = CURVE[CURVE["params"] <= tested.origins[run.origin].largest_seen * (1 + 1e-9)]
        (target,) = forecast(seen, Targets.along("params", run.at), options=ALONG).targets
        assert run.predicted == pytest.approx(target.centre, rel=1e-9)
        assert (run.low_90, run.high_90) == pytest.approx(target.intervals[0.9], rel=1e-9)
