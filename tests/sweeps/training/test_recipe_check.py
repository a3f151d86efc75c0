"""A rung is trained again by other recipes: `sweeps.training.recipe_check`."""

import pytest

from scaling.extra_columns.recipe_arms import arms_from
from scaling.store.run_store import RunStore
from sweeps.config.recipe import find_recipe
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep
from sweeps.training.plain_loop import train_plainly
from sweeps.training.recipe_check import check_recipe


def test_every_arm_has_a_loss_a_seed_and_the_recipes_own_is_its_runs(tiny_config):
    load_corpus.cache_clear()
    plan = next(run for run in plan_sweep(tiny_config).runs if not run.held_out)
    corpus = load_corpus(tiny_config.data, plan.shape.context)
    recipe, other = find_recipe(plan.recipe), find_recipe("cpt-adamw/1")
    check = check_recipe(plan, corpus, recipe, (0.56, 1.0, 1.8), seeds=2, against=other)
    arms = arms_from(str(check.record()["recipe_arms"]))
    assert all(len(arm.losses) == 2 for arm in arms)
    own = next(arm for arm in arms if not any(arm.factors.steps) and not arm.recipe)
    alone = train_plainly([plan], corpus).validation_losses[0].item()
    assert own.losses[0] == pytest.approx(alone, abs=3e-3)  # a stack rounds otherwise
    assert sum(arm.recipe == other.name for arm in arms) == 1
    assert len(arms) - len(check.learning_rate.factors) == 9
    assert len({arm.losses for arm in arms}) == len(arms)


def test_a_sweep_keeps_the_arms_on_the_run_that_was_checked(
    tiny_mapping, in_this_process, tracking_uri
):
    health = {"check_recipe": True, "most_share": 100, "seeds": 1}
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"health": health}))
    store = RunStore.open(plan.name)
    assert run_sweep(plan, store).reasons == {}
    table = store.read_records().table
    carried = table[table["recipe_arms"].notna()]
    assert len(carried) == table[~table["held_out"]]["width"].nunique()
    assert set(carried["health"]) <= {"ok", "soft", "edge", "cap"}
    assert len(arms_from(carried["recipe_arms"].iloc[0])) >= 11
