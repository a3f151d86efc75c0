"""Facts about measuring runs on part of the validation set while they train."""

import dataclasses

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.launch import ValidationConfig
from sweeps.data.registry import load_corpus
from sweeps.objectives.registry import CAUSAL
from sweeps.planning.plan import plan_sweep
from sweeps.training.evaluation import sequences_while_training, stack_losses
from sweeps.training.pack import build_model, train_run


@pytest.fixture
def setting(tiny_config):
    """The smallest run of the tiny sweep, its text, and a launch that measures it four times."""
    load_corpus.cache_clear()
    plan = next(run for run in plan_sweep(tiny_config).runs if not run.held_out)
    often = {"evaluations": 4, "cost": 10.0}
    launch = tiny_config.launch.changed(validation=often, speed={"inner_steps": 1})
    return plan, load_corpus(tiny_config.data, plan.shape.context), launch


def measured(points):
    return {p.step: p.validation_loss for p in points if p.validation_loss is not None}


def test_runs_are_measured_at_equal_shares_of_their_steps(setting):
    plan, corpus, launch = setting
    points = []
    train_run(plan, corpus, launch, points.append)
    steps = plan.settings.steps
    assert list(measured(points)) == [-(-k * steps // 4) for k in (1, 2, 3, 4)]
    losses = list(measured(points).values())
    assert losses[0] > losses[-1]


def test_measuring_changes_no_result(setting):
    plan, corpus, launch = setting
    never = launch.changed(validation=ValidationConfig(evaluations=0))
    points = []
    with_it, without = (
        train_run(plan, corpus, launch),
        train_run(plan, corpus, never, points.append),
    )
    assert torch.equal(with_it.weights, without.weights)
    assert with_it.loss == without.loss
    assert measured(points) == {}


def test_what_is_measured_at_the_end_is_the_loss_of_the_same_sequences(setting):
    plan, corpus, launch = setting
    points = []
    trained = train_run(plan, corpus, launch, points.append)
    model = build_model(plan)
    model.hold(trained.weights[None])
    count = sequences_while_training(plan, launch.validation, corpus.validation.sequences)
    losses = stack_losses(model, corpus, CAUSAL, sequences=count)
    assert points[-1].validation_loss == pytest.approx(float(losses.mean()), rel=1e-12)  # rounding


def test_the_measurements_cost_no_more_than_their_share_of_the_training(setting):
    plan, _, _ = setting
    settings = dataclasses.replace(plan.settings, steps=5000, batch_sequences=4)
    run, validation = dataclasses.replace(plan, settings=settings), ValidationConfig()
    count = sequences_while_training(run, validation, 10_000)
    # a sequence that is measured costs a third of one that is trained on
    spent = validation.evaluations * count / 3 / (5000 * 4)
    assert 0.009 < spent <= 0.01
    assert sequences_while_training(run, validation, 100) == 60


def test_a_run_too_short_for_eight_sequences_is_not_measured(setting):
    plan, _, _ = setting
    settings = dataclasses.replace(plan.settings, steps=100, batch_sequences=4)
    run = dataclasses.replace(plan, settings=settings)
    assert sequences_while_training(run, ValidationConfig(), 10_000) == 0


def test_fewer_than_no_measurements_are_refused():
    with pytest.raises(ConfigError, match="launch.validation.evaluations is -1; 0 is never"):
        ValidationConfig(evaluations=-1)
