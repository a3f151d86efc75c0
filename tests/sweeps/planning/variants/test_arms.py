"""Runs under other recipes, and what checks of them cost: `sweeps.planning.variants.arms`."""

import numpy as np
import pytest

from scaling.extra_columns.recipe_arms import Factors
from sweeps.config.recipe import find_recipe
from sweeps.config.sweep import HealthConfig
from sweeps.config.yaml_file import config_from_mapping, load_config
from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor
from sweeps.planning.packing import stack_key
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import plan_text
from sweeps.planning.variants.arms import (
    CORNERS,
    FEW_CORNERS,
    arm_recipe,
    checks_text,
    planned_checks,
    with_recipe,
)

LADDER = {"grid": {"width": [16, 32, 48], "tokens": [8000, 30000], "seed": [1, 2]}}


def planned(mapping, **health):
    return plan_sweep(config_from_mapping(mapping | LADDER | {"health": health}))


def test_each_constant_is_told_by_all_corners_and_by_no_pair_of_others():
    steps = np.array([corner.steps for corner in CORNERS])
    signs = np.sign(np.round(steps, 9))
    assert np.all(signs.sum(axis=0) == 0)
    for i in range(4):
        for j in range(4):
            assert signs[:, i] @ signs[:, j] == 8 * (i == j)
            for k in range(j):
                pair = signs[:, j] * signs[:, k]
                assert i in (j, k) or signs[:, i] @ pair == 0


def test_an_arm_changes_what_it_says_and_what_the_rules_tie_to_it(tiny_mapping):
    run = planned(tiny_mapping).runs[-1]
    recipe = find_recipe(run.recipe)
    own = with_recipe(run, recipe)
    assert own.settings == run.settings
    faster = with_recipe(run, arm_recipe(recipe, Factors(rate=1.5))).settings
    expected = with_learning_rate_factor(run.settings, 1.5)
    assert faster.hidden.learning_rate == pytest.approx(expected.hidden.learning_rate)
    assert faster.hidden.weight_decay == pytest.approx(expected.hidden.weight_decay)
    decayed = with_recipe(run, arm_recipe(recipe, Factors(decay=3))).settings
    assert decayed.hidden.weight_decay == pytest.approx(3 * run.settings.hidden.weight_decay)
    halved = with_recipe(run, arm_recipe(recipe, Factors(batch=0.5)))
    assert halved.settings.batch_sequences * 2 == run.settings.batch_sequences
    assert halved.tokens == run.tokens


def test_arms_of_one_batch_are_one_stack(tiny_mapping):
    run = planned(tiny_mapping).runs[-1]
    recipe = find_recipe(run.recipe)
    stacks = {stack_key(with_recipe(run, arm_recipe(recipe, corner))) for corner in CORNERS}
    assert len(stacks) == 2


def test_the_check_of_the_recipe_keeps_to_its_share_cheapest_rungs_first(tiny_mapping):
    shares = {}
    for share in (0.0001, 0.4, 1.0, 100.0):
        plan = planned(tiny_mapping, check_recipe=True, most_share=share)
        checks = planned_checks(plan)
        assert checks.flops <= share * plan.marginal_flops
        shares[share] = [(check.arms, check.seeds) for check in checks.checks]
        assert len(checks.checks) + len(checks.left_out) == 3
    assert shares[0.0001] == []
    assert shares[0.4]
    assert shares[100.0] == [(11, 2)] * 3
    assert len(shares[0.4]) <= len(shares[1.0])


def test_a_sweep_that_cannot_afford_eleven_arms_has_seven(tiny_mapping):
    plan = planned(tiny_mapping, check_recipe=True, most_share=100.0)
    least = planned_checks(plan).least_flops
    for budget, arms in ((least, [7, 7, 7]), (least * 12 / 7, [11, 11, 11]), (least / 2, None)):
        share = budget / plan.marginal_flops
        checks = planned_checks(planned(tiny_mapping, check_recipe=True, most_share=share))
        assert checks.flops <= budget
        found = [check.arms for check in checks.checks]
        assert found == arms if arms else 0 < len(found) < 3 and set(found) <= {7, 11}
    # each constant but the rate, which three arms of its own tell, by all four corners
    signs = np.sign(np.round([corner.steps for corner in FEW_CORNERS], 9))
    assert np.all(signs[:, 1:].T @ signs[:, 1:] == 4 * np.eye(3))
    assert not signs[:, 0].any()


def test_the_check_of_the_quick_start_keeps_to_a_tenth():
    config = load_config("quickstart", ["health.check_recipe=true"])
    checks = planned_checks(plan_sweep(config))
    assert [check.run.shape.width for check in checks.checks] == [32]
    assert 0.05 < checks.share <= 0.1


def test_a_plan_says_what_its_checks_cost_and_leave_out(tiny_mapping):
    plan = planned(tiny_mapping, check_recipe=True, most_share=0.4)
    text = plan_text(plan)
    assert "checks of " in text and "weight decay, warm-up and batch" in text
    assert "not checked, since health.most_share is 0.4: " in text
    assert planned_checks(plan).document()["share"] <= 0.4
    assert checks_text(planned_checks(planned(tiny_mapping)), HealthConfig()) == ""
    rates = planned_checks(planned(tiny_mapping, check_learning_rate=True))
    assert [check.seeds for check in rates.checks] == [2, 2, 2]
    assert not rates.of_recipe
