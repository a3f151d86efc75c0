"""Facts about the coordinate check: it sees rates and branches that ignore a model's size."""

import dataclasses
import math

import pytest
import torch

from sweeps.checks.coordinates import QUANTITIES, check_coordinates, sizes_of, watch_forward
from sweeps.checks.equality import (
    short_run,
)
from sweeps.checks.finding import (
    MOST_APART,
    Bench,
)
from sweeps.models.kernels.operations import rms_norm
from sweeps.training.plain_loop import batch_of
from sweeps.training.stack import build_model


def slope(bench, quantity, **doublings):
    findings = check_coordinates(bench, looks=((1, 2, 3, 4, 5),), **doublings)
    return next(found.measured for found in findings if quantity in found.check)


def with_plans(bench, monkeypatch, change):
    """The bench with every plan's settings changed: change(settings, width, depth) -> settings."""
    plan = Bench.plan

    def changed(self, width, depth, seed=1):
        run = plan(self, width, depth, seed)
        return dataclasses.replace(run, settings=change(run.settings, width, depth))

    monkeypatch.setattr(Bench, "plan", changed)
    return bench


def test_the_coordinate_check_sees_a_learning_rate_that_ignores_the_width(bench, monkeypatch):
    doublings = {"doublings_of_width": 2, "doublings_of_depth": 0}
    scaled = slope(bench, "MLP of later blocks along width", **doublings)
    narrow = bench.plan(bench.widths[0], bench.depths[0]).settings.hidden
    wrong = with_plans(
        bench, monkeypatch, lambda settings, *_: dataclasses.replace(settings, hidden=narrow)
    )
    # Four times the width at the same rate: the branch's product of learned matrices grows at
    # least in proportion.
    assert slope(wrong, "MLP of later blocks along width", **doublings) > scaled + 0.5


@pytest.mark.parametrize("doublings", [1, 2])
def test_a_slope_may_make_as_much_between_the_ends_as_learning_rates_may_differ(bench, doublings):
    found = check_coordinates(
        bench, looks=((1, 2),), doublings_of_width=doublings, doublings_of_depth=0
    )
    allowed = [finding.threshold * doublings * math.log(2) for finding in found]
    assert allowed == pytest.approx([MOST_APART] * len(QUANTITIES))


@pytest.mark.parametrize(("power", "lowest"), [(0.0, 0.4), (0.5, 0.2)])
def test_the_coordinate_check_sees_branches_that_shrink_too_little_with_depth(
    bench, monkeypatch, power, lowest
):
    """No residual factor, and one of 1 / sqrt(depth): slopes of .55 and .32 where .14 may be."""
    wrong = with_plans(
        bench,
        monkeypatch,
        lambda settings, width, depth: dataclasses.replace(
            settings, residual_scale=(2 / depth) ** power
        ),
    )
    doublings = {"doublings_of_width": 0, "doublings_of_depth": 2}
    assert slope(wrong, "stream of later blocks along depth", **doublings) > lowest


def test_seeds_that_would_take_too_long_are_left_out_and_the_first_never(bench):
    def seeds(most):
        looks = ((1, 2), (3, 4), (5, 6))
        doublings = {"doublings_of_width": 1, "doublings_of_depth": 0}
        found = check_coordinates(bench, looks=looks, most_flops=most, **doublings)
        return {(item.detail.split("; ")[0], item.looks) for item in found}

    plans = [bench.plan(width, bench.depths[0]) for width in (16, 32)]
    of_a_seed = sum(10 * plan.train_flops / plan.settings.steps for plan in plans)
    assert seeds(0.0) == {("slope, 2 seeds", 1)}
    assert ("slope, 4 seeds", 2) in seeds(5 * of_a_seed)
    assert {looks for _, looks in seeds(6 * of_a_seed)} == {3}


def test_the_embedding_and_the_branches_that_are_watched_make_the_logits(bench):
    plans = [short_run(bench, seed) for seed in (1, 2)]
    plans = [
        dataclasses.replace(
            plan,
            shape=dataclasses.replace(plan.shape, depth=3),
            settings=dataclasses.replace(plan.settings, residual_scale=2 / 3),
        )
        for plan in plans
    ]
    model = build_model(*plans)
    tokens = batch_of(plans, bench.corpus, 0).inputs
    with torch.no_grad():
        model.weights += 0.1
        seen, matrices = watch_forward(model, tokens), model.matrices()
        rows = [table[ids] for table, ids in zip(matrices["embedding"], tokens, strict=True)]
        stream = rms_norm(torch.stack(rows).flatten(1, 2))
        stream = stream + 2 / 3 * seen.branches.sum(dim=0)
        logits = torch.bmm(rms_norm(stream), matrices["head"])
    assert seen.branches.shape[0] == 2 * 3
    # float32 sums in another order.
    assert torch.allclose(logits, seen.logits, rtol=1e-3, atol=1e-3)


def test_sizes_are_those_of_the_products_in_the_forward_pass(bench):
    plans = [short_run(bench, seed) for seed in (1, 2)]
    plans = [
        dataclasses.replace(plan, shape=dataclasses.replace(plan.shape, depth=2)) for plan in plans
    ]
    model = build_model(*plans)
    tokens = batch_of(plans, bench.corpus, 0).inputs
    sizes = dict(zip(QUANTITIES, sizes_of(model, tokens).T, strict=True))
    # Before the first step branches and head are zero; normalised random queries and keys are not.
    for quantity in set(QUANTITIES) - {"attention logits"}:
        assert (sizes[quantity] == 0).all()
    assert (sizes["attention logits"] > 0.5).all()
    with torch.no_grad():
        model.weights += 0.1
    expected = model(tokens).abs().flatten(1).mean(dim=1).detach().numpy()
    assert sizes_of(model, tokens)[:, QUANTITIES.index("logits")] == pytest.approx(expected)


def test_the_coordinate_check_says_whose_blocks_it_looks_into(linear):
    (found,) = check_coordinates(linear)
    assert (found.verdict, found.detail) == (
        "skipped",
        "looks inside the blocks of a decoder alone, and of no other family",
    )
