"""Facts about what a recipe could still train, and about the config that trains some of it."""

import pytest

from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.planning.variants.buildable import added_runs, buildable_runs, checks_flops, with_runs

MOST = 4e9


def config(**changed):
    return config_from_mapping(
        {
            "name": "known",
            "grid": {"width": [8, 16], "flops": [2e8, 4e8, 1e9], "seed": [1, 2]},
            "model": {"context": 16, "head_size": 8},
            "data": {"source": "markov", "symbols": 16, "validation_windows": 20},
            "recipe": {"name": "cpt-adamw-tiny/1"},
            **changed,
        }
    )


@pytest.fixture(scope="module")
def plan():
    return plan_sweep(config())


@pytest.fixture(scope="module")
def found(plan):
    return buildable_runs(plan, MOST)


def test_larger_models_and_budgets_are_among_what_can_be_built(plan, found):
    assert max(one.run.shape.width for one in found) > 16
    assert max(one.run.train_flops for one in found) > 2 * max(r.train_flops for r in plan.runs)
    assert all(one.run.train_flops <= MOST for one in found)
    assert len({one.run.run_id for one in found}) == len(found)


def test_seeds_that_the_plan_has_are_known(plan, found):
    planned = {(run.shape.width, run.tokens) for run in plan.runs}
    for one in found:
        is_planned = (one.run.shape.width, one.run.tokens) in planned
        assert one.seeds == ((1, 2) if is_planned else ())


def test_tokens_per_parameter_stay_near_those_of_the_plan(plan, found):
    ratios = [run.tokens / run.shape.params for run in plan.runs]
    assert all(
        min(ratios) / 2 <= one.run.tokens / one.run.shape.params <= 2 * max(ratios) for one in found
    )


def test_the_config_with_some_plans_just_these(plan, found):
    new = next(one for one in found if not one.seeds)
    again = next(one for one in found if one.seeds)
    changed = with_runs(plan.config, [(new, 1), (again, 2)], check_learning_rate=False)
    added = added_runs(plan, changed)
    assert sorted((run.shape.width, run.tokens, run.seed) for run in added) == sorted(
        [
            (new.run.shape.width, new.run.tokens, 1),
            (again.run.shape.width, again.run.tokens, 3),
            (again.run.shape.width, again.run.tokens, 4),
        ]
    )
    assert changed.cells[: len(plan.config.cells)] == plan.config.cells


def test_branches_of_one_trunk_cost_what_the_plan_says(plan):
    trunks = plan_sweep(config(schedule="wsd", recipe={"name": "cpt-adamw-tiny/2"}))
    found = [one for one in buildable_runs(trunks, MOST) if one.cell.width == (16,)]
    long, short = found[0], found[1]
    assert long.trunk == short.trunk != ""
    changed = with_runs(trunks.config, [(long, 1), (short, 1)], check_learning_rate=False)
    added = added_runs(trunks, changed)
    expected = long.run.train_flops + short.run.train_flops - short.shared_flops
    assert sum(run.marginal_flops for run in added) == pytest.approx(expected, rel=0.02)


def test_checks_are_on_offer_where_they_are_off(plan):
    smallest = {}
    for run in plan.runs:
        smallest[run.shape.width] = min(
            run.train_flops, smallest.get(run.shape.width, run.train_flops)
        )
    assert checks_flops(plan) == sum(smallest.values()) * 3 * 2
    assert checks_flops(plan_sweep(config(health={"check_learning_rate": True}))) is None
    changed = with_runs(plan.config, [], check_learning_rate=True)
    assert changed.health.check_learning_rate


def test_what_a_device_cannot_hold_is_not_on_offer(plan, found, monkeypatch):
    largest = max(20 * one.run.shape.params for one in found)
    monkeypatch.setattr(
        "sweeps.planning.variants.buildable.device_bytes", lambda launch: largest - 1
    )
    fewer = buildable_runs(plan, MOST)
    assert 0 < len(fewer) < len(found)
    assert all(20 * one.run.shape.params < largest for one in fewer)
