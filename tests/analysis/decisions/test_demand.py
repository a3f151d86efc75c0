"""Facts about budgets that pay for more than training on fresh data: one engine answers all."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.decisions.optimal_split import allocate
from analysis.forecasting.question.options import ForecastOptions
from scaling.errors import ForecastError
from scaling.laws.surfaces import Chinchilla, DataConstrained
from scaling.limits import LimitCode
from scaling.records import read_records
from scaling.simulate import isoflop_runs, simulate_records

LAW = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
BUDGETS = np.geomspace(1e17, 1e20, 6)
BUDGET = 1e21


@pytest.fixture(scope="module")
def runs():
    """Six budgets of five sizes without noise, so that the oracle below knows the answer."""
    return simulate_records(LAW, isoflop_runs(BUDGETS, [0.25, 0.5, 1, 2, 4], LAW), seed=1)


def split(records, law="chinchilla", **demand):
    """One split, by default by the additive law alone, which is the law that made the runs."""
    options = ForecastOptions(law=law, draws=200, confidence_levels=(0.9,), backtests=0)
    (found,) = allocate(records, BUDGET, options=options, **demand)
    return found


def oracle(law, inference=0.0, unique=None):
    """The best size by brute force over the true law: 6 N D + 2 N T = C."""
    params = np.geomspace(1e7, 1e12, 100_001)
    tokens = BUDGET / (6 * params) - inference / 3
    params, tokens = params[tokens > 1], tokens[tokens > 1]
    limited = () if unique is None else (np.minimum(unique, tokens),)
    best = np.argmin(law.loss(params, tokens, *limited))
    return params[best], tokens[best]


@pytest.mark.parametrize(
    "nothing", [{"inference_tokens": 1.0}, {"unique_tokens": 1e16}], ids=["serving", "data"]
)
@pytest.mark.parametrize("law", ["auto", "chinchilla"])
def test_a_vanishing_demand_changes_nothing(runs, nothing, law):
    free, other = split(runs, law=law), split(runs, law=law, **nothing)
    assert other.law == free.law
    # one token in 1e10 is served; the last digits of a loss are its rounding
    assert other.params == pytest.approx(free.params, rel=1e-6)
    assert other.tokens == pytest.approx(free.tokens, rel=1e-6)
    np.testing.assert_allclose(other.params_range[0.9], free.params_range[0.9], rtol=1e-6)


@pytest.mark.parametrize("served", [1e10, 1e11, 1e12])
def test_inference_is_split_as_the_true_law_would(runs, served):
    found = split(runs, inference_tokens=served)
    params, tokens = oracle(LAW, inference=served)
    # weak priors pull the exponents of a forecast's law off the truth by a percent or so
    assert found.params == pytest.approx(params, rel=0.1)
    assert found.tokens == pytest.approx(tokens, rel=0.1)


def test_training_and_inference_together_spend_the_budget(runs):
    found = split(runs, inference_tokens=1e11)
    assert found.train_flops == pytest.approx(6 * found.params * found.tokens, rel=1e-3)  # medians
    assert found.train_flops + 2 * found.params * 1e11 == pytest.approx(BUDGET, rel=1e-9)


def test_serving_more_asks_for_a_smaller_model_trained_longer(runs):
    found = [split(runs, inference_tokens=served) for served in (0, 1e10, 1e11, 1e12)]
    assert (np.diff([one.params for one in found]) < 0).all()
    assert (np.diff([one.tokens / one.params for one in found]) > 0).all()


def test_limited_data_are_split_as_the_published_law_of_repetition_would(runs):
    found = split(runs, unique_tokens=5e9)
    law = DataConstrained(**LAW.constants(), r_d=15.39, r_n=5.31)
    params, tokens = oracle(law, unique=5e9)
    assert found.params == pytest.approx(params, rel=0.15)
    assert found.tokens == pytest.approx(tokens, rel=0.15)
    assert found.params < split(runs).params
    (limit,) = (one for one in found.limits if one.code is LimitCode.ONE_LAW)
    assert "published" in limit.text and "ranges lack" in limit.text


def test_more_distinct_tokens_than_a_split_takes_change_nothing(runs):
    assert split(runs, unique_tokens=1e15) == split(runs)
    found = split(runs, unique_tokens=1e15, inference_tokens=1e11)
    assert found == split(runs, inference_tokens=1e11)
    scarce = split(runs, unique_tokens=split(runs).tokens)  # half the size would repeat its data
    assert LimitCode.ONE_LAW in [one.code for one in scarce.limits]


def test_decay_is_fitted_where_the_runs_repeat_their_data():
    law = DataConstrained(**LAW.constants(), r_d=5.0, r_n=5.0)
    sizes, epochs = np.meshgrid(np.geomspace(1e7, 1e9, 5), [0.5, 1, 4, 16, 40])
    unique = 20 * sizes.ravel() * np.tile([0.5, 1.0, 2.0, 1.0, 0.5], 5)
    tokens = unique * epochs.ravel()
    inputs = {
        "params": sizes.ravel(),
        "tokens": tokens,
        "unique_tokens": np.minimum(unique, tokens),
    }
    records = simulate_records(law, inputs, seed=2)
    table = records.table.assign(train_flops=6 * inputs["params"] * tokens)
    found = split(replace(records, table=table), unique_tokens=5e9)
    (limit,) = (one for one in found.limits if one.code is LimitCode.ONE_LAW)
    assert "r_d 5" in limit.text and "fitted to these runs" in limit.text
    params, best_tokens = oracle(law, unique=5e9)
    assert found.params == pytest.approx(params, rel=0.25)  # weak priors, as above
    assert found.tokens == pytest.approx(best_tokens, rel=0.25)


@pytest.mark.parametrize(
    ("match", "demand"),
    [
        ("-1 inference tokens; give zero or a finite number", {"inference_tokens": -1.0}),
        ("0 unique tokens; give a finite number above zero", {"unique_tokens": 0.0}),
        ("uses up the budget with any model", {"inference_tokens": 1e20}),
    ],
)
def test_a_demand_that_no_budget_meets_is_refused(runs, match, demand):
    with pytest.raises(ForecastError, match=match):
        split(runs, **demand)


def test_a_law_that_may_have_no_best_split_gives_a_range_without_end_and_says_so(published):
    runs = read_records(published / "scalebench" / "farseer_scaling_law_train.csv")
    (found,) = allocate(
        runs, 1e24, options=ForecastOptions(law="farseer", draws=200, confidence_levels=(0.9,))
    )
    assert LimitCode.UNBOUNDED in {limit.code for limit in found.limits}
    assert found.params_range[0.9].high == np.inf
    assert np.isfinite(found.params_range[0.9].low)
    assert found.tokens_range[0.9].low == 0
