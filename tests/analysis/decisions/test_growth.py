"""Facts about how fast the best size and tokens grow, by the weighted laws."""

import numpy as np
import pytest

from analysis import ForecastOptions, plan_budgets, published_findings
from analysis.decisions.growth import growth_of_best_split
from analysis.studies.published.growth import SIZE, TOKENS
from scaling import laws
from scaling.errors import ForecastError
from scaling.simulate import isoflop_runs, simulate_records

LAW = laws.Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
TRUTH = LAW.derived()["optimal_params_exponent"]
FEW = ForecastOptions(draws=400, backtests=2)


def runs_of(budgets=(1e18, 3e18, 1e19), sizes=(0.5, 1.0, 2.0), noise=0.004, seed=1):
    runs = isoflop_runs(np.array(budgets), np.array(sizes), LAW)
    return simulate_records(LAW, runs, relative_noise=noise, seed=seed)


def test_on_clean_runs_of_a_law_its_exponents_come_back():
    growth = growth_of_best_split(runs_of(noise=1e-4), options=FEW)
    assert growth.params.estimate == pytest.approx(TRUTH, abs=0.02)
    assert growth.params.estimate + growth.tokens.estimate == pytest.approx(1, abs=1e-9)
    assert tuple(growth.budgets) == pytest.approx((1e18, 1e19), rel=1e-6)


def test_intervals_of_small_noisy_ladders_hold_the_exponent_in_three_of_four_at_least():
    """Nine runs over a decade of compute, whose floor no law tells; nine in ten are promised."""
    found = [
        growth_of_best_split(runs_of(seed=seed), options=FEW).params.interval for seed in range(20)
    ]
    assert sum(one.low <= TRUTH <= one.high for one in found) >= 15
    assert max(one.high - one.low for one in found) < 0.3  # and say something


def test_findings_and_approaches_give_the_same_exponent():
    records, options = runs_of(), ForecastOptions()
    growth = growth_of_best_split(records, options=options)
    findings = {one.quantity: one for one in published_findings(records).findings}
    plan = plan_budgets(records, 1e19, 2e19, approaches=True, options=options)
    weighted = plan.approaches[-1]
    for told in (findings[SIZE].estimate, weighted.exponent):
        assert told == growth.params.estimate
    for interval in (findings[SIZE].interval, weighted.interval):
        assert interval == growth.params.interval
    assert findings[TOKENS].estimate == growth.tokens.estimate


def test_budgets_that_hardly_differ_show_no_growth():
    with pytest.raises(ForecastError, match="factor of 2"):
        growth_of_best_split(runs_of(), (1e18, 1.5e18), options=FEW)
