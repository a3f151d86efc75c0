"""Facts about forecasts of runs that are still training."""

import numpy as np
import pandas as pd
import pytest

from analysis.in_run import forecast_running

STEPS = {f"r{i}": 500 + 100 * i for i in range(8)}


def curve(run_id, scale, upto=1.0, noise=0.01, shape=1.0):
    """A loss that falls with the share done, down to ``scale`` at the end."""
    rng = np.random.default_rng(int(run_id[1:]))
    steps = np.arange(10, int(STEPS[run_id] * upto) + 1, 10)
    fall = 1 + 0.8 * (1 - steps / STEPS[run_id]) ** shape
    loss = scale * fall * np.exp(noise * rng.standard_normal(len(steps)))
    return pd.DataFrame({"run_id": run_id, "step": steps, "train_loss": loss})


@pytest.fixture
def finished():
    """Six finished runs of different length and loss, which fall alike."""
    final = {f"r{i}": 3.0 - 0.2 * i for i in range(6)}
    return pd.concat([curve(r, loss) for r, loss in final.items()]), final


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_running_cell_is_forecast_from_how_the_others_fell(finished, share):
    curves, final = finished
    running = pd.concat([curves, curve("r7", 1.7, upto=share)])
    forecast = forecast_running(running, STEPS, final)["r7"]
    assert forecast.share_done == pytest.approx(share, abs=0.02)
    # means of a few points with 1% noise, and a fall of up to 2% within them
    assert forecast.predicted == pytest.approx(1.7, rel=0.03)
    assert forecast.low < 1.7 < forecast.high


def test_finished_runs_are_not_forecast(finished):
    curves, final = finished
    assert forecast_running(curves, STEPS, final) == {}


def test_too_few_finished_runs_give_no_number():
    final = {"r0": 3.0, "r1": 2.8}
    curves = pd.concat([curve("r0", 3.0), curve("r1", 2.8), curve("r7", 1.7, upto=0.5)])
    assert forecast_running(curves, STEPS, final) == {}


def test_near_the_start_the_sweeps_own_forecast_decides(finished):
    curves, final = finished
    loose = curves.assign(
        train_loss=curves["train_loss"]
        * (1 + 0.3 * np.random.default_rng(0).standard_normal(len(curves))).clip(0.5)
    )
    running = pd.concat([loose, curve("r7", 1.7, upto=0.1)])
    told = {"r7": (np.log(1.65), 0.005)}
    forecast = forecast_running(running, STEPS, final, cell_forecast=told)["r7"]
    assert forecast.predicted == pytest.approx(1.65, rel=0.01)


def test_more_of_the_curve_narrows_the_forecast_and_settles_it():
    # runs whose curves bend differently agree only near the end
    final = {f"r{i}": 3.0 - 0.2 * i for i in range(6)}
    curves = pd.concat(
        [
            curve(r, loss, noise=0.0, shape=0.85 + 0.08 * i)
            for i, (r, loss) in enumerate(final.items())
        ]
    )

    def at(share):
        running = pd.concat([curves, curve("r7", 1.7, upto=share, noise=0.0)])
        return forecast_running(running, STEPS, final, settled_width=0.03)["r7"]

    early, late = at(0.3), at(0.99)
    assert late.high - late.low < early.high - early.low
    assert late.outcome_settled
    assert not early.outcome_settled


def test_a_curve_that_is_not_finite_gives_no_number(finished):
    curves, final = finished
    broken = curve("r7", 1.7, upto=0.5).assign(train_loss=np.nan)
    assert forecast_running(pd.concat([curves, broken]), STEPS, final) == {}
