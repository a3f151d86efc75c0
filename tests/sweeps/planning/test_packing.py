"""Facts about packs: replicas change nothing for each other, and the planner chooses them."""

import dataclasses

import pytest
import torch

from scaling.store.one_run.run_state import RunState
from sweeps.config.launch import LaunchConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.batch import Batch
from sweeps.data.registry import load_corpus
from sweeps.objectives.registry import CAUSAL
from sweeps.planning.packing import Pack, pack_runs, replicas_for
from sweeps.planning.plan import plan_sweep
from sweeps.running.events import EventKind
from sweeps.training.pack import (
    Listener,
    build_model,
    build_optimizer,
    train_pack,
    train_run,
    train_runs,
)
from sweeps.training.step import Step
from tests.conformance.memory_store import MemoryStore
from tests.sweeps.little_memory import limit_sequences


def with_learning_rate(run, factor):
    hidden = run.settings.hidden
    hidden = dataclasses.replace(hidden, learning_rate=factor * hidden.learning_rate)
    return dataclasses.replace(run, settings=dataclasses.replace(run.settings, hidden=hidden))


@pytest.fixture
def setting(tiny_mapping, tmp_path):
    """A function that plans a sweep of width 16: its runs, text, and where they train."""

    def plan(**changes):
        load_corpus.cache_clear()
        launch = tiny_mapping["launch"] | {"checkpoints": {"folder": str(tmp_path / "states")}}
        grid = {"width": 16, "tokens": 4000, "seed": [1, 2, 3]}
        changes = {"grid": grid, "held_out": [], "launch": launch} | changes
        config = config_from_mapping(tiny_mapping | changes)
        return plan_sweep(config).runs, load_corpus(config.data, 32), config.launch

    return plan


def assert_same(one, other):
    """Equal to the last bit: losses of all steps, weights, validation loss."""
    assert one.points == other.points
    assert torch.equal(one.weights, other.weights)
    assert (one.loss, one.loss_stderr) == (other.loss, other.loss_stderr)


def test_replicas_of_other_seeds_and_rates_equal_single_runs_to_the_last_bit(setting):
    runs, corpus, launch = setting()
    runs = [*runs, with_learning_rate(runs[0], 0.5)]
    together = train_runs(runs, corpus, launch)
    for run, packed in zip(runs, together, strict=True):
        assert_same(packed, train_run(run, corpus, launch))
        assert packed.replicas == 4


def test_a_replica_that_diverges_freezes_alone_and_the_others_do_not_notice(setting):
    (first, second, third), corpus, launch = setting()
    wild = with_learning_rate(second, 1e30)
    healthy, diverged, healthy_too = train_runs([first, wild, third], corpus, launch)
    assert_same(healthy, train_run(first, corpus, launch))
    assert_same(healthy_too, train_run(third, corpus, launch))
    alone = train_run(wild, corpus, launch)
    assert diverged.diverged_at_step == alone.diverged_at_step > 0
    assert diverged.loss != diverged.loss  # not a number
    assert torch.isfinite(diverged.weights).all()  # frozen in its last good state


def test_runs_of_one_shape_batch_and_length_share_packs(setting):
    runs, _, launch = setting(grid={"width": [16, 32], "tokens": [8000, 16000], "seed": [1, 2, 3]})
    packs = pack_runs(runs, launch.changed(speed={"pack": 3}))
    assert sorted(len(pack.replicas) for pack in packs) == [3, 3, 3, 3]
    assert {run.run_id for pack in packs for run in pack.runs} == {run.run_id for run in runs}
    packs = pack_runs(runs, launch.changed(speed={"pack": 2}))
    assert sorted(len(pack.replicas) for pack in packs) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert len(pack_runs(runs, launch.changed(speed={"pack": 1}))) == len(runs)


def test_no_worker_goes_without_a_pack(setting):
    runs, _, launch = setting()
    packs = pack_runs(runs, launch.changed(speed={"pack": 8}, workers=2))
    assert sorted(len(pack.replicas) for pack in packs) == [1, 2]
    assert len(pack_runs(runs, launch.changed(speed={"pack": 8}, workers=9))) == 3
    assert pack_runs([], launch) == ()


def test_held_out_runs_share_no_pack_with_others(setting):
    runs, _, launch = setting(held_out=[{"width": 16, "tokens": 8000, "seed": 9}])
    packs = pack_runs(runs, launch.changed(speed={"pack": 8}, workers=1))
    assert sorted(len(pack.replicas) for pack in packs) == [1, 3]


def test_the_planner_packs_small_models_and_leaves_large_ones_alone(setting):
    (small, *_), *_ = setting()
    large = dataclasses.replace(small, shape=dataclasses.replace(small.shape, width=512, depth=8))
    launch = LaunchConfig(device="cpu")
    assert replicas_for(small, launch) > 2
    assert replicas_for(large, launch) == 1
    assert replicas_for(large, launch.changed(speed={"pack": 5})) == 5
    on_gpu = launch.changed(device="cuda")
    assert replicas_for(small, on_gpu) == 64
    assert replicas_for(large, on_gpu) == 1


@pytest.mark.parametrize("recipe", ["cpt-adamw-tiny/1", "cpt-adamw-tiny/2"])
def test_branches_equal_runs_of_their_own_to_the_last_bit(setting, recipe):
    grid = {"width": 16, "tokens": [4000, 5500, 8000], "seed": [1, 2]}
    runs, corpus, launch = setting(grid=grid, schedule="wsd", recipe={"name": recipe})
    assert (runs[0].settings.falling_rate is not None) is (recipe == "cpt-adamw-tiny/2")
    (pack,) = pack_runs(runs, launch.changed(speed={"pack": 2}))
    trained = train_pack(pack, corpus, launch)
    assert set(trained) == set(runs)
    for run, branch in trained.items():
        # Chunks of the curve end at the fork as well, so its points lie elsewhere.
        alone = train_run(dataclasses.replace(run, branch=None), corpus, launch)
        assert torch.equal(branch.weights, alone.weights)
        assert branch.loss == alone.loss
        assert branch.points[-1].step == run.settings.steps
        assert len(branch.fork_state_hash) == 16
        assert alone.fork_state_hash is None


def test_with_an_anchor_branches_equal_runs_that_were_planned_alone_to_the_last_bit(setting):
    tokens, recipe = [4000, 5500, 16000], {"name": "cpt-adamw-tiny/2"}
    runs, corpus, launch = setting(
        grid={"width": 16, "tokens": tokens}, schedule="wsd", recipe=recipe
    )
    (pack,) = pack_runs(runs, launch)
    branches = train_pack(pack, corpus, launch)
    for horizon, branch in zip(tokens, branches.values(), strict=True):
        grid = {"width": 16, "tokens": horizon}
        (planned,), _, _ = setting(grid=grid, schedule="wsd", recipe=recipe)
        alone = train_run(planned, corpus, launch)
        assert planned.branch is None
        assert torch.equal(branch.weights, alone.weights)
        assert branch.loss == alone.loss


def test_a_trunk_is_trained_once(setting, monkeypatch):
    grid = {"width": 16, "tokens": [4000, 5500, 8000]}
    runs, corpus, launch = setting(grid=grid, schedule="wsd")
    (pack,) = pack_runs(runs, launch)
    taken = []
    original = Step.__call__
    monkeypatch.setattr(
        Step, "__call__", lambda self, batch: taken.append(batch) or original(self, batch)
    )
    train_pack(pack, corpus, launch)
    flops_per_step = runs[0].train_flops // runs[0].settings.steps
    assert len(taken) * flops_per_step == sum(run.marginal_flops for run in runs)


def test_horizons_that_are_done_are_left_out(setting):
    grid = {"width": 16, "tokens": [4000, 5500, 8000]}
    runs, corpus, launch = setting(grid=grid, schedule="wsd")
    (pack,) = pack_runs(runs, launch)
    heard = []
    listener = Listener(on_start=heard.extend)
    done = {runs[0].run_id, runs[2].run_id}
    (middle,) = train_pack(pack, corpus, launch, listener=listener, done=done).values()
    assert heard == [runs[1]]
    assert middle.loss == train_pack(pack, corpus, launch)[runs[1]].loss


def test_memory_too_small_for_a_pack_trains_its_halves(setting, monkeypatch):
    runs, corpus, launch = setting()
    expected = train_runs(runs, corpus, launch)
    limit_sequences(monkeypatch, 1)
    pack = Pack(replicas=tuple((run,) for run in runs))
    trained = train_pack(pack, corpus, launch)
    for run, before in zip(runs, expected, strict=True):
        assert trained[run].replicas == 1
        assert trained[run].loss == pytest.approx(
            before.loss, rel=1e-3
        )  # float32 sums in another order, magnified


def test_memory_too_small_for_a_batch_takes_micro_batches_and_says_so(setting, monkeypatch):
    (run, *_), corpus, launch = setting()
    expected = train_run(run, corpus, launch)
    limit_sequences(monkeypatch, 2)
    trained = train_run(run, corpus, launch)
    assert trained.loss == pytest.approx(
        expected.loss, rel=1e-3
    )  # float32 sums in another order, magnified
    assert trained.notes == ("out of memory: micro-batches of 2 sequences after 4",)
    assert "out of memory" in trained.record(run)["notes"]


@pytest.mark.parametrize("micro_sequences", [1, 2, 3])
def test_gradients_of_micro_batches_add_up_to_that_of_the_whole_batch(setting, micro_sequences):
    runs, corpus, _ = setting()
    windows = torch.from_numpy(corpus.train[: 2 * 4 * 33].astype("int64")).view(2, 4, 33)
    batch = Batch.of_windows(windows)

    def gradient_and_loss(micro_sequences):
        model = build_model(*runs[:2])
        with torch.no_grad():
            model.weights += 0.1 * torch.randn(
                model.weights.shape, generator=torch.Generator().manual_seed(1)
            )
        step = Step(
            model,
            build_optimizer(model, *runs[:2]),
            CAUSAL,
            z_loss=1e-5,
            micro_sequences=micro_sequences,
        )
        loss = step._accumulate(batch)
        return model.weights.grad, loss

    gradient, loss = gradient_and_loss(4)
    in_parts, loss_in_parts = gradient_and_loss(micro_sequences)
    # Float32 sums in another order.
    torch.testing.assert_close(loss_in_parts, loss, rtol=1e-5, atol=0)
    assert (in_parts - gradient).norm() < 1e-5 * gradient.norm()


def test_a_run_in_micro_batches_ends_where_the_whole_one_does(setting):
    (run, *_), corpus, launch = setting()
    whole = train_run(run, corpus, launch)
    parts = train_run(run, corpus, launch.changed(speed={"micro_sequences": 1}))
    # Adam divides by the gradient's size, so rounding of tiny gradients grows in training.
    assert parts.loss == pytest.approx(whole.loss, rel=1e-3)
    assert parts.notes == ()


def test_every_replica_is_a_run_of_its_own_in_the_store(setting, monkeypatch):
    from sweeps.running import worker

    runs, corpus, launch = setting()
    events, store = [], MemoryStore()
    wild = with_learning_rate(runs[1], 1e38)
    pack = Pack(replicas=((runs[0],), (wild,), (runs[2],)))
    monkeypatch.setattr("sweeps.data.registry.load_corpus", lambda data, context: corpus)
    task = worker.Task(
        pack=pack,
        todo=frozenset(run.run_id for run in pack.runs),
        data=None,
        launch=launch,
        store=store,
    )
    worker.train_task(task, events.append)
    assert store.states()[wild.run_id] is RunState.DIVERGED
    first, second = (store.records[run.run_id] for run in (runs[0], runs[2]))
    assert first["loss"] != second["loss"]
    assert first["replicas"] == 3
    # How often a run says that it is at work depends on the machine.
    on_the_way = (EventKind.PROGRESS, EventKind.ALIVE)
    kinds = [event.kind.value for event in events if event.kind not in on_the_way]
    assert kinds == ["started"] * 3 + ["finished", "diverged", "finished"]
