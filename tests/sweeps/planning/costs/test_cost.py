"""Facts about what a plan is estimated to cost, and about budgets that refuse it."""

import dataclasses

import pytest

from scaling.errors import ConfigError
from sweeps.config.sweep import BudgetConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.costs.cost import check_budget, plan_cost
from sweeps.planning.packing import state_name
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import cost_text


@pytest.fixture
def plan(tiny_mapping):
    return plan_sweep(config_from_mapping(tiny_mapping | {"budget": {"price_per_device_hour": 3}}))


def finished(run, flops_per_second):
    seconds = run.marginal_flops / flops_per_second
    found = {"run_id": run.run_id, "status": "finished", "device_seconds": seconds}
    return {run.run_id: run.facts_when_finished() | found}


def test_a_cost_before_the_first_run_is_the_plan_s_own_guess(plan):
    cost = plan_cost(plan)
    assert not cost.is_measured
    assert cost.flops == plan.marginal_flops
    assert cost.device_hours == pytest.approx(plan.process_seconds / 3600)
    assert cost.money == pytest.approx(3 * cost.device_hours)


def test_rungs_cost_what_finished_runs_of_their_size_took_and_finished_runs_nothing(plan):
    small, large, held_out = sorted(plan.runs, key=lambda run: run.train_flops)
    cost = plan_cost(plan, finished(small, 1e6) | finished(large, 4e6))
    assert cost.is_measured
    (rung,) = cost.rungs
    assert (rung.params, rung.runs) == (held_out.shape.params, 1)
    assert rung.device_hours == pytest.approx(held_out.train_flops / 4e6 / 3600)


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_an_unfinished_run_costs_what_is_left_where_it_goes_on(plan, status, tmp_path):
    launch = plan.config.launch.changed(checkpoints={"folder": str(tmp_path)})
    plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, launch=launch))
    run = plan.runs[0]
    half = {"run_id": run.run_id, "status": status, **run.progress(run.settings.steps // 2)}
    known = {run.run_id: half}
    whole = plan_cost(plan, known)
    assert whole.flops == plan.marginal_flops  # interrupted without a state it begins again
    (tmp_path / f"{state_name((run,))}.trunk").touch()
    left = plan_cost(plan, known)
    assert whole.flops - left.flops == half["marginal_flops"]
    spent = half["marginal_flops"] / run.marginal_flops * plan.seconds(run) / 3600
    assert whole.device_hours - left.device_hours == pytest.approx(spent)


def test_a_store_that_does_not_answer_is_no_store_without_finished_runs(plan):
    text = cost_text(plan_cost(plan, store_error="http://x: no answer"))
    assert "the run store was not asked: http://x: no answer" in text
    assert "nothing has finished" not in text
    assert "guessed; nothing has finished" in cost_text(plan_cost(plan))


@pytest.mark.parametrize("name", ["flops", "device_hours", "cost"])
def test_a_plan_above_any_budget_is_refused_by_its_name(plan, name):
    cost = plan_cost(plan)
    planned = {"flops": cost.flops, "device_hours": cost.device_hours, "cost": cost.money}[name]
    budget = dataclasses.replace(BudgetConfig(price_per_device_hour=3), **{name: planned})
    check_budget(cost, budget)
    with pytest.raises(ConfigError, match=f"more than budget.{name}"):
        check_budget(cost, dataclasses.replace(budget, **{name: planned * 0.999}))
