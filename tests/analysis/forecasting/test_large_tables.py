"""A forecast from a large table rests on some of its runs, says so, and is no worse for it."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from analysis.decisions.budget_for_loss import budget_for_loss
from analysis.decisions.optimal_split import allocate
from analysis.evaluation.backtest import backtest
from analysis.forecasting.constants.calibration import SURFACE
from analysis.forecasting.forecast import forecast
from analysis.forecasting.ladder import CURVE_POINTS, MOST_RUNS, Ladder, lowest_nearby
from analysis.forecasting.members.candidates import surface_candidates
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.setup import pose
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.weighing.ensemble import fit_members
from benchmarks.speed.large_tables import KINDS
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table

LARGE = 3 * MOST_RUNS
QUICK = ForecastOptions(law="chinchilla", backtests=0, draws=200)
ADDITIVE = tuple(c for c in surface_candidates() if c.name == "additive")


def ladder_of(table):
    """All rows of a table of sizes and tokens as a ladder."""
    n, d = np.log(table["params"].to_numpy()), np.log(table["tokens"].to_numpy())
    return Ladder(
        inputs=("params", "tokens"),
        log_inputs=np.column_stack([n, d]),
        log_loss=np.log(table["loss"].to_numpy()),
        log_compute=n + d + np.log(6),
    )


@pytest.fixture(scope="module")
def large():
    return records_from_table(KINDS["distinct"](LARGE))


@pytest.mark.parametrize("budgets", [None, 7])
def test_the_best_of_similar_compute_is_the_lowest_within_reach(budgets):
    rng = np.random.default_rng(0)
    for runs in (1, 2, 3, 17, 200):
        at = rng.uniform(0, 5, runs) if budgets is None else rng.integers(budgets, size=runs) * 0.1
        values = rng.normal(size=runs)
        near = np.abs(at[:, None] - at) <= 0.3
        expected = np.where(near, values, np.inf).min(axis=1)
        np.testing.assert_array_equal(lowest_nearby(at, values, 0.3), expected)


def test_weights_take_memory_in_proportion_to_the_runs():
    ladder = ladder_of(KINDS["distinct"](4000))
    tracemalloc.start()
    try:
        ladder.weights(0.25)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * 8 * len(ladder)  # every run against every other would be 4,000


@pytest.mark.parametrize("kind", ["distinct", "seeds", "checkpoints"])
def test_a_sample_keeps_the_ends_and_does_not_depend_on_the_order(kind):
    ladder = ladder_of(KINDS[kind](LARGE))
    keep, share = ladder.sample()
    some = ladder.select(keep)
    assert MOST_RUNS / 2 < len(some) <= MOST_RUNS + 8
    assert share >= 1
    for column in ("log_compute", "log_inputs", "log_loss"):
        whole, part = getattr(ladder, column), getattr(some, column)
        np.testing.assert_array_equal(part.min(axis=0), whole.min(axis=0))
        np.testing.assert_array_equal(part.max(axis=0), whole.max(axis=0))
    shuffled = ladder.select(np.random.default_rng(1).permutation(len(ladder)))
    again = shuffled.select(shuffled.sample()[0])
    np.testing.assert_array_equal(np.sort(again.log_loss), np.sort(some.log_loss))


def test_few_large_runs_stay_among_many_small_ones():
    small, large = KINDS["distinct"](LARGE), KINDS["distinct"](12, seed=1)
    table = pd.concat([small, large.assign(params=large.params * 1e9)], ignore_index=True)
    ladder = ladder_of(table)
    assert set(range(LARGE, LARGE + 12)) <= set(ladder.sample()[0])


def test_a_table_that_is_not_large_is_read_whole():
    records = records_from_table(KINDS["distinct"](MOST_RUNS))
    question = pose(records, ("train_flops",), QUICK)
    assert len(question.ladder) == MOST_RUNS
    assert first_of(LimitCode.THINNED, question.limits) is None


def test_every_answer_says_how_many_runs_carry_it(large):
    target = Targets.flops(1e23)
    answers = {
        "forecast": forecast(large, target, options=QUICK),
        "allocate": allocate(large, 1e23, options=QUICK).splits[0],
        "backtest": backtest(large, options=QUICK),
        "budget_for_loss": budget_for_loss(large, 2.1, options=QUICK),
    }
    said = {name: first_of(LimitCode.THINNED, one.limits) for name, one in answers.items()}
    assert all(said.values())
    used = answers["forecast"].runs
    assert {limit.text.split(" carry")[0] for limit in said.values()} == {
        f"{used:,} of {LARGE:,} runs"
    }


def test_a_long_curve_tells_both_what_carries_it_and_what_is_fitted():
    table = KINDS["curve"](LARGE)
    records = records_from_table(table.rename(columns={"train_flops": "examples"}))
    options = ForecastOptions(law="pure_power_law", x="examples", backtests=0, draws=200)
    scored = backtest(records, options=options)
    assert [limit.code for limit in scored.limits].count(LimitCode.THINNED) == 2


def test_seeds_of_few_budgets_all_count_along_a_curve():
    flops = np.repeat(10.0 ** np.arange(18, 22, 0.5), 10)
    ladder = Ladder(
        inputs=("train_flops",),
        log_inputs=np.log(flops)[:, None],
        log_loss=-0.1 * np.log(flops),
        log_compute=np.log(flops),
    )
    assert len(ladder) > CURVE_POINTS
    assert len(ladder.thinned()) == len(ladder)


@pytest.mark.parametrize(
    ("kind", "how"), [("distinct", {}), ("checkpoints", {"each": 20})], ids=lambda given: str(given)
)
def test_thinning_does_not_bias_a_forecast(kind, how):
    """The part predicts what the whole does, within .3% a table and .1% on average; the noise of a
    run is .5%. `python -m benchmarks.speed.large_tables --bias` tries more, with every law."""
    at = np.log([[1.5e10, 1.1e12]])
    off = []
    for seed in range(4):
        whole = ladder_of(KINDS[kind](LARGE, seed=seed, **how))
        part = whole.select(whole.sample()[0])
        predicted = [fit_members(one, ADDITIVE, SURFACE).values(at)[0, 0] for one in (whole, part)]
        off.append(predicted[1] - predicted[0])
    assert np.abs(off).max() < 3e-3
    assert abs(np.mean(off)) < 1e-3
