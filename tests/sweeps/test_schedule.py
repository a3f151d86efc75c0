"""Facts about schedules and trunks: shapes, shared pasts, and what sharing saves."""

import math

import pytest

from scaling.shape import TransformerShape
from sweeps.config import config_from_mapping
from sweeps.listing import plan_text
from sweeps.plan import plan_sweep
from sweeps.recipe import find_recipe, settings_for, trunk_settings_for
from sweeps.schedule import split_horizons

SHAPE = TransformerShape(width=32, depth=2, head_size=16, context=64, vocab_size=256)
RECIPE = find_recipe("cpt-adamw-tiny/1", {"schedule": "wsd"})


def wsd_plan(tiny_mapping, tokens=(8000, 11314, 16000, 22627, 32000), **changes):
    changes = {"schedule": "wsd", "grid": {"width": 16, "tokens": tokens}, "held_out": []} | changes
    return plan_sweep(config_from_mapping(tiny_mapping | changes))


def test_wsd_is_constant_after_its_warm_up_and_decays_over_the_last_fifth():
    settings = settings_for(RECIPE, SHAPE, 1e6)
    factors = [settings.schedule_factor(step) for step in range(settings.steps)]
    assert set(factors[settings.warmup_steps - 1 : settings.fork_step + 1]) == {1.0}
    assert settings.decay_steps == round(0.2 * settings.steps)
    halfway = settings.fork_step + settings.decay_steps // 2
    share = (settings.decay_steps // 2) / settings.decay_steps
    assert factors[halfway] == 1 - math.sqrt(share)
    assert 0 < factors[-1] < 0.05


def test_before_its_decay_a_branch_has_the_learning_rates_of_the_longest():
    _, (short, long) = trunk_settings_for(RECIPE, SHAPE, [4e5, 1.6e6])
    assert short.fork_step < long.fork_step
    for step in range(short.fork_step):
        assert short.schedule_factor(step) == long.schedule_factor(step)
    assert (short.hidden, short.beta2) == (long.hidden, long.beta2)


def test_a_trunk_is_set_for_the_geometric_mean_of_its_horizons():
    reference, (short, _) = trunk_settings_for(RECIPE, SHAPE, [4e5, 1.6e6])
    assert reference == pytest.approx(8e5)
    assert short.hidden == settings_for(RECIPE, SHAPE, reference).hidden
    assert short.warmup_steps <= max(RECIPE.min_warmup_steps, 0.1 * short.steps)


@pytest.mark.parametrize(
    ("horizons", "trunks"),
    [
        ([1, 2, 4], [[0, 1, 2]]),
        ([4, 1, 2, 16], [[1, 2, 0], [3]]),
        ([1, 2, 4, 8, 16], [[0, 1, 2], [3, 4]]),
        ([5], [[0]]),
    ],
)
def test_a_span_of_more_than_four_gets_several_trunks(horizons, trunks):
    assert split_horizons(horizons, 4.0) == trunks


def test_five_horizons_from_one_trunk_spend_at_most_55_percent_of_separate_runs(tiny_mapping):
    plan = wsd_plan(tiny_mapping)
    assert len({run.trunk_id for run in plan.runs}) == 1
    assert plan.marginal_flops <= 0.55 * plan.train_flops
    assert "5 decay branches share 1 trunk: " in plan_text(plan)
    # Trunk up to the last fork, and five decays.
    steps = max(run.settings.fork_step for run in plan.runs)
    steps += sum(run.settings.decay_steps for run in plan.runs)
    assert plan.marginal_flops == steps * plan.runs[0].train_flops // plan.runs[0].settings.steps


def test_each_seed_has_a_trunk_of_its_own(tiny_mapping):
    plan = wsd_plan(tiny_mapping, grid={"width": 16, "tokens": [8000, 16000], "seed": [1, 2]})
    assert len({run.trunk_id for run in plan.runs}) == 2
    assert len({run.run_id for run in plan.runs}) == 4


def test_a_branch_states_what_it_shares_and_what_it_costs(tiny_mapping):
    short, *_, long = wsd_plan(tiny_mapping).runs
    facts = long.facts()
    assert facts["trunk"] == facts["parent"] == short.facts()["trunk"] == long.trunk_id
    assert facts["fork_tokens"] == long.settings.fork_step * long.batch_tokens
    assert facts["decay_share"] == pytest.approx(0.2, abs=0.5 / long.settings.steps)  # whole steps
    assert facts["train_flops"] == long.train_flops > facts["marginal_flops"]
    assert short.marginal_flops == short.train_flops
    # Learning rate goes as B^0.7 D^-0.27 with B ~ D^0.5: D^0.08; B is rounded by up to an eighth.
    assert facts["learning_rate_mismatch"] == pytest.approx(1, abs=0.25)


def test_two_horizons_of_the_same_whole_steps_are_one_run(tiny_mapping):
    plan = wsd_plan(tiny_mapping, tokens=(8000, 16000, 16001))
    assert len(plan.runs) == 2


def test_a_single_horizon_needs_no_trunk(tiny_mapping):
    (run,) = wsd_plan(tiny_mapping, tokens=(8000,)).runs
    assert run.branch is None
    assert run.settings.schedule == "wsd"
    assert "trunk" not in run.facts()
