"""Facts about schedules and trunks: shapes, shared pasts, and what sharing saves."""

import dataclasses
import math

import pytest

from scaling.shape import TransformerShape
from sweeps.config.recipe import find_recipe
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.hyper_parameters.recipe import (
    horizon_settings_for,
    settings_for,
    trunk_settings_for,
)
from sweeps.planning.hyper_parameters.schedule import mean_schedule_factor, split_horizons
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import plan_text

SHAPE = TransformerShape(width=32, depth=2, head_size=16, context=64, vocab_size=256)
RECIPE = find_recipe("cpt-adamw-tiny/1", {"schedule": "wsd"})
ANCHORED = find_recipe("cpt-adamw-tiny/2", {"schedule": "wsd"})
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


def test_with_an_anchor_nothing_before_a_decay_depends_on_where_the_run_ends():
    _, branches = trunk_settings_for(ANCHORED, SHAPE, HORIZONS)
    assert branches == [settings_for(ANCHORED, SHAPE, tokens) for tokens in HORIZONS]
    for short, long in zip(branches, branches[1:], strict=False):
        assert dataclasses.replace(short, steps=long.steps, decay_steps=long.decay_steps) == long
        for step in range(short.fork_step + 1):
            assert short.schedule_factor(step) == long.schedule_factor(step)
        decay = [short.schedule_factor(step) for step in range(short.fork_step, short.steps)]
        assert decay == sorted(decay, reverse=True)
        assert decay[-1] < 0.05


def test_with_an_anchor_each_run_decays_from_the_rate_of_its_own_horizon():
    for tokens in (2e5, 4e5, 1e6):
        run = settings_for(ANCHORED, SHAPE, tokens)
        rule = horizon_settings_for(ANCHORED, SHAPE, tokens)
        assert run.batch_sequences == rule.batch_sequences
        at_fork = run.hidden.learning_rate * run.schedule_factor(run.fork_step)
        assert run.learning_rate == at_fork
        # The mean of the schedule, which the rule's peak follows, moves with its warm-up.
        assert at_fork == pytest.approx(rule.hidden.learning_rate, rel=0.005)


def test_a_falling_rate_is_constant_up_to_a_quarter_of_the_anchors_fork():
    run = settings_for(ANCHORED, SHAPE, 1e6)
    anchor = settings_for(ANCHORED, SHAPE, 10 * SHAPE.params_matmul)
    assert anchor.schedule_factor(anchor.fork_step) == 1.0
    falls_from = math.ceil(0.25 * anchor.fork_step)
    early = {run.schedule_factor(step) for step in range(run.warmup_steps, falls_from + 1)}
    assert len(early) == 1
    assert early.pop() == pytest.approx(4**0.27, rel=0.01)  # whole steps
    late = [run.schedule_factor(step) for step in range(falls_from, run.fork_step + 1)]
    assert late == sorted(late, reverse=True)
    assert late[-1] < 1 < late[0]


def test_a_falling_rate_never_exceeds_the_cap():
    free = settings_for(ANCHORED, SHAPE, 1e6)
    cap = 1.2 * free.hidden.learning_rate
    capped = settings_for(dataclasses.replace(ANCHORED, max_hidden_learning_rate=cap), SHAPE, 1e6)
    peaks = [
        run.hidden.learning_rate * max(map(run.schedule_factor, range(run.steps)))
        for run in (free, capped)
    ]
    assert 0.99 * cap < peaks[1] <= cap < peaks[0]  # whole steps


def test_an_anchored_trunk_holds_any_span_and_blocks_keep_their_own(tiny_mapping):
    recipe = {"name": "cpt-adamw-tiny/2"}
    tokens = (4000, 8000, 16000, 36000)
    assert len({run.trunk_id for run in wsd_plan(tiny_mapping, tokens, recipe=recipe).runs}) == 1
    cells = [{"width": 16, "tokens": list(pair)} for pair in (tokens[:2], tokens[2:])]
    plan = wsd_plan(tiny_mapping, recipe=recipe, grid={}, cells=cells)
    assert len({run.trunk_id for run in plan.runs}) == 2
    # Each block pays for its own trunk: its shortest run costs what it would alone.
    assert sum(run.marginal_flops == run.train_flops for run in plan.runs) == 2


@pytest.mark.parametrize("schedule", ["linear", "wsd"])
def test_the_mean_rate_and_the_decay_of_a_run_do_not_hang_on_the_schedule(schedule):
    recipe = find_recipe("cpt-adamw-tiny/2", {"schedule": schedule})
    settings = horizon_settings_for(recipe, SHAPE, 3e5)
    factors = [settings.schedule_factor(step) for step in range(settings.steps)]
    mean = sum(factors) / settings.steps
    assert mean == pytest.approx({"linear": 0.5, "wsd": 0.86}[schedule], abs=0.01)
    at_peak = dataclasses.replace(recipe, reference_mean_rate=None)
    peak = horizon_settings_for(at_peak, SHAPE, 3e5).hidden.learning_rate
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
    facts = long.facts_when_finished()
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


@pytest.mark.parametrize("schedule", ["linear", "wsd"])
def test_the_mean_factor_of_a_run_of_ages_is_that_of_a_long_one(schedule):
    def mean(steps):
        parts = {"warmup_steps": steps // 50, "decay_steps": steps // 5}
        return mean_schedule_factor(schedule, steps=steps, **parts)

    assert mean(10**12) == pytest.approx(mean(10**6), rel=2e-5)  # in time that a test has
