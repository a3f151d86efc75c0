"""Facts about the learning-rate check: a known optimum comes back, and an edge is called one."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from scaling.errors import ConfigError
from scaling.extra_columns.rung_health import Health
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.objectives.causal import Causal
from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor
from sweeps.planning.plan import plan_sweep
from sweeps.planning.variants.arms import rungs
from sweeps.training.learning_rate_check import (
    check_learning_rate,
    count_spikes,
    judge,
    sequence_losses,
)
from sweeps.training.plain_loop import train_plainly

FACTORS = [1 / 1.8, 1.0, 1.8]


def parabola(optimum, *, curvature=0.3, floor=2.0, factors=FACTORS, noise=0.0, sequences=400):
    """(factors, sequences) Losses with a known best learning rate; sequences differ in level, and
    each factor adds noise of its own."""
    rng = np.random.default_rng(0)
    x = np.log(factors)[:, None]
    level = rng.normal(0, 0.5, sequences)
    own = rng.normal(0, 1, (len(factors), sequences)) * noise
    return floor + curvature / 2 * (x - optimum) ** 2 + level - level.mean() + own


@pytest.mark.parametrize(
    ("optimum", "status"),
    [(0.0, "ok"), (0.1, "ok"), (0.2, "soft"), (-0.5, "soft"), (0.8, "edge"), (-2.0, "edge")],
)
def test_the_status_follows_from_where_the_optimum_lies(optimum, status):
    check = judge(FACTORS, parabola(optimum), capped=False)
    assert check.status == status
    if status != "edge":
        assert check.offset == pytest.approx(optimum, abs=1e-9)
        assert check.curvature == pytest.approx(0.3)
        # At 2 nats and a curvature of 0.3: 0.1% of the loss is reached at an offset of 0.115. The
        # loss is divided by that of the best rate tried, a little above the optimum's.
        assert check.gap == pytest.approx(0.15 * optimum**2 / 2, rel=0.02, abs=1e-12)


def test_a_rule_at_its_cap_is_called_so_unless_the_optimum_is_outside():
    assert judge(FACTORS, parabola(0.0), capped=True).status is Health.CAP
    assert judge(FACTORS, parabola(2.0), capped=True).status is Health.EDGE


def test_the_gaps_standard_error_is_the_spread_of_the_gap():
    truth = 0.15 * 0.3**2 / 2
    checks = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        noisy = parabola(0.3) + rng.normal(0, 0.1, (3, 400))
        checks.append(judge(FACTORS, noisy, capped=False))
    gaps = np.array([check.gap for check in checks])
    errors = np.array([check.gap_stderr for check in checks])
    assert gaps.mean() == pytest.approx(truth, abs=3 * gaps.std() / math.sqrt(200) + 1e-4)
    # A standard deviation of 200 values is known to 5%; 3 of those.
    assert errors.mean() == pytest.approx(gaps.std(), rel=0.15)


def test_the_spread_between_seeds_enters_the_standard_error():
    rng = np.random.default_rng(0)
    seeds = rng.normal(0, 0.02, (3, 4, 1))  # each run of each seed lies higher or lower as a whole
    one = parabola(0.3)[:, None, :]
    check = judge(FACTORS, one + seeds, capped=False)
    assert check.losses == pytest.approx((one + seeds).mean(axis=(1, 2)))
    alone = judge(FACTORS, one + seeds[:, :1], capped=False)
    assert check.gap_stderr > 10 * alone.gap_stderr


def test_a_diverged_learning_rate_counts_as_worse_than_any():
    losses = parabola(0.5)
    losses[-1] = np.nan
    check = judge(FACTORS, losses, capped=False)
    assert check.status is Health.EDGE
    assert check.offset == 0.0


def test_outliers_of_a_smooth_curve_are_spikes_and_its_noise_is_not():
    rng = np.random.default_rng(0)
    curve = 5 * np.arange(1, 1001) ** -0.2 + rng.normal(0, 0.01, 1000)
    assert count_spikes(curve) == 0
    curve[[300, 301, 302, 700]] += 1.0
    assert count_spikes(curve) == 2
    assert count_spikes(curve[:20]) == 0


def test_the_cheapest_fitted_run_of_each_shape_carries_the_check(tiny_mapping):
    grid = {"width": [16, 32], "tokens": [8000, 12000], "seed": [1, 2]}
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"grid": grid}))
    chosen = rungs(plan.runs)
    assert {shape.width for shape in chosen} == {16, 32}
    for shape, run in chosen.items():
        same = [other for other in plan.runs if other.shape == shape and not other.held_out]
        assert run.train_flops == min(other.train_flops for other in same)
        assert run.seed == 1
        assert not run.held_out


def test_the_check_trains_around_the_rule_and_extends_where_it_must(tiny_config):
    load_corpus.cache_clear()
    plan = next(run for run in plan_sweep(tiny_config).runs if not run.held_out)
    corpus = load_corpus(tiny_config.data, plan.shape.context)
    slow = dataclasses.replace(plan, settings=_slower(plan.settings))
    check = check_learning_rate(slow, corpus, FACTORS)
    assert check.status is Health.EDGE
    assert check.factors == pytest.approx((1 / 1.8**2, 1 / 1.8, 1, 1.8, 1.8**2))
    assert check.offset == pytest.approx(math.log(1.8**2))
    assert check.losses == tuple(sorted(check.losses, reverse=True))
    assert check.record()["health"] == "edge"


def _slower(settings):
    """A hundredth of the learning rate: faster is better wherever one looks."""
    from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor

    return with_learning_rate_factor(settings, 0.01)


@pytest.mark.parametrize("factors", [[0.5, 2.0], [1.0, 1.0, 2.0], [0.5, 1.0, -2.0]])
def test_factors_without_a_parabola_are_refused(tiny_mapping, factors):
    with pytest.raises(ConfigError, match="health.factors"):
        config_from_mapping(tiny_mapping | {"health": {"factors": factors}})


def test_a_check_whose_stack_is_too_large_trains_fewer_runs_at_once(tiny_config, monkeypatch):
    load_corpus.cache_clear()
    plan = plan_sweep(tiny_config).runs[0]
    corpus = load_corpus(tiny_config.data, plan.shape.context)
    whole = check_learning_rate(plan, corpus, (0.56, 1.0, 1.8))
    original, sizes = Causal.training_loss, []

    def hungry(self, model, batch, z_loss):
        sizes.append(len(batch.inputs))
        if len(batch.inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return original(self, model, batch, z_loss)

    monkeypatch.setattr(Causal, "training_loss", hungry)
    assert check_learning_rate(plan, corpus, (0.56, 1.0, 1.8)) == whole
    assert set(sizes) == {3, 1, 2}


def test_a_check_trains_what_a_plain_loop_does_to_the_last_bit(tiny_config):
    load_corpus.cache_clear()
    plan = plan_sweep(tiny_config).runs[0]
    corpus = load_corpus(tiny_config.data, plan.shape.context)
    plans = [
        dataclasses.replace(plan, settings=with_learning_rate_factor(plan.settings, factor))
        for factor in (0.5, 1.0, 1e30)  # the last diverges
    ]
    plain = train_plainly(plans, corpus).sequence_losses.double().numpy()
    np.testing.assert_array_equal(sequence_losses(plans, corpus), plain)
