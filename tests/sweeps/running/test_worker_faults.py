"""Facts about faults under a run: each is stated, and nothing that was measured is lost."""

import dataclasses

import pytest
import torch

from scaling.store.one_run.run_state import RunState
from sweeps.config.yaml_file import config_from_mapping, merged
from sweeps.data.registry import load_corpus
from sweeps.multi_device.shared_training import other_ranks
from sweeps.objectives.causal import Causal
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.running.events import EventKind
from sweeps.running.run_log import Curve
from sweeps.running.task import Task
from sweeps.running.worker import train_task
from sweeps.training.checkpoints.stack_state import CurvePoint
from sweeps.training.pack import Listener, train_pack, train_runs
from sweeps.training.step import Step
from sweeps.training.stop import Stopped
from tests.conformance.memory_store import MemoryStore
from tests.sweeps.little_memory import limit_sequences


@pytest.fixture
def planned(tiny_mapping, tmp_path):
    """A function: changes of the mapping -> runs, their text, and the config."""

    def plan(**changes):
        load_corpus.cache_clear()
        launch = {"workers": 1, "device": "cpu", "speed": {"inner_steps": 5, "pack": 3}}
        launch["checkpoints"] = {"folder": str(tmp_path / "states"), "seconds": 1e-9}
        grid = {"width": 16, "tokens": 8000, "seed": [1, 2, 3]}
        mapping = {
            "grid": grid,
            "held_out": [],
            "launch": merged(launch, changes.pop("launch", {})),
        }
        config = config_from_mapping(tiny_mapping | mapping | changes)
        return plan_sweep(config).runs, load_corpus(config.data, 32), config

    return plan


@pytest.fixture
def spoil(monkeypatch):
    """A function: which replica's loss or gradient is not finite in which step."""

    def change(replica, at_step, what):
        original = Causal.training_loss
        calls = []

        def spoiled(self, model, batch, z_loss):
            calls.append(batch)
            objective, loss = original(self, model, batch, z_loss)
            if len(calls) - 1 != at_step:
                return objective, loss
            if what == "loss":
                loss = loss.clone()
                loss[replica] = torch.nan
            hurt = model.weights[replica, 0] * torch.tensor(torch.inf)
            return objective + hurt, loss

        monkeypatch.setattr(Causal, "training_loss", spoiled)

    return change


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_ends_its_replica_alone(planned, spoil, what):
    runs, corpus, config = planned()
    expected = train_runs(runs, corpus, config.launch)
    spoil(1, 17, what)
    first, hurt, third = train_runs(runs, corpus, config.launch)
    assert hurt.diverged_at_step == 17
    assert hurt.loss != hurt.loss
    assert torch.isfinite(hurt.weights).all()
    assert [point.loss for point in hurt.points] == [
        point.loss for point in expected[1].points if point.step <= 15
    ]
    for trained, alone in ((first, expected[0]), (third, expected[2])):
        assert trained.points == alone.points
        assert trained.loss == alone.loss


def test_a_diverged_run_says_at_which_step(planned, spoil):
    (run, *_), _, config = planned()
    spoil(0, 17, "gradient")
    store, events = MemoryStore(), []
    train_task(Task.of_one(run, config.data, config.launch, store), events.append)
    assert store.states() == {run.run_id: RunState.DIVERGED}
    assert store.reasons == {run.run_id: "the loss was not finite at step 17"}
    assert events[-1].kind is EventKind.DIVERGED


@pytest.mark.parametrize("changed", ["text", "tokenizer"])
def test_changed_data_fail_a_resumed_run_and_its_state_waits_for_them(
    planned, text_files, tmp_path, changed
):
    runs, _, config = planned()
    task = Task.of_one(runs[0], config.data, config.launch, MemoryStore())
    undisturbed = MemoryStore()
    train_task(dataclasses.replace(task, store=undisturbed), lambda event: None)
    points = []

    def stop(event):  # signs of life come as time passes, points as training goes on
        points.extend([event] if event.kind is EventKind.PROGRESS else [])
        if len(points) == 2:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.running.run_log._SECONDS_BETWEEN_PROGRESS", 0.0)
        with pytest.raises(Stopped):
            train_task(task, stop)
    states = {path: path.read_bytes() for path in (tmp_path / "states").iterdir()}
    assert states
    before = (text_files / "00.txt").read_text()
    data = config.data
    if changed == "text":
        (text_files / "00.txt").write_text(before + "one more line\n")
    else:
        data = dataclasses.replace(data, tokenizer="ascii-96")
    load_corpus.cache_clear()
    store = MemoryStore()
    train_task(dataclasses.replace(task, data=data, store=store), lambda event: None)
    assert store.states() == {runs[0].run_id: RunState.FAILED}
    assert (
        store.reasons[runs[0].run_id]
        == "the text has changed since the sweep was planned; plan it again"
    )
    assert {path: path.read_bytes() for path in (tmp_path / "states").iterdir()} == states
    (text_files / "00.txt").write_text(before)
    load_corpus.cache_clear()
    train_task(task, lambda event: None)
    (ended,), (expected,) = task.store.records.values(), undisturbed.records.values()
    assert ended["loss"] == expected["loss"]


def stop_at(steps):
    def stop(run, point):
        if point.step >= steps:
            raise RuntimeError("stopped")

    return Listener(on_point=stop)


@pytest.mark.parametrize(
    ("before", "after"),
    [([[0, 1, 2]], [[0, 1], [2]]), ([[0], [1], [2]], [[0, 1, 2]]), ([[0, 1]], [[0, 1, 2]])],
    ids=["K halved", "K raised", "a run added"],
)
def test_a_pack_put_together_anew_goes_on_from_what_its_members_had(
    planned, tmp_path, monkeypatch, before, after
):
    runs, corpus, config = planned()
    expected = dict(zip(runs, train_runs(runs, corpus, config.launch), strict=True))
    folder = tmp_path / "states"

    def pack(places):
        return Pack(replicas=tuple((runs[place],) for place in places))

    monkeypatch.setattr(
        "sweeps.training.checkpoints.state_file.CheckpointClock.is_due", lambda self: True
    )
    for number, places in enumerate(before):  # they have come unequally far
        with pytest.raises(RuntimeError, match="stopped"):
            train_pack(
                pack(places),
                corpus,
                config.launch,
                folder=folder,
                listener=stop_at(20 + 5 * number),
            )
    taken = []
    original = Step.__call__
    monkeypatch.setattr(
        Step,
        "__call__",
        lambda self, batch: taken.extend([1] * len(batch.inputs)) or original(self, batch),
    )
    for places in after:
        trained = train_pack(pack(places), corpus, config.launch, folder=folder)
        for run, result in trained.items():
            assert result.points == expected[run].points
            assert torch.equal(result.weights, expected[run].weights)
            assert result.loss == expected[run].loss
    steps = runs[0].settings.steps
    # The chunk in which a run was stopped had not been written yet; all before it were.
    reached = sum(15 + 5 * number for number, places in enumerate(before) for _ in places)
    assert len(taken) == 3 * steps - reached
    assert list(folder.iterdir()) == []


def test_a_pack_does_not_train_its_finished_members_again(planned, tmp_path):
    runs, corpus, config = planned()
    pack = Pack(replicas=tuple((run,) for run in runs))
    done = {runs[0].run_id, runs[2].run_id}
    trained = train_pack(pack, corpus, config.launch, done=done, folder=tmp_path / "states")
    assert list(trained) == [runs[1]]
    assert trained[runs[1]].replicas == 1


def test_halving_a_pack_for_memory_is_recorded(planned, monkeypatch):
    runs, corpus, config = planned()
    limit_sequences(monkeypatch, 1)
    for run, trained in zip(runs, train_runs(runs, corpus, config.launch), strict=True):
        assert "out of memory: " in trained.record(run)["notes"]
        assert "replicas at once after" in trained.record(run)["notes"]


@pytest.mark.slow  # another rank imports torch and Lightning, twice
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_memory_too_small_on_one_of_several_devices_begins_again_in_micro_batches(
    planned, monkeypatch, strategy
):
    launch = {"resources": {"devices": 2, "strategy": strategy}, "speed": {"pack": 1}}
    (run, *_), corpus, config = planned(launch=launch)
    limit_sequences(monkeypatch, 1)
    begun = []
    monkeypatch.setattr(
        "sweeps.running.worker.other_ranks",
        lambda shared, nodes: begun.append(shared) or other_ranks(shared, nodes),
    )
    store = MemoryStore()
    train_task(Task.of_one(run, config.data, config.launch, store), lambda event: None)
    assert [shared.launch.speed.micro_sequences for shared in begun] == [None, 1]
    record = store.records[run.run_id]
    assert record["notes"] == "out of memory: micro-batches of 1 sequences after 2"
    alone = config.launch.changed(
        resources={"devices": 1, "strategy": "auto"}, speed={"micro_sequences": 1}
    )
    (expected,) = train_runs([run], corpus, alone)
    assert record["loss"] == pytest.approx(expected.loss, rel=1e-3)  # sums in another order


def test_points_that_are_told_again_are_stored_once(planned):
    (run, *_), _, _ = planned()
    store = MemoryStore()
    writer = store.start_run(run.run_id, run.name, {"run_id": run.run_id})
    curve = Curve(run, writer, lambda event: None)
    for step in (5, 10, 5, 10, 15):
        curve.add(CurvePoint(step=step, tokens=step, loss=1.0, learning_rate=0.1))
    curve.flush()
    assert [point["step"] for point in store.curves[run.run_id]] == [5, 10, 15]
