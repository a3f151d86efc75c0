"""Facts about crashes in workers: the first line is the reason, the whole stays with the run."""

import dataclasses
import json

import pytest

from scaling.cli import main
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.launchers.base import TaskLost
from sweeps.launchers.crash import Crash
from sweeps.planning.plan import plan_sweep
from sweeps.planning.variants.arms import planned_checks
from sweeps.running.events import EventKind
from sweeps.running.runner import run_sweep
from sweeps.running.task import Task
from sweeps.running.worker import train_task
from sweeps.status.ledger import sweep_standing
from sweeps.status.text import standing_text


def crash_deep_inside(*arguments, **options):
    """What a bug raises, with a message of two lines that quotes a password."""
    try:
        {}["no such key"]
    except KeyError as error:
        raise RuntimeError("cannot reach postgresql://me:secret@host/db\nsecond line") from error


@pytest.fixture
def one_run(tiny_mapping, tracking_uri):
    """A function: health settings -> a plan of one run, its store, and its task."""
    load_corpus.cache_clear()

    def make(**health):
        mapping = tiny_mapping | {"grid": {"width": 16, "tokens": 4000}, "held_out": []}
        plan = plan_sweep(config_from_mapping(mapping | {"health": health}))
        store = RunStore.open(plan.name, tracking_uri)
        (run,) = plan.runs
        task = Task.of_one(run, plan.config.data, plan.config.launch, store)
        return plan, store, dataclasses.replace(task, health=plan.config.health)

    return make


def assert_whole(text):
    """The traceback has its frames, its cause and the whole message, and no password."""
    assert text.startswith("Traceback (most recent call last)")
    for part in ("in crash_deep_inside", "KeyError: 'no such key'", "direct cause", "second line"):
        assert part in text
    assert "postgresql://host/db" in text and "secret" not in text


def test_a_crash_in_training_keeps_its_traceback_in_the_record(one_run, monkeypatch, tmp_path):
    plan, store, task = one_run()
    run_id = plan.runs[0].run_id
    monkeypatch.setattr("sweeps.training.pack.train_pack", crash_deep_inside)
    events = []
    train_task(task, events.append)
    reason = "RuntimeError: cannot reach postgresql://host/db"
    assert (events[-1].kind, events[-1].reason) == (EventKind.FAILED, reason)
    facts = store.facts()[run_id]
    assert (facts["status"], facts["reason"]) == (RunState.FAILED, reason)
    assert_whole(store.tracebacks([run_id])[run_id])
    standing = sweep_standing(plan, store)
    assert_whole(json.loads(standing.to_json())["runs"][0]["traceback"])
    assert "1 run keeps a traceback; read with `scaling status" in standing_text(standing)


def test_status_prints_tracebacks_on_request(one_run, monkeypatch, tiny_mapping, tmp_path, capsys):
    _, _, task = one_run()
    monkeypatch.setattr("sweeps.training.pack.train_pack", crash_deep_inside)
    train_task(task, lambda event: None)
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(tiny_mapping | {"grid": {"width": 16, "tokens": 4000}}))
    assert main(["status", str(path)]) == 0
    assert "Traceback" not in capsys.readouterr().out
    assert main(["status", str(path), "--tracebacks"]) == 0
    shown = capsys.readouterr().out
    assert_whole(shown[shown.index("Traceback") :])


def checks_of(plan):
    return {check.run.run_id: check for check in planned_checks(plan).checks}


def test_a_crash_in_a_learning_rate_check_keeps_its_traceback_and_the_measurement(
    one_run, monkeypatch
):
    plan, store, task = one_run(check_learning_rate=True, seeds=1)
    run_id = plan.runs[0].run_id
    monkeypatch.setattr(
        "sweeps.training.learning_rate_check.check_learning_rate", crash_deep_inside
    )
    train_task(dataclasses.replace(task, checked=checks_of(plan)), lambda event: None)
    facts = store.facts()[run_id]
    assert facts["status"] == RunState.FINISHED and facts["loss"] > 0
    assert facts["notes"].startswith("not checked: RuntimeError: cannot reach")
    assert_whole(store.tracebacks([run_id])[run_id])


def test_a_later_check_that_crashes_keeps_its_traceback_until_one_succeeds(one_run, monkeypatch):
    plan, store, task = one_run(check_learning_rate=True, seeds=1)
    run_id = plan.runs[0].run_id
    train_task(task, lambda event: None)
    later = dataclasses.replace(task, todo=frozenset(), checked=checks_of(plan))
    with monkeypatch.context() as broken:
        broken.setattr("sweeps.training.learning_rate_check.check_learning_rate", crash_deep_inside)
        train_task(later, lambda event: None)
    assert_whole(sweep_standing(plan, store).runs[0].traceback)
    train_task(later, lambda event: None)
    assert store.facts()[run_id]["health"] in ("ok", "soft", "edge", "cap")
    assert sweep_standing(plan, store).runs[0].traceback == ""


def test_a_mistake_that_the_input_explains_needs_no_traceback(one_run, text_files):
    plan, store, task = one_run()
    (text_files / "00.txt").write_text("other text " * 50)
    load_corpus.cache_clear()
    train_task(task, lambda event: None)
    run_id = plan.runs[0].run_id
    assert "the text has changed" in store.facts()[run_id]["reason"]
    assert store.tracebacks([run_id]) == {}


@pytest.mark.parametrize("tries", [1, 2])
def test_a_crash_in_a_launcher_keeps_its_traceback_with_the_runs_it_lost(
    one_run, monkeypatch, tries
):
    plan, store, _ = one_run()
    (run,) = plan.runs
    try:
        crash_deep_inside()
    except RuntimeError as error:
        crash = Crash.of(error)

    def launch(tasks, work, launch, again):
        """What a launcher does whose own code breaks before a task reaches its worker."""
        waiting = list(tasks)
        while waiting:
            lost = TaskLost(task=waiting.pop(), reason=crash.reason, traceback=crash.traceback)
            yield lost
            waiting += [retry] if (retry := again(lost)) is not None else []

    monkeypatch.setattr("sweeps.running.runner.find_launcher", lambda engine: launch)
    launch_config = plan.config.launch.changed(policy={"tries": tries})
    plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, launch=launch_config))
    assert run_sweep(plan, store).states[run.run_id] is RunState.FAILED
    assert_whole(store.tracebacks([run.run_id])[run.run_id])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    ],
)
def test_memory_that_has_run_out_is_called_that_with_what_to_lower(error):
    crash = Crash.of(error)
    assert crash.reason.startswith("out of memory (") and "launch.workers" in crash.reason
    assert not crash.traceback  # there is nothing to mend in the code
