"""What tuning trains: `sweeps.planning.variants.tuning`."""

import pytest
import yaml

from scaling.errors import ConfigError
from scaling.extra_columns.recipe_arms import Factors
from sweeps.config.sweep import recipe_of
from sweeps.config.yaml_file import config_from_mapping, load_config
from sweeps.planning.packing import pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.planning.variants.arms import rungs
from sweeps.planning.variants.tuning import arms_of, plan_tuning, tuned_config

LADDER = {"grid": {"width": [16, 32, 48], "tokens": [8000, 30000], "seed": [1, 2]}}


@pytest.fixture
def sweep(tiny_mapping):
    return plan_sweep(config_from_mapping(tiny_mapping | LADDER))


def test_two_rungs_are_used_and_a_third_judges_within_the_budget(sweep):
    planned = plan_tuning(sweep, 20 * sweep.marginal_flops)
    assert [run.shape.width for run in planned.used] == [16, 32]
    assert planned.judged.shape.width == 48
    assert (planned.rounds, planned.seeds, planned.judged_seeds) == (2, 4, 2)
    for share in (0.3, 1.0, 3.0):
        small = plan_tuning(sweep, share * sweep.marginal_flops)
        assert small.flops <= share * sweep.marginal_flops


def test_what_the_arms_leave_of_the_budget_buys_the_dearest_run_to_judge(sweep):
    judged = set()
    for share in (1, 2, 4, 20):
        planned = plan_tuning(sweep, share * sweep.marginal_flops)
        shapes = {run.shape for run in planned.used}
        arms = planned.flops - 2 * planned.judged_seeds * planned.judged.train_flops
        bought = [
            run.train_flops
            for run in sweep.runs
            if not run.held_out
            and run.shape not in shapes
            and 2 * run.train_flops <= planned.budget - arms
        ]
        assert planned.judged.train_flops == max(bought)
        judged.add(planned.judged.train_flops)
    assert len(judged) > 1  # more of a budget judges further out


def test_a_budget_that_buys_no_round_is_refused_with_what_one_takes(sweep):
    with pytest.raises(ConfigError, match="one round of 11 arms on the smallest rung takes"):
        plan_tuning(sweep, 1e3)


def test_arms_have_seeds_that_the_sweep_has_not_and_share_stacks(sweep):
    planned = plan_tuning(sweep, 20 * sweep.marginal_flops)
    arms = planned.round(0, Factors())
    of_rung = planned.as_sweep(arms[0])
    assert {run.seed for run in of_rung.runs}.isdisjoint({run.seed for run in sweep.runs})
    assert len(of_rung.runs) == 11 * planned.seeds
    assert of_rung.config.name == "tiny-tune"
    alone = of_rung.config.launch.changed(workers=1, speed={"pack": 64})
    assert len(pack_runs(of_rung.runs, alone)) == 3


def test_the_second_round_repeats_no_corner_of_the_first(tiny_mapping):
    grid = {"width": [16, 32, 48], "tokens": [30000]}  # a longer warm-up than the shortest there is
    sweep = plan_sweep(config_from_mapping(tiny_mapping | {"grid": grid}))
    planned = plan_tuning(sweep, 60 * sweep.marginal_flops)
    first, second = ({f for f, _ in planned.round(n, Factors())[0]} for n in (0, 1))
    assert first & second == {Factors()}
    cost = sum(run.train_flops for n in (0, 1) for one in planned.round(n, Factors()).values()
               for _, run in one)  # fmt: skip
    judged = sum(run.train_flops for _, run in planned.judgement(Factors(rate=2)))
    assert cost + judged == pytest.approx(planned.flops, rel=0.05)  # whole steps


def test_a_run_that_diverged_is_an_arm_without_a_loss(sweep):
    planned = plan_tuning(sweep, 20 * sweep.marginal_flops).round(0, Factors())[0]
    losses = {run.run_id: 2.0 for _, run in planned[1:]}
    arms = arms_of(planned, losses)
    assert len(arms) == 11
    assert sum(loss != loss for arm in arms for loss in arm.losses) == 1


def test_a_tuned_recipe_is_the_sweeps_config_with_overrides_and_where_they_come_from(
    tiny_mapping, tmp_path
):
    config = config_from_mapping(tiny_mapping | LADDER)
    tuned = tuned_config(config, Factors(rate=1.5, decay=0.5, batch=0.5), "measured on two rungs")
    path = tmp_path / "elsewhere" / "tuned.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(tuned.stated()))
    read = load_config(path)
    assert read == tuned
    before, after = recipe_of(config), recipe_of(read)
    assert after.base_learning_rate == pytest.approx(1.5 * before.base_learning_rate)
    assert after.weight_decay_factor == pytest.approx(0.5 * before.weight_decay_factor)
    assert after.base_batch_tokens == 0.5 * before.base_batch_tokens
    assert after.warmup_share == before.warmup_share
    assert read.recipe.provenance == "measured on two rungs"
    runs = [plan_sweep(one).runs for one in (config, read)]
    for ours, theirs in zip(*map(lambda r: rungs(r).values(), runs), strict=True):
        assert ours.run_id != theirs.run_id
