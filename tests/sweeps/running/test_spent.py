"""Facts about what a run that has not finished has spent: so far, and never what was planned."""

import dataclasses
import json

import pytest

from scaling.cli import main
from scaling.records import read_records
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.plan import plan_sweep
from sweeps.running.task import Task
from sweeps.running.worker import train_task
from sweeps.status.ledger import sweep_standing
from sweeps.training.pack import Listener

PLANNED = ("planned_steps", "planned_tokens", "planned_train_flops")


@pytest.fixture
def one_run(tiny_mapping, tracking_uri):
    """A plan of one run, its store and its task, with a point of the curve every five steps."""
    load_corpus.cache_clear()
    mapping = tiny_mapping | {"grid": {"width": 16, "tokens": 8000}, "held_out": []}
    mapping["launch"] = mapping["launch"] | {"speed": {"inner_steps": 5}}
    plan = plan_sweep(config_from_mapping(mapping))
    store = RunStore.open(plan.name, tracking_uri)
    return plan, store, Task.of_one(plan.runs[0], plan.config.data, plan.config.launch, store)


def spent(store, run):
    """What the store says of the run, which must agree with a training of so many steps."""
    facts = store.facts()[run.run_id]
    assert {name: facts[name] for name in PLANNED} == {
        "planned_steps": run.settings.steps,
        "planned_tokens": run.tokens,
        "planned_train_flops": run.train_flops,
    }
    progress = run.progress(facts["steps"])
    assert {name: facts[name] for name in progress} == progress
    return facts


def crash_at(monkeypatch, step):
    """Have training break when this step has been told."""
    from sweeps.training import pack

    original = pack.train_pack

    def breaking(*arguments, listener, **options):
        def on_point(run, point):
            listener.on_point(run, point)
            if point.step >= step:
                raise RuntimeError("broken")

        changed = {f.name: getattr(listener, f.name) for f in dataclasses.fields(listener)}
        changed["on_point"] = on_point
        return original(*arguments, listener=Listener(**changed), **options)

    monkeypatch.setattr(pack, "train_pack", breaking)


def test_a_run_that_fails_midway_has_spent_what_its_curve_tells(one_run, monkeypatch):
    plan, store, task = one_run
    (run,) = plan.runs
    crash_at(monkeypatch, 10)
    train_task(task, lambda event: None)
    facts = spent(store, run)
    assert (facts["status"], facts["steps"]) == (RunState.FAILED, 10)
    assert facts["steps"] == store.curves()["step"].max() < run.settings.steps
    assert 0 < facts["train_flops"] < run.train_flops
    assert not facts["cooled_down"]
    assert facts["wall_seconds"] == facts["device_seconds"] > 0
    (cell,) = sweep_standing(plan, store).runs
    assert (cell.tokens, cell.planned_tokens) == (facts["tokens"], run.tokens)
    assert (cell.train_flops, cell.planned_train_flops) == (facts["train_flops"], run.train_flops)


def test_before_the_first_point_nothing_is_spent(one_run, text_files, tmp_path, capsys):
    plan, store, task = one_run
    (run,) = plan.runs

    def change_the_text(event):
        (text_files / "00.txt").write_text("other text " * 50)
        load_corpus.cache_clear()

    train_task(task, change_the_text)
    facts = spent(store, run)
    assert facts["status"] == RunState.FAILED
    assert (facts["steps"], facts["tokens"], facts["train_flops"]) == (0, 0, 0)
    assert (facts["wall_seconds"], facts["device_seconds"]) == (0.0, 0.0)
    # a table of such runs can be written, read, and yields no run to fit
    assert main(["collect", plan.name, "-o", str(tmp_path / "runs.csv")]) == 0
    capsys.readouterr()
    assert len(read_records(tmp_path / "runs.csv")) == 1


def test_params_in_mlflow_claim_nothing_of_what_is_spent(one_run):
    from mlflow.tracking import MlflowClient

    plan, store, task = one_run
    train_task(task, lambda event: None)
    (run,) = MlflowClient().search_runs([store.experiment_id])
    assert "planned_tokens" in run.data.params
    assert not {"tokens", "train_flops", "steps", "cooled_down"} & run.data.params.keys()


def test_a_finished_run_has_spent_what_was_planned(one_run):
    plan, store, task = one_run
    (run,) = plan.runs
    train_task(task, lambda event: None)
    facts = spent(store, run)
    assert facts["status"] == RunState.FINISHED
    assert (facts["steps"], facts["tokens"]) == (run.settings.steps, run.tokens)
    assert (facts["train_flops"], facts["marginal_flops"]) == (run.train_flops, run.marginal_flops)
    assert facts["cooled_down"]
    document = json.loads(plan.to_json())["runs"][0]
    assert {name: facts[name] for name in run.facts_when_finished()} == {
        name: document[name] for name in run.facts_when_finished()
    }


@pytest.mark.parametrize("spent_steps", [0, 40])
def test_a_run_whose_worker_is_gone_has_spent_what_had_reached_the_store(one_run, spent_steps):
    plan, store, _ = one_run
    (run,) = plan.runs
    writer = store.start_run(run.run_id, run.name, run.facts())
    writer.log_progress(run.progress(0))
    writer.log_progress(run.progress(spent_steps))
    assert writer.flush()
    assert spent(store, run)["steps"] == spent_steps
    store.close_interrupted(reason="worker was killed")
    facts = spent(store, run)
    assert (facts["status"], facts["steps"]) == (RunState.INTERRUPTED, spent_steps)


def test_a_branch_is_not_charged_for_the_part_of_its_trunk_that_another_paid(tiny_mapping):
    grid = {"width": 16, "tokens": [4000, 8000]}
    mapping = tiny_mapping | {"grid": grid, "held_out": [], "schedule": "wsd"}
    _, long = sorted(plan_sweep(config_from_mapping(mapping)).runs, key=lambda run: run.train_flops)
    paid = long.branch.paid_steps
    assert paid > 0
    assert long.progress(paid)["marginal_flops"] == long.progress(paid // 2)["marginal_flops"] == 0
    assert long.progress(paid // 2)["train_flops"] > 0
    assert long.progress(long.settings.steps)["marginal_flops"] == long.marginal_flops
