"""Facts about training: Lightning changes nothing, divergence is seen, and losses are fixed."""

import dataclasses
import math
import shutil

import pytest
import torch

from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import WindowOrder
from sweeps.models.decoder.stack import Transformer
from sweeps.objectives.cross_entropy import token_losses
from sweeps.objectives.registry import CAUSAL
from sweeps.planning.plan import plan_sweep
from sweeps.training.evaluation import stack_losses
from sweeps.training.pack import build_model, build_optimizer, evaluate, train_run


@pytest.fixture
def setting(tiny_config):
    """The smallest run of the tiny sweep, its text, and where it runs."""
    load_corpus.cache_clear()
    plan = next(run for run in plan_sweep(tiny_config).runs if not run.held_out)
    return plan, load_corpus(tiny_config.data, plan.shape.context), tiny_config.launch


def plain_loop(plan, corpus):
    """The same training without Lightning: losses of all steps, and the model."""
    model, settings = build_model(plan), plan.settings
    optimizer = build_optimizer(model, plan)
    order, text = WindowOrder(corpus.windows, plan.seed), torch.from_numpy(corpus.train.copy())
    losses = []
    for step in range(settings.steps):
        first = step * settings.batch_sequences
        windows = order.positions(first, first + settings.batch_sequences)
        starts = [int(window) * corpus.context for window in windows]
        batch = torch.stack([text[start : start + corpus.context + 1] for start in starts]).long()
        nats, log_partition = token_losses(
            model(batch[None, :, :-1]), batch[None, :, 1:].flatten(1)
        )
        loss = nats[0].mean()
        (loss + settings.z_loss * log_partition[0].square().mean()).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model


def test_lightning_and_a_plain_loop_agree_to_the_last_bit(setting):
    plan, corpus, launch = setting
    points = []
    trained = train_run(plan, corpus, launch.changed(speed={"inner_steps": 1}), points.append)
    losses, model = plain_loop(plan, corpus)
    assert [point.loss for point in points] == losses
    assert torch.equal(trained.weights, model.weights[0])
    assert (trained.loss, trained.loss_stderr) == evaluate(model, corpus, CAUSAL)


def test_training_learns(setting):
    trained = train_run(*setting)
    assert trained.loss < 0.7 * math.log(256)  # a uniform guess costs ln 256


def test_the_number_of_inner_steps_changes_nothing(setting):
    plan, corpus, launch = setting
    weights = [
        train_run(plan, corpus, launch.changed(speed={"inner_steps": steps})).weights
        for steps in (7, 1000)
    ]
    assert torch.equal(*weights)


def test_two_seeds_differ_and_one_seed_repeats_itself(setting):
    plan, corpus, launch = setting
    other = dataclasses.replace(plan, seed=plan.seed + 1)
    losses = [train_run(run, corpus, launch).loss for run in (plan, plan, other)]
    assert losses[0] == losses[1] != losses[2]


def test_points_of_the_curve_cover_all_steps(setting):
    plan, corpus, launch = setting
    points = []
    train_run(plan, corpus, launch.changed(speed={"inner_steps": 10}), points.append)
    assert [point.step for point in points][-1] == plan.settings.steps
    assert points[-1].tokens == plan.tokens
    assert points[0].loss > points[-1].loss
    assert max(point.learning_rate for point in points) <= plan.settings.hidden.learning_rate


def test_a_run_that_diverges_is_seen_at_its_step_and_has_no_loss(setting):
    plan, corpus, launch = setting
    hidden = dataclasses.replace(plan.settings.hidden, learning_rate=1e38)
    settings = dataclasses.replace(plan.settings, hidden=hidden)
    wild = dataclasses.replace(plan, settings=settings)
    points = []
    trained = train_run(wild, corpus, launch.changed(speed={"inner_steps": 5}), points.append)
    assert trained.diverged_at_step is not None
    assert 0 < trained.diverged_at_step < 5
    assert math.isnan(trained.loss)
    assert all(math.isfinite(point.loss) for point in points)


def test_the_standard_error_counts_sequences_not_tokens(setting):
    plan, corpus, _ = setting
    model = Transformer(plan.shape, [1])
    with torch.no_grad():
        model.weights += 0.1
    (losses,) = stack_losses(model, corpus, CAUSAL)
    loss, stderr = evaluate(model, corpus, CAUSAL)
    assert losses.shape == (len(corpus.held_back),)
    assert loss == pytest.approx(losses.mean().item())
    assert stderr == pytest.approx(losses.std().item() / math.sqrt(len(losses)))


def test_the_validation_loss_before_training_is_that_of_a_uniform_guess(setting):
    plan, corpus, _ = setting
    loss, stderr = evaluate(build_model(plan), corpus, CAUSAL)
    assert loss == pytest.approx(math.log(256), abs=1e-5)
    assert stderr == pytest.approx(0, abs=1e-6)  # every sequence costs the same


def test_the_record_holds_bits_per_byte_and_an_unknown_device_no_utilization(setting):
    plan, corpus, launch = setting
    trained = train_run(plan, corpus, launch)
    record = trained.record(plan)
    assert record["bits_per_byte"] == pytest.approx(trained.loss / math.log(2))
    assert record["device"]
    assert record["mfu"] is None
    assert record["wall_seconds"] > 0


def test_several_epochs_over_a_short_text_train_on(tiny_mapping):
    load_corpus.cache_clear()
    data = tiny_mapping["data"] | {"max_epochs": 3}
    mapping = tiny_mapping | {"data": data, "held_out": []}
    config = config_from_mapping(mapping | {"grid": {"width": 16, "tokens": 80_000}})
    (run,) = plan_sweep(config).runs
    trained = train_run(run, load_corpus(config.data, 32), config.launch)
    assert trained.diverged_at_step is None


@pytest.mark.slow  # half a minute of a C++ compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile wants a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # what PyTorch warns itself of while it traces
def test_compiled_blocks_train_as_plain_ones_do(setting, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plan, corpus, launch = setting
    plan = dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, steps=50))
    speeds = [{"inner_steps": 1, "compile": compiled} for compiled in (False, True)]
    curves = [train_run(plan, corpus, launch.changed(speed=speed)).points for speed in speeds]
    assert list(tmp_path.iterdir())  # machine code was written
    for plain, compiled in zip(*curves, strict=True):
        # Float32 sums in another order, grown over 50 steps.
        assert compiled.loss == pytest.approx(plain.loss, rel=1e-5)
