"""Facts about Approach 1 (envelope) and Approach 2 (IsoFLOP profiles) as cross-checks."""

import numpy as np
import pandas as pd
import pytest

from analysis.approaches.envelope import fit_envelope
from analysis.approaches.isoflop import fit_isoflop
from scaling.errors import FitError
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode
from scaling.records import records_from_table
from scaling.simulate import grid_of_runs, isoflop_runs, simulate_records


def codes(answer):
    return [limit.code for limit in answer.limits]


LAW = Chinchilla.example()
BUDGETS = np.geomspace(1e18, 1e21, 6)
AROUND = np.geomspace(0.4, 2.5, 7)
EXPONENT = LAW.derived()["optimal_params_exponent"]


def profiles(around=AROUND, noise=0.0, seed=0, law=LAW):
    runs = isoflop_runs(BUDGETS, around, law)
    return simulate_records(law, runs, relative_noise=noise, seed=seed)


def test_centred_narrow_profiles_give_the_exponent():
    fit = fit_isoflop(profiles())
    assert fit.exponent == pytest.approx(EXPONENT, abs=0.002)  # what a parabola leaves out
    assert [p.limits for p in fit.profiles] == [()] * 6


def test_isoflop_intervals_hold_the_exponent_under_noise():
    fit = fit_isoflop(profiles(noise=0.001, seed=3), confidence_level=0.99)
    low, high = fit.exponent_interval
    assert low < EXPONENT < high
    assert high - low < 0.2


def test_off_centre_wide_profiles_are_biased_and_say_so():
    law = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.5, beta=0.25)
    fit = fit_isoflop(profiles(around=np.geomspace(0.7, 30, 9), law=law))
    centred = fit_isoflop(profiles(law=law))
    truth = law.optimal_params(1e19)
    assert abs(np.log(fit.optimal_params(1e19) / truth)) > 1.5 * abs(
        np.log(centred.optimal_params(1e19) / truth)
    )
    assert LimitCode.BIASED in codes(fit)


def test_a_budget_whose_minimum_is_not_bracketed_does_not_count():
    records = profiles()
    flops, params = records.column("train_flops"), records.column("params")
    last = flops > 5e20
    cut = records.select(~last | (params < 0.8 * LAW.optimal_params(1e21)), "too large")
    fit = fit_isoflop(cut)
    assert codes(fit.profiles[-1]) == [LimitCode.NO_BRACKET]
    assert np.isnan(fit.profiles[-1].optimal_params)
    assert any("1 of 6 budgets left out" in limit.text for limit in fit.limits)


def test_without_bracketed_budgets_there_is_no_answer():
    with pytest.raises(FitError, match="0 budgets with a bracketed minimum"):
        fit_isoflop(profiles(around=[0.1, 0.2, 0.3, 0.4, 0.5]))


def test_budgets_that_run_into_one_another_are_not_one_budget():
    records = simulate_records(
        LAW, grid_of_runs(np.geomspace(1e7, 1e9, 25), np.geomspace(5, 80, 25))
    )
    with pytest.raises(FitError, match="not one budget"):
        fit_isoflop(records)


def test_the_envelope_gives_the_exponent_of_a_dense_grid():
    records = simulate_records(
        LAW, grid_of_runs(np.geomspace(1e7, 1e10, 60), np.geomspace(2, 300, 60))
    )
    fit = fit_envelope(records, bootstrap=100)
    assert fit.exponent == pytest.approx(EXPONENT, abs=0.04)  # slices and grid are coarse
    assert (np.diff(fit.loss) < 0).all()
    assert LimitCode.BIASED in codes(fit)


def test_an_envelope_of_two_runs_is_refused():
    records = simulate_records(LAW, {"params": [1e8, 1e9], "tokens": [1e10, 1e11]})
    with pytest.raises(FitError, match="2 runs on the lower envelope"):
        fit_envelope(records)


def test_rows_of_one_run_are_drawn_together():
    """Ten checkpoints that all but repeat a run tell no more than the run does."""
    rng = np.random.default_rng(0)
    flops = np.repeat(10.0 ** np.arange(18, 22, 0.5), 5)
    params = 1e8 * (flops / 1e18) ** 0.5 * np.tile(2.0 ** np.arange(-2, 3), 8)
    loss = 2 + (flops / 1e18) ** -0.1 * np.exp(rng.normal(0, 0.02, 40))
    runs = pd.DataFrame({"train_flops": flops, "params": params, "loss": loss})
    runs = runs.assign(tokens=flops / 6 / params, trunk=[f"run {i}" for i in range(40)])
    rows = runs.loc[np.repeat(runs.index, 10)].reset_index(drop=True)
    rows["loss"] *= 1 + 1e-9 * (np.arange(400) % 10)
    alone, repeated = (fit_envelope(records_from_table(t), bootstrap=200) for t in (runs, rows))
    assert repeated.exponent_interval == alone.exponent_interval
    assert alone.exponent_interval.low < alone.exponent_interval.high
