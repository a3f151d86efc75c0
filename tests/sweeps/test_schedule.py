"""Facts about schedules and trunks: shapes, shared pasts, and what sharing saves."""

import math

import pytest

from scaling.shape import TransformerShape
from sweeps.config import config_from_mapping
from sweeps.listing import plan_text
from sweeps.plan import plan_sweep
from sweeps.recipe import batch_sequences_for, find_recipe, settings_for, trunk_settings_for
from sweeps.schedule import mean_schedule_factor, split_horizons

SHAPE = TransformerShape(width=32, depth=2, head_size=16, context=64, vocab_size=256)
RECIPE = find_recipe("cpt-adamw-tiny/1", {"schedule": "wsd"})
STEPPED = find_recipe("cpt-adamw-tiny/2", {"schedule": "wsd"})
HORIZONS = [1.5e5, 3e5, 6e5]


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


def test_a_stepped_trunk_has_up_to_each_fork_the_rate_of_the_horizon_that_forks_there():
    _, branches = trunk_settings_for(STEPPED, SHAPE, HORIZONS)
    (batch,) = {branch.batch_sequences for branch in branches}
    start = branches[0].warmup_steps
    for tokens, branch in zip(HORIZONS, branches, strict=True):
        assert batch_sequences_for(STEPPED, tokens, SHAPE.context) == batch
        own = settings_for(STEPPED, SHAPE, tokens).hidden.learning_rate
        for step in (start, branch.fork_step - 1, branch.fork_step):
            rate = branch.hidden.learning_rate * branch.schedule_factor(step)
            # The mean of the schedule, which the peak follows, moves a little with whole steps.
            assert rate == pytest.approx(own, rel=0.005)
        start = branch.fork_step


def test_branches_of_a_stepped_trunk_share_all_rates_up_to_their_forks():
    _, branches = trunk_settings_for(STEPPED, SHAPE, HORIZONS)
    for short, long in zip(branches, branches[1:], strict=False):
        for step in range(short.fork_step):
            assert short.schedule_factor(step) == long.schedule_factor(step)
        # There the longer one steps down, and the shorter one decays from where it was.
        assert long.schedule_factor(short.fork_step) < short.schedule_factor(short.fork_step)
        decay = [short.schedule_factor(step) for step in range(short.fork_step, short.steps)]
        assert decay == sorted(decay, reverse=True)
        assert decay[-1] < 0.05


def test_a_stepped_trunk_warms_up_as_its_shortest_branch_would_alone():
    _, branches = trunk_settings_for(STEPPED, SHAPE, HORIZONS)
    shortest = settings_for(STEPPED, SHAPE, HORIZONS[0])
    assert {branch.warmup_steps for branch in branches} == {shortest.warmup_steps}


@pytest.mark.parametrize("schedule", ["linear", "wsd"])
def test_the_mean_rate_and_the_decay_of_a_run_do_not_hang_on_the_schedule(schedule):
    recipe = find_recipe("cpt-adamw-tiny/2", {"schedule": schedule})
    settings = settings_for(recipe, SHAPE, 3e5)
    factors = [settings.schedule_factor(step) for step in range(settings.steps)]
    mean = sum(factors) / settings.steps
    assert mean == pytest.approx(
        mean_schedule_factor(
            schedule,
            steps=settings.steps,
            warmup_steps=settings.warmup_steps,
            decay_steps=settings.decay_steps,
        )
    )
    rule = find_recipe("cpt-adamw-tiny/2", {"schedule": schedule, "reference_mean_rate": mean})
    peak = settings_for(rule, SHAPE, 3e5).hidden.learning_rate
    assert settings.hidden.learning_rate * mean == pytest.approx(0.5 * peak)
    # Sum over the steps of learning rate times weight decay: how often the weights are renewed.
    renewals = settings.steps * mean * settings.hidden.learning_rate * settings.hidden.weight_decay
    timescale = 0.22 * (3e5 / SHAPE.params_matmul / 20) ** -0.5
    assert renewals == pytest.approx(0.5 * recipe.weight_decay_factor / timescale)


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
    text = plan_text(plan)
    assert "5 decay branches share 1 trunk: " in text
    rows = text.split("over the rule's")[-1].splitlines()[1:6]
    assert [int(row.split()[2].replace(",", "")) for row in rows] == [
        run.tokens for run in plan.runs
    ]
    assert rows[0].split()[-1] == "100%"  # the first branch pays for the trunk up to its fork
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
    assert facts["batch_mismatch"] == 1  # both at the least that the recipe allows


def test_a_trunks_batch_is_stated_over_the_one_of_each_horizon(tiny_mapping):
    recipe = {"name": "cpt-adamw-tiny/1", "overrides": {"base_batch_tokens": 81920}}
    short, long = wsd_plan(tiny_mapping, tokens=(8000, 32000), recipe=recipe).runs
    # The batch goes as the root of the horizon, the trunk's horizon is the geometric mean; rounding
    # to whole sequences moves each by up to an eighth.
    assert short.facts()["batch_mismatch"] == pytest.approx(math.sqrt(2), rel=0.2)
    assert long.facts()["batch_mismatch"] == pytest.approx(math.sqrt(0.5), rel=0.2)


def test_two_horizons_of_the_same_whole_steps_are_one_run(tiny_mapping):
    plan = wsd_plan(tiny_mapping, tokens=(8000, 16000, 16001))
    assert len(plan.runs) == 2


def test_a_single_horizon_needs_no_trunk(tiny_mapping):
    (run,) = wsd_plan(tiny_mapping, tokens=(8000,)).runs
    assert run.branch is None
    assert run.settings.schedule == "wsd"
    assert "trunk" not in run.facts()
