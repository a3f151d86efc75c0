"""Facts about FLOP per parameter and token as a function of the size."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from analysis.fitting.measurements.flops_per_param_token import (
    TOLD_SCATTER,
    FlopsPerParamToken,
    flops_per_param_token,
)
from scaling.limits import LimitCode

WIDTHS = np.geomspace(256, 1536, 7)


def transformer(width, *, counted, costs, depth=None, vocab=32_000):
    """(N, r) of transformers: blocks, and so many embedding tables that N and C count."""
    blocks = 12 * (width / 64 if depth is None else depth) * width**2
    params = blocks + counted * vocab * width
    return params, 6 * (blocks + costs * vocab * width) / params


LADDERS = {
    "embeddings in N that cost none": {"counted": 1, "costs": 0},
    "two of them": {"counted": 2, "costs": 0},
    "two of them, of one depth": {"counted": 2, "costs": 0, "depth": 12},
    "embedding and head": {"counted": 2, "costs": 1},
    "embedding and head, of a large vocabulary": {"counted": 2, "costs": 1, "vocab": 128_000},
    "a head that N lacks": {"counted": 0, "costs": 1},
    "a head that N lacks, of one depth": {"counted": 0, "costs": 1, "depth": 12},
}


def measured(params, r, tokens_per_param=(5.0, 20.0, 80.0)):
    """r as runs of these sizes tell it, each with so many tokens."""
    n = np.repeat(params, len(tokens_per_param))
    d = n * np.tile(tokens_per_param, len(params))
    return flops_per_param_token(*np.log([n, d, np.repeat(r, len(tokens_per_param)) * n * d]))


@pytest.fixture(scope="module", params=LADDERS, ids=str)
def ladder(request):
    how = LADDERS[request.param]
    return how, measured(*transformer(WIDTHS, **how))


def test_r_is_that_of_every_size_and_of_sizes_between(ladder):
    how, found = ladder
    sizes, r = transformer(np.geomspace(WIDTHS[0], WIDTHS[-1], 50), **how)
    # a power of N stands for a table of embeddings beside blocks: half a percent at most
    np.testing.assert_allclose(np.exp(found.log(np.log(sizes))), r, rtol=0.005)
    assert found.scatter < 0.005


def test_r_changes_with_the_size_as_it_should(ladder):
    """The best split needs this slope: an error of .02 moves its size by some 3%."""
    how, found = ladder
    inner = np.log(WIDTHS[1:-1])
    (low, r_low), (high, r_high) = (transformer(np.exp(inner + h), **how) for h in (-0.01, 0.01))
    slope = np.log(r_high / r_low) / np.log(high / low)
    own = (found.log(np.log(high)) - found.log(np.log(low))) / np.log(high / low)
    np.testing.assert_allclose(own, slope, atol=0.02)


def test_beyond_the_runs_r_goes_on_to_about_six(ladder):
    how, found = ladder
    sizes, r = transformer(WIDTHS[-1] * np.array([2.0, 5.0, 20.0]), **how)
    np.testing.assert_allclose(np.exp(found.log(np.log(sizes))), r, rtol=0.05)
    assert found.limit == pytest.approx(6, rel=0.05)
    endless = np.exp(found.log(np.array([-200.0, 1e3])))
    assert np.isfinite(endless).all() and endless[1] == pytest.approx(found.limit)


def test_more_parameters_always_cost_more(ladder):
    _, found = ladder
    sizes = np.linspace(0, 60, 500)
    assert (np.diff(found.log_compute(sizes, np.zeros(500))) > 0).all()
    tokens = found.log_tokens(np.full(500, 50.0), sizes)
    np.testing.assert_allclose(found.log_compute(sizes, tokens), 50.0, rtol=1e-12)


def test_it_is_said_from_where_to_where_r_goes(ladder):
    _, found = ladder
    (limit,) = found.limits
    assert limit.code is LimitCode.FLOPS_FOLLOW_SIZE
    for value in np.exp(found.log(np.log(found.sizes))):
        assert f"{value:.3g} at" in limit.text


def test_it_survives_json(ladder):
    _, found = ladder
    assert FlopsPerParamToken.from_dict(json.loads(json.dumps(asdict(found)))) == found


@pytest.mark.parametrize("rounded", [False, True])
def test_one_value_for_all_sizes_is_the_median_of_the_runs_with_most_compute(rounded):
    params = np.geomspace(1e7, 1e9, 8)
    r = 6.7 * (1 + 4e-4 * (-1.0) ** np.arange(8) * rounded)
    found = measured(params, r)
    assert not found.follows_size and not found.limits
    # with so many rows the median is one of the two values that a rounding left
    assert found.limit == pytest.approx(6.7, rel=5e-4 if rounded else 1e-12)
    assert measured(params[:0], r[:0]).limit == 6.0  # no run says what it cost


def test_scatter_that_does_not_follow_the_size_is_said_and_is_no_trend():
    trends, worst = 0, 0.0
    for seed in range(15):
        noise = 0.05 * np.random.default_rng(seed).standard_normal(12)
        found = measured(np.geomspace(1e7, 1e9, 12), 6 * np.exp(noise))
        assert found.limits[-1].code is LimitCode.FLOPS_SCATTER
        assert found.scatter > TOLD_SCATTER
        trends += found.follows_size
        worst = max(worst, abs(float(found.log(np.log(1e10))) - np.log(6)))
    assert trends <= 4  # 7% of 15 by Student's t of ten degrees of freedom, and three sd more
    assert worst < 0.2  # four standard deviations of one size, a decade beyond all


def test_a_trend_is_seen_through_scatter_by_shape():
    params, r = transformer(np.geomspace(256, 1536, 12), counted=2, costs=0)
    off = np.exp(0.05 * np.random.default_rng(1).standard_normal(12))
    found = measured(params, r * off)
    codes = [limit.code for limit in found.limits]
    assert codes == [LimitCode.FLOPS_FOLLOW_SIZE, LimitCode.FLOPS_SCATTER]
    np.testing.assert_allclose(np.exp(found.log(np.log(params))), r, rtol=0.1)  # two sd


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_lowest_loss_of_a_budget_is_found_whatever_r_does(sign):
    n, f = (1.0, 0.3) if sign < 0 else (0.0, 1.0)
    flops = FlopsPerParamToken(limit=6.0, in_params=n, in_flops=f, turn=1e9, power=0.6)

    def log_loss(log_n, log_d):
        return np.log(1.7 + 400 * np.exp(-0.34 * log_n) + 2000 * np.exp(-0.37 * log_d))

    budgets = np.log([1e17, 1e19, 1e23])
    found = flops.best_log_params(log_loss, budgets, np.full(3, np.log(1e9)))
    grid = np.linspace(np.log(1e6), np.log(1e13), 200_001)[:, None]
    best = grid[np.argmin(log_loss(grid, flops.log_tokens(budgets, grid)), axis=0), 0]
    np.testing.assert_allclose(found, best, atol=2e-4)  # the parabola's third order
    endless = flops.best_log_params(log_loss, budgets, np.array([np.inf, 20.0, -np.inf]))
    assert np.isinf(endless[[0, 2]]).all() and endless[1] == pytest.approx(found[1])
