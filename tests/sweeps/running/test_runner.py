"""Facts about running a plan: what is skipped, what is kept, and what a failure leaves behind."""

import dataclasses
import os

import pytest

from scaling.errors import ConfigError, StoreError
from scaling.store.connection.state_folder import state_folder
from scaling.store.one_run.run_state import RunState
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.launchers.base import TaskLost, TaskMessage
from sweeps.launchers.local import require_devices
from sweeps.objectives.causal import Causal
from sweeps.planning.packing import Pack, state_name, trunk_rows
from sweeps.planning.plan import plan_sweep
from sweeps.planning.variants.arms import planned_checks
from sweeps.running import run_log, runner, worker
from sweeps.running.events import EventKind, RunEvent
from sweeps.running.leftovers import remove_leftovers
from sweeps.running.runner import run_sweep
from sweeps.running.task import Task
from sweeps.status.ledger import sweep_standing
from sweeps.training.stop import Stopped
from tests.conformance.memory_store import MemoryStore

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def plan(tiny_config):
    return plan_sweep(tiny_config)


def test_every_planned_run_is_trained_and_its_record_is_whole(plan):
    store = MemoryStore()
    outcome = run_sweep(plan, store)
    assert outcome.count(RunState.FINISHED) == len(plan.runs) == 3
    for run in plan.runs:
        record = store.records[run.run_id]
        assert record["params"] == run.shape.params
        assert record["train_flops"] == record["flops_causal"] == run.train_flops
        assert record["held_out"] is run.held_out
        assert 0 < record["loss_stderr"] < record["loss"] < 5.5
        assert store.curves[run.run_id][-1]["step"] == run.settings.steps


def test_a_finished_run_is_not_run_again(plan):
    store = MemoryStore()
    run_sweep(plan, store)
    events = []
    again = run_sweep(plan, store, on_event=events.append)
    assert {event.kind for event in events} == {EventKind.SKIPPED}
    assert again.count(RunState.FINISHED) == 3


def test_runs_that_ended_and_are_not_in_the_store_are_named_and_no_other_word_is_said(plan):
    store = MemoryStore()

    def lose(event):
        if event.kind is EventKind.FINISHED and event.run is not plan.runs[0]:
            del store.tries[event.run.run_id]

    outcome = run_sweep(plan, store, on_event=lose)
    assert outcome.unstored == tuple(run.name for run in plan.runs[1:])
    with pytest.raises(StoreError, match=r"2 runs ended, but cannot be found .*kept in") as caught:
        outcome.require_stored()
    assert plan.runs[2].name in str(caught.value) and "\n" not in str(caught.value)
    again = run_sweep(plan, store)
    assert again.unstored == () and again.count(RunState.FINISHED) == 3
    again.require_stored()


def test_a_run_that_a_person_excludes_as_it_ends_is_in_the_store(plan):
    store = MemoryStore()

    def exclude(event):
        if event.kind is EventKind.FINISHED:
            store.counts(event.run.run_id).state = RunState.EXCLUDED

    assert run_sweep(plan, store, on_event=exclude).unstored == ()


def test_states_that_killed_workers_left_of_finished_runs_go_with_the_next_call(
    plan, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    store, states = MemoryStore(), tmp_path / plan.config.launch.checkpoints.folder
    run_sweep(plan, store)
    states.mkdir()
    (row, *_), dead = trunk_rows(plan.runs), 2**22 + 1  # more than Linux has processes
    for end in ("trunk", "trunk.previous", f"trunk.{dead}.tmp", "branch"):
        (states / f"{state_name(row)}.{end}").touch()
    (states / "0123456789abcdef.trunk").touch()  # of another sweep
    run_sweep(plan, store)
    assert [path.name for path in states.iterdir()] == ["0123456789abcdef.trunk"]


def test_half_written_states_of_runs_that_go_on_are_removed_and_whole_ones_stay(plan, tmp_path):
    row, dead = trunk_rows(plan.runs)[0], 2**22 + 1
    kept = [f"trunk.{os.getpid()}.tmp", "trunk"]
    for end in (f"trunk.{dead}.tmp", *kept):
        (tmp_path / f"{state_name(row)}.{end}").touch()
    remove_leftovers([row], tmp_path, ended=frozenset())
    assert {path.name for path in tmp_path.glob("*.*")} == {f"{state_name(row)}.{e}" for e in kept}


def test_a_new_cell_is_all_that_a_grown_sweep_trains(plan, tiny_mapping):
    store = MemoryStore()
    run_sweep(plan, store)
    grown = plan_sweep(
        config_from_mapping(tiny_mapping | {"cells": [{"width": 48, "tokens": 4000}]})
    )
    events = []
    run_sweep(grown, store, on_event=events.append)
    trained = [event.run.shape.width for event in events if event.kind is EventKind.FINISHED]
    assert trained == [48]


def test_failed_and_interrupted_runs_are_trained_again_and_diverged_ones_are_not(plan):
    store = MemoryStore()
    states = (RunState.FAILED, RunState.RUNNING, RunState.DIVERGED)
    for run, state in zip(plan.runs, states, strict=True):
        store.start_run(run.run_id, run.name, run.facts()).state = state
    outcome = run_sweep(plan, store)
    assert [outcome.states[run.run_id] for run in plan.runs] == [
        RunState.FINISHED,
        RunState.FINISHED,
        RunState.DIVERGED,
    ]


def test_a_diverged_run_is_kept_with_its_reason_and_the_others_go_on(plan):
    first = plan.runs[0]
    hidden = dataclasses.replace(first.settings.hidden, learning_rate=1e38)
    settings = dataclasses.replace(first.settings, hidden=hidden)
    wild = dataclasses.replace(first, settings=settings)
    store = MemoryStore()
    outcome = run_sweep(dataclasses.replace(plan, runs=(wild, *plan.runs[1:])), store)
    assert outcome.states[wild.run_id] is RunState.DIVERGED
    assert "not finite at step" in outcome.reasons[wild.run_id] == store.reasons[wild.run_id]
    assert outcome.count(RunState.FINISHED) == 2


def test_text_that_changed_after_planning_fails_the_runs_with_that_reason(plan, text_files):
    (text_files / "00.txt").write_text("other text " * 50)
    load_corpus.cache_clear()
    outcome = run_sweep(plan, MemoryStore())
    assert outcome.count(RunState.FAILED) == 3
    assert all("text has changed" in reason for reason in outcome.reasons.values())


def test_a_lost_worker_fails_its_run_alone(plan, monkeypatch):
    def lose_the_first(tasks, work, launch, again):
        lost = TaskLost(task=tasks[0], reason="worker died")
        while again(lost) is not None:
            yield lost

    monkeypatch.setattr(runner, "find_launcher", lambda engine: lose_the_first)
    store = MemoryStore()
    outcome = run_sweep(plan, store)
    first = plan.runs[0].run_id
    assert store.states()[first] is outcome.states[first] is RunState.FAILED
    assert store.reasons[first] == "worker died, in each of 3 tries"
    assert outcome.count(RunState.PLANNED) == 2


def test_a_lost_pack_is_tried_again_for_the_runs_of_it_that_have_not_ended(plan, monkeypatch):
    """The worker dies after the first run of a pack of two has ended and the second has begun."""
    first, second = plan.runs[:2]
    store, tried = MemoryStore(), []
    pack = Pack(replicas=((first,), (second,)))
    monkeypatch.setattr(runner, "pack_runs", lambda runs, launch: (pack,))

    def lose_then_train(tasks, work, launch, again):
        (task,) = tasks
        for run in (first, second):
            yield TaskMessage(task=task, message=RunEvent(kind=EventKind.STARTED, run=run))
            store.start_run(run.run_id, run.name, run.facts())
        store.counts(first.run_id).finish({"loss": 3.0})  # word of it never came
        left = again(TaskLost(task=task, reason="worker died"))
        tried.append(left.todo)
        assert store.reasons == {second.run_id: "worker died"}
        messages = []
        work(left, messages.append)
        yield from (TaskMessage(task=left, message=message) for message in messages)

    monkeypatch.setattr(runner, "find_launcher", lambda engine: lose_then_train)
    outcome = run_sweep(plan, store)
    assert tried == [{second.run_id}]
    assert store.facts()[first.run_id]["tries"] == 1  # it was not measured twice
    assert outcome.count(RunState.FINISHED) == 2


def test_a_worker_that_is_asked_to_stop_leaves_its_state_to_the_next(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(run_log, "_SECONDS_BETWEEN_PROGRESS", 0.0)
    run = plan.runs[-1]
    launch = plan.config.launch.changed(
        checkpoints={"folder": str(tmp_path / "states")}, speed={"inner_steps": 1}
    )
    undisturbed, resumed = MemoryStore(), MemoryStore()
    worker.train_task(Task.of_one(run, plan.config.data, launch, undisturbed), lambda message: None)
    points = []

    def stop_at_the_second_point(event):  # signs of life come as time passes, points do not
        points.extend([event] if event.kind is EventKind.PROGRESS else [])
        if len(points) == 2:
            raise Stopped

    task = Task.of_one(run, plan.config.data, launch, resumed)
    with pytest.raises(Stopped):
        worker.train_task(task, stop_at_the_second_point)
    assert [file.suffix for file in (tmp_path / "states").iterdir()] == [".trunk"]
    worker.train_task(task, lambda message: None)
    ends = [store.records[run.run_id]["loss"] for store in (undisturbed, resumed)]
    assert ends[0] == ends[1]
    assert not list((tmp_path / "states").iterdir())


def test_a_worker_that_is_stopped_while_it_measures_has_not_trained_in_vain(
    plan, tmp_path, monkeypatch
):
    from sweeps.training import pack
    from sweeps.training.stack import Stack

    run = plan.runs[-1]
    launch = plan.config.launch.changed(checkpoints={"folder": str(tmp_path / "states")})
    undisturbed, resumed = MemoryStore(), MemoryStore()
    worker.train_task(Task.of_one(run, plan.config.data, launch, undisturbed), lambda message: None)
    task, begun, advance = Task.of_one(run, plan.config.data, launch, resumed), [], Stack.advance

    def stop(*arguments, **options):
        raise Stopped

    def note(stack, *arguments, **options):
        begun.append(stack.step)
        advance(stack, *arguments, **options)

    monkeypatch.setattr(Stack, "advance", note)
    with monkeypatch.context() as patch:
        patch.setattr(pack, "evaluate_stack", stop)
        with pytest.raises(Stopped):
            worker.train_task(task, lambda message: None)
    worker.train_task(task, lambda message: None)
    assert begun == [0, run.settings.steps]  # it goes on from its last step
    ends = [store.records[run.run_id]["loss"] for store in (undisturbed, resumed)]
    assert ends[0] == ends[1]
    assert not list((tmp_path / "states").iterdir())


def test_a_driver_that_is_interrupted_says_so_of_its_runs_and_status_says_the_same(
    plan, monkeypatch
):
    def begin_and_break(tasks, work, launch, again):
        run = tasks[0].runs[0]
        yield TaskMessage(task=tasks[0], message=RunEvent(kind=EventKind.STARTED, run=run))
        store.start_run(run.run_id, run.name, run.facts())
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "find_launcher", lambda engine: begin_and_break)
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan, store)
    (begun,) = store.states()
    assert store.states() == {begun: RunState.INTERRUPTED}
    assert {cell.state for cell in sweep_standing(plan, store).runs if cell.tries} == {
        RunState.INTERRUPTED
    }


def test_the_cheapest_run_of_each_shape_carries_its_learning_rate_check(tiny_mapping):
    load_corpus.cache_clear()
    mapping = tiny_mapping | {
        "grid": {"width": [16], "tokens": [4000, 8000]},
        "health": {"check_learning_rate": True},
    }
    plan, store = plan_sweep(config_from_mapping(mapping)), MemoryStore()
    run_sweep(plan, store)
    short, long = sorted(
        (run for run in plan.runs if not run.held_out), key=lambda run: run.train_flops
    )
    record = store.records[short.run_id]
    assert record["health"] in ("ok", "soft", "edge", "cap")
    assert record["lr_gap"] >= 0
    assert {"clipped_share", "spikes"} <= record.keys()
    assert "health" not in store.records[long.run_id]


def test_a_check_that_is_asked_for_later_is_made_of_runs_that_have_finished(tiny_mapping):
    mapping = tiny_mapping | {"grid": {"width": [16], "tokens": [4000, 8000]}, "held_out": []}
    with_check = mapping | {"health": {"check_learning_rate": True, "seeds": 1}}
    store, at_once = MemoryStore(), MemoryStore()
    plan = plan_sweep(config_from_mapping(mapping))
    run_sweep(plan, store)
    before = dict(store.records[plan.runs[0].run_id])
    later = plan_sweep(config_from_mapping(with_check))
    events = []
    outcome = run_sweep(later, store, on_event=events.append)
    run_sweep(later, at_once)
    carrier = later.runs[0].run_id
    added = {name: store.records[carrier][name] for name in store.records[carrier].keys() - before}
    assert added == {name: at_once.records[carrier][name] for name in added}
    assert {"health", "lr_gap"} <= added.keys()
    assert "health" not in store.records[later.runs[1].run_id]
    (checked,) = [event for event in events if event.kind is EventKind.CHECKED]
    assert checked.run == later.runs[0]
    assert outcome.count(RunState.FINISHED) == 2
    assert outcome.reasons == {}
    events.clear()
    run_sweep(later, store, on_event=events.append)
    assert {event.kind for event in events} == {EventKind.SKIPPED}


def test_a_later_check_that_fails_leaves_the_run_finished(tiny_mapping, text_files):
    mapping = tiny_mapping | {"grid": {"width": [16], "tokens": 4000}, "held_out": []}
    store = MemoryStore()
    run_sweep(plan_sweep(config_from_mapping(mapping)), store)
    mapping |= {"health": {"check_learning_rate": True}}
    plan = plan_sweep(config_from_mapping(mapping))
    (text_files / "00.txt").write_text("other text " * 50)
    load_corpus.cache_clear()
    events = []
    outcome = run_sweep(plan, store, on_event=events.append)
    assert outcome.count(RunState.FINISHED) == 1
    assert "was not checked: the text has changed" in events[-1].reason


def test_a_check_that_fails_loses_no_measurement(tiny_mapping, monkeypatch):
    mapping = tiny_mapping | {
        "grid": {"width": [16], "tokens": 4000},
        "held_out": [],
        "health": {"check_learning_rate": True},
    }

    def fail(*arguments, **options):
        raise RuntimeError("no memory left")

    monkeypatch.setattr("sweeps.training.learning_rate_check.check_learning_rate", fail)
    plan, store = plan_sweep(config_from_mapping(mapping)), MemoryStore()
    assert run_sweep(plan, store).count(RunState.FINISHED) == 1
    record = store.records[plan.runs[0].run_id]
    assert record["loss"] > 0
    assert record["notes"] == "not checked: RuntimeError: no memory left"


@pytest.mark.parametrize("slow", ["evaluation", "learning-rate check"])
def test_a_long_measurement_gives_signs_of_life(tiny_mapping, monkeypatch, slow):
    """Time is made to pass a second a batch or step: no more than that lies between two signs."""
    from sweeps.training import evaluation
    from sweeps.training.step import Step

    mapping = tiny_mapping | {
        "grid": {"width": [16], "tokens": 4000},
        "held_out": [],
        "health": {} if slow == "evaluation" else {"check_learning_rate": True, "seeds": 1},
    }
    plan = plan_sweep(config_from_mapping(mapping))
    now, signs = [0.0], []
    monkeypatch.setattr("sweeps.running.run_log.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(evaluation, "_EVALUATION_SEQUENCES", 4)

    def take_a_second(original):
        def slowly(*arguments):
            now[0] += 1.0
            return original(*arguments)

        return slowly

    where = Causal if slow == "evaluation" else Step
    name = "sequence_losses" if slow == "evaluation" else "__call__"
    monkeypatch.setattr(where, name, take_a_second(getattr(where, name)))
    launch = plan.config.launch.changed(
        checkpoints={"folder": "unused"}, speed={"inner_steps": 1000}
    )
    health = plan.config.health
    (run,) = plan.runs
    task = Task.of_one(run, plan.config.data, launch, MemoryStore())
    task = dataclasses.replace(
        task, health=health, checked={one.run.run_id: one for one in planned_checks(plan).checks}
    )
    worker.train_task(task, lambda event: signs.append((now[0], event.kind)))
    assert now[0] >= 2
    assert signs[-1][1] is EventKind.FINISHED
    gaps = [after - before for (before, _), (after, _) in zip(signs, signs[1:], strict=False)]
    assert max(gaps) <= 1.0
    assert EventKind.ALIVE in [kind for _, kind in signs]


def test_a_gpu_that_this_machine_has_not_is_refused_before_anything_starts(
    tiny_config, monkeypatch
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    config = tiny_config.changed(launch=tiny_config.launch.changed(device="cuda"))
    plan, store = plan_sweep(config), MemoryStore()
    with pytest.raises(ConfigError, match="launch.device is cuda, but this machine has no GPU"):
        run_sweep(plan, store)
    assert not store.records
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    several = config.launch.changed(resources={"devices": 2})
    with pytest.raises(ConfigError, match="this machine has 1 GPU; lower it"):
        run_sweep(plan_sweep(config.changed(launch=several)), store)


def test_gpus_of_other_machines_are_no_matter_of_this_one(tiny_config, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    launch = tiny_config.launch.changed(device="cuda", engine="ray")
    require_devices(launch)


def test_a_worker_that_was_told_nothing_keeps_its_state_where_the_driver_does(
    plan, tmp_path, monkeypatch
):
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path))
    config = plan.config
    task = Task.of_one(plan.runs[0], config.data, config.launch, MemoryStore())
    monkeypatch.delenv("SCALING_STATE_DIR")
    monkeypatch.setattr(worker, "check_finished", lambda *_: None)
    done = dataclasses.replace(task, todo=frozenset())
    worker.train_task(dataclasses.replace(done, state_dir=str(tmp_path / "not here")), print)
    assert "SCALING_STATE_DIR" not in os.environ
    worker.train_task(done, print)
    assert state_folder("autoencoders") == tmp_path / "autoencoders"
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path / "own"))
    worker.train_task(done, print)
    assert state_folder() == tmp_path / "own"
