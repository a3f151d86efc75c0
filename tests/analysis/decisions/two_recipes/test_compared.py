"""Facts about comparing two recipes: the multiplier comes back, and nothing is claimed unpaired."""

import json

import numpy as np
import pytest

from analysis import ForecastOptions, compare
from analysis.decisions.two_recipes.pairing import pair
from benchmarks.decisions.compared import FACTORS, best_loss, simulated_pairs
from scaling import laws, records_from_table
from scaling.errors import ForecastError
from scaling.limits import LimitCode, first_of
from scaling.simulate import isoflop_runs, simulate_records

A = laws.Chinchilla(E=1.8, A=480.0, B=2085.0, alpha=0.348, beta=0.366)
B = laws.Chinchilla(E=1.8, A=456.0, B=1980.0, alpha=0.348, beta=0.366)
BUDGETS = np.geomspace(1e17, 1e19, 4)
QUICK = ForecastOptions(backtests=1, draws=200)


def arm(law, noise=0.002, seed=1, budgets=BUDGETS, **columns):
    runs = isoflop_runs(budgets, [0.5, 1.0, 2.0], A)
    table = simulate_records(law, runs, relative_noise=noise, seed=seed).table
    return records_from_table(table.assign(**columns), source=f"arm {seed}")


@pytest.fixture(scope="module")
def found():
    return compare(arm(A), arm(B, seed=2), 1e19, 1e20, options=QUICK)


def true_multiplier(budget):
    wanted = best_loss(B, budget)
    grid = budget * np.geomspace(0.1, 10, 4001)
    losses = [best_loss(A, c) for c in grid]
    return float(np.interp(-wanted, -np.array(losses), grid)) / budget


def test_the_multiplier_is_that_of_the_laws_that_made_the_runs(found):
    for target in found.targets:
        low, high = target.multiplier_intervals[0.9]
        assert low < true_multiplier(target.train_flops) < high
        assert target.probability_b_is_better > 0.95
        l_low, l_high = target.loss_difference_intervals[0.9]
        difference = best_loss(B, target.train_flops) - best_loss(A, target.train_flops)
        assert l_low < difference < l_high < 0
    near, far = (np.ptp(np.log(t.multiplier_intervals[0.9])) for t in found.targets)
    assert far > near  # how the advantage goes on is not known
    assert found.significant and found.crossing is None


def test_arms_changed_over_give_the_inverse(found):
    turned = compare(arm(B, seed=2), arm(A), 1e19, options=QUICK)
    (target,) = turned.targets
    # the frontier is now that of the other arm: the two agree to a few percent of ln m
    product = target.multiplier * found.targets[0].multiplier
    assert product == pytest.approx(1, abs=0.02)


def test_without_noise_cells_have_the_multiplier_of_their_rung():
    exact = compare(arm(A, noise=0), arm(B, noise=0, seed=2), 1e19, options=QUICK)
    for rung in exact.rungs:
        # a difference off the best split is told by the frontier's slope: .03 of ln m
        assert np.log(rung.multiplier) == pytest.approx(
            np.log(true_multiplier(rung.train_flops)), abs=0.04
        )


def test_arms_that_cross_are_told_where():
    early = laws.Chinchilla(E=1.9, A=430.0, B=1870.0, alpha=0.348, beta=0.366)
    grid = np.geomspace(1e16, 1e21, 2001)
    gap = np.array([best_loss(early, c) - best_loss(A, c) for c in grid])
    truth = float(grid[np.argmin(np.abs(gap))])
    budgets = np.geomspace(truth / 30, truth * 30, 5)
    both = arm(A, budgets=budgets), arm(early, seed=2, budgets=budgets)
    crossed = compare(*both, budgets[-1], options=QUICK)
    assert crossed.crossing_interval.low < truth < crossed.crossing_interval.high
    assert crossed.crossing_interval.high < 10 * crossed.crossing_interval.low


def test_arms_that_are_one_and_the_same_cross_nowhere():
    same = compare(arm(A), arm(A), 1e19, options=QUICK)
    assert same.crossing is None and not same.significant


def test_arms_that_differ_in_nothing_are_rarely_told_apart():
    pairs = list(simulated_pairs(10, "none", seed=3))
    p = [compare(one.a, one.b, one.largest, options=QUICK).p_value for one in pairs]
    assert sum(value < 0.1 for value in p) <= 4  # binomial(10, .1): more in one of 600


@pytest.mark.slow
def test_ninety_percent_intervals_hold_the_multiplier_about_ninety_times_in_a_hundred():
    inside, quick = [], ForecastOptions(backtests=1, draws=200)
    for kind in ("constant", "lopsided", "drifting", "none"):
        for one in simulated_pairs(20, kind, seed=5):
            budgets = [factor * one.largest for factor in FACTORS]
            for target in compare(one.a, one.b, budgets, options=quick).targets:
                if target.multiplier is not None:
                    low, high = np.log(target.multiplier_intervals[0.9])
                    inside.append(low <= one.log_multiplier(target.train_flops) <= high)
    # 80 pairs: three standard deviations of binomial(80, .9), targets of one pair being alike
    assert 0.80 <= np.mean(inside) <= 1.0


def test_a_gate_promotes_what_is_surely_better_and_rejects_what_is_surely_worse(found):
    assert found.verdict().decision == "promote"
    assert found.verdict(5.0).decision == "reject"
    assert found.verdict(found.targets[-1].multiplier).decision == "undecided"
    two = compare(arm(A, budgets=BUDGETS[:]), arm(B, seed=2, budgets=BUDGETS[2:]), options=QUICK)
    assert two.verdict().decision == "undecided" and "a promotion takes 3" in two.verdict().because


def test_a_target_beyond_what_the_first_arm_supports_has_no_number():
    far = compare(arm(A), arm(B, seed=2), 1e26, options=QUICK)
    (target,) = far.targets
    assert target.multiplier is None and target.multiplier_intervals == {}
    assert first_of(LimitCode.UNSUPPORTED, target.limits) is not None
    assert far.verdict().decision == "undecided"
    document = json.loads(far.to_json(), parse_constant=pytest.fail)
    assert document["targets"][0]["probability_b_is_better"] is None


def test_wall_time_counts_how_fast_each_arm_computes():
    slow = arm(A, device_seconds=1.0)
    slow = records_from_table(
        slow.table.assign(device_seconds=slow.table["train_flops"] / 1e12, device="x"), source="a"
    )
    fast = arm(B, seed=2)
    fast = records_from_table(
        fast.table.assign(device_seconds=fast.table["train_flops"] / 2e12, device="y"), source="b"
    )
    made = compare(slow, fast, 1e19, options=QUICK)
    (target,) = made.targets
    assert target.wall_multiplier == pytest.approx(2 * target.multiplier, rel=1e-6)
    assert first_of(LimitCode.OTHER_DEVICE, made.limits) is not None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"eval_hash": "other"}, "differ in eval_hash"),
        ({"tokenizer_hash": "other"}, "differ in tokenizer_hash"),
        ({"loss_kind": "bits_per_byte"}, "no comparison"),
    ],
)
def test_arms_that_were_measured_otherwise_are_refused(changed, said):
    plain = {"eval_hash": "one", "tokenizer_hash": "one"}
    with pytest.raises(ForecastError, match=said):
        compare(arm(A, **plain), arm(B, seed=2, **{**plain, **changed}), options=QUICK)


def test_an_evaluation_that_nothing_tells_is_said(found):
    assert first_of(LimitCode.EVALUATION_UNKNOWN, found.limits) is not None
    told = compare(arm(A, eval_hash="x"), arm(B, seed=2, eval_hash="x"), options=QUICK)
    assert first_of(LimitCode.EVALUATION_UNKNOWN, told.limits) is None


def test_arms_without_common_cells_are_refused_with_what_was_tried():
    with pytest.raises(ForecastError, match="no cell in common") as refused:
        compare(arm(A), arm(B, seed=2, budgets=[3e15, 2e16]), options=QUICK)
    assert "params and tokens; train_flops" in str(refused.value)


def test_tokens_of_whole_steps_pair_though_their_batches_differ():
    first = arm(A)
    table = first.table.assign(
        tokens=first.table["tokens"] * 1.01, train_flops=first.table["train_flops"] * 1.01
    )
    pairs = pair(first, records_from_table(table, source="b"))
    assert pairs.by == ("params", "tokens") and len(pairs.cells) == 12


def test_seeds_of_a_cell_are_averaged_and_its_best_setting_counts():
    runs = isoflop_runs(BUDGETS, [0.5, 1.0, 2.0], A)
    twice = simulate_records(A, runs, relative_noise=0.002, replicates=2, seed=1)
    pairs = pair(twice, arm(B, seed=2))
    assert {cell.runs for cell in pairs.cells} == {(2, 1)}
