"""Facts about stopping runs whose outcome is settled: a forecast is kept, and never a loss."""

import dataclasses
import json
import threading

import pandas as pd
import pytest

from scaling.cli import main
from scaling.cli.outlooks import CurveJudge, judge_of
from scaling.errors import ConfigError
from scaling.records import records_from_table
from scaling.store.one_run.run_state import RunState
from scaling.store.one_run.settlement import Settlement
from scaling.store.run_store import RunStore
from sweeps.config.sweep import HealthConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.exclusions import final_states
from sweeps.planning.plan import plan_sweep
from sweeps.planning.variants.arms import PlannedCheck
from sweeps.running.driver_lock import DriverLock
from sweeps.running.events import EventKind
from sweeps.running.runner import run_sweep
from sweeps.running.task import Task
from sweeps.running.worker import train_task
from sweeps.status.ledger import sweep_standing

FORECAST = {"forecast_loss": 2.0, "forecast_low": 1.9, "forecast_high": 2.1, "share_done": 0.5}


@pytest.fixture(autouse=True)
def nothing_cached():
    load_corpus.cache_clear()


def mapping(tmp_path, tokens=4000, **changed):
    return {
        "name": "settling",
        "grid": {"width": 16, "tokens": tokens, "seed": [1, 2, 3, 4]},
        "model": {"context": 16, "head_size": 8},
        "data": {"source": "markov", "symbols": 16, "validation_windows": 100},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        **changed,
        "launch": {
            "device": "cpu",
            "workers": 1,
            "speed": {"pack": 1},
            "checkpoints": {"folder": str(tmp_path / "checkpoints")},
            **changed.get("launch", {}),
        },
    }


def plan_of(tmp_path, **changed):
    return plan_sweep(config_from_mapping(mapping(tmp_path, **changed)))


class OneRun:
    """A store and a writer for one run, in memory; a driver may ask for its end."""

    def __init__(self, *, asks=False):
        self.state, self.reason, self.record, self.points = None, "", {}, []
        self.asks, self.looks = asks, 0
        self.seen = threading.Event()

    def start_run(self, run_id, name, facts):
        self.state, self.record = RunState.RUNNING, dict(facts)
        return self

    def settlements(self, writers):
        self.looks += 1
        if self.looks > 1:  # the worker has taken in the answer to the first look
            self.seen.set()
        found = Settlement(reason="known", facts=FORECAST)
        return dict.fromkeys(writers, found) if self.asks else {}

    def log_curve(self, points):
        self.points += points

    def log_progress(self, facts):
        self.record |= facts

    def log_facts(self, facts):
        self.record |= facts

    def finish(self, record):
        self.state, self.record = RunState.FINISHED, self.record | dict(record)

    def fail(self, state, reason):
        self.state, self.reason = state, reason


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch):
    monkeypatch.setattr("sweeps.running.run_log._SECONDS_BETWEEN_REQUESTS", 0.001)


def trained(plan, *, asks, run=None, **task):
    """A run in training under a driver that asks for its end, or does not."""
    store, events = OneRun(asks=asks), []
    one = Task.of_one(run or plan.runs[0], plan.config.data, plan.config.launch, store)
    one = dataclasses.replace(one, stops_settled=True, **task)

    def send(event):
        events.append(event)
        if event.kind is EventKind.STARTED and one.may_settle:
            assert store.seen.wait(60)  # not a clock: training is held until it has been asked

    train_task(one, send)
    signs = (EventKind.PROGRESS, EventKind.ALIVE)
    return store, [event.kind for event in events if event.kind not in signs]


def test_a_settled_run_keeps_its_curve_and_a_forecast_and_no_loss(tmp_path):
    store, kinds = trained(plan_of(tmp_path), asks=True)
    assert kinds == [EventKind.STARTED, EventKind.SETTLED]
    assert (store.state, store.reason) == (RunState.SETTLED, "known")
    assert FORECAST.items() <= store.record.items()
    assert "loss" not in store.record
    assert store.points


def test_a_settled_run_goes_on_to_the_same_loss_once_it_is_wanted(tmp_path):
    plan = plan_of(tmp_path)
    whole, _ = trained(plan, asks=False, run=plan.runs[0])
    trained(plan, asks=True)
    assert list((tmp_path / "checkpoints").iterdir())  # it goes on from here
    again, kinds = trained(plan, asks=False)
    assert kinds[-1] is EventKind.FINISHED
    assert again.record["loss"] == whole.record["loss"]


def test_runs_that_must_be_measured_are_never_stopped(tmp_path):
    plan = plan_of(tmp_path, held_out=[{"width": 16, "tokens": 6000}])
    (held_out,) = (run for run in plan.runs if run.held_out)
    assert trained(plan, asks=True, run=held_out)[0].state is RunState.FINISHED
    carrier = plan.runs[0]
    health = HealthConfig(check_learning_rate=True, seeds=1)
    check = PlannedCheck(run=carrier, seeds=1, arms=len(health.factors), corners=(), flops=0)
    store, _ = trained(plan, asks=True, checked={carrier.run_id: check}, health=health)
    assert store.state is RunState.FINISHED
    assert "health" in store.record


def test_trunks_and_runs_on_several_devices_are_never_stopped(tmp_path):
    wsd = plan_of(tmp_path, schedule="wsd", grid={"width": 16, "tokens": [4000, 6000], "seed": 1})
    pack = dataclasses.replace(
        Task.of_one(wsd.runs[0], wsd.config.data, wsd.config.launch, OneRun()), stops_settled=True
    )
    assert pack.may_settle
    both = dataclasses.replace(pack.pack, replicas=(wsd.runs,))
    ids = frozenset(run.run_id for run in wsd.runs)
    assert not dataclasses.replace(pack, pack=both, todo=ids).may_settle
    two = pack.launch.changed(resources={"devices": 2})
    assert not dataclasses.replace(pack, launch=two).may_settle


def test_no_fit_uses_a_settled_run_and_its_forecast_least_of_all():
    table = pd.DataFrame(
        [
            {"params": 1e6, "tokens": 1e8, "status": "finished", "loss": 2.5},
            {"params": 2e6, "tokens": 1e8, "status": "settled", "loss": None, **FORECAST},
        ]
    )
    used = records_from_table(table).usable("params", "tokens")
    assert list(used.table["params"]) == [1e6]
    assert used.dropped_by_reason == {"settled": 1}


def test_stopping_is_off_unless_a_width_is_given(tmp_path):
    plan = plan_of(tmp_path)
    assert judge_of(plan) is None
    assert RunState.SETTLED not in final_states(plan.config.launch)
    stops = plan_of(tmp_path, launch={"policy": {"stop_settled_relative_width": 0.01}})
    assert judge_of(stops) == CurveJudge(relative_width=0.01)
    assert RunState.SETTLED in final_states(stops.config.launch)
    with pytest.raises(ConfigError, match="stop_settled_relative_width is 0"):
        plan_of(tmp_path, launch={"policy": {"stop_settled_relative_width": 0.0}})


def log_curve(store, run, loss, share=1.0, finish=True):
    """A run with the curve that falls to this loss; in training where it is not finished."""
    writer = store.start_run(run.run_id, run.name, run.facts())
    steps = range(1, round(run.settings.steps * share) + 1)
    writer.log_curve([{"step": step, "train_loss": loss + 2.0 / step} for step in steps])
    writer.log_progress(run.progress(steps[-1]))
    writer.finish({"loss": loss} | run.progress(steps[-1])) if finish else writer.flush()


def test_status_dashboard_and_judge_give_one_outlook_that_sees_no_held_out_loss(
    tmp_path, tracking_uri, capsys
):
    """Beside three finished runs a held-out one has finished, with another loss in each store."""
    from scaling.cli.verbs.pages.dashboard import outlooks_of

    answers = []
    for held_out_loss in (2.0, 9.0):
        changes = {"held_out": [{"width": 16, "tokens": 6000}], "name": f"held{held_out_loss:g}"}
        config = mapping(tmp_path, **changes)
        path = tmp_path / f"{changes['name']}.json"
        path.write_text(json.dumps(config))
        plan = plan_of(tmp_path, **changes)
        store = RunStore.open(plan.name).with_parent({})
        *done, last = (run for run in plan.runs if not run.held_out)
        for number, run in enumerate(done):
            log_curve(store, run, 2.0 + number / 100)
        for run in plan.runs:
            if run.held_out:
                log_curve(store, run, held_out_loss)
        log_curve(store, last, 2.0, share=0.6, finish=False)
        with DriverLock(store):
            assert main(["status", str(path)]) == 0
            text = capsys.readouterr().out
            assert main(["status", str(path), "--json"]) == 0
            document = json.loads(capsys.readouterr().out)
            (shown,) = (one.line for one in outlooks_of(f"mlflow:{plan.name}").values())
            (judged,) = CurveJudge(relative_width=9.0)(store, [last.run_id]).values()
        (cell,) = [cell for cell in document["runs"] if cell["run_id"] == last.run_id]
        assert cell["outlook"].startswith("60% done, heading for ")
        assert cell["outlook"] == shown == judged.reason.split(": its outcome")[0]
        assert shown in " ".join(text.split())  # a narrow screen breaks lines
        answers.append((shown, judged))
    assert answers[0] == answers[1]


@pytest.mark.slow
def test_a_sweep_stops_the_run_whose_outcome_its_finished_runs_tell(tmp_path, monkeypatch, capsys):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    stops = {"policy": {"stop_settled_relative_width": 0.5}}
    # a worker sends its curve every 5 s and hears of requests every 10: runs outlast both
    plan = plan_of(tmp_path, tokens=6_000_000, launch=stops)
    store = RunStore.open(plan.name, uri)
    judge = CurveJudge(relative_width=0.5, every_seconds=0.5)
    outcome = run_sweep(plan, store, judge=judge)
    # three finished runs are the fewest that tell where the fourth is heading
    assert sorted(outcome.states.values()) == ["finished"] * 3 + ["settled"], outcome.reasons
    (stopped,) = (run for run, state in outcome.states.items() if state is RunState.SETTLED)
    assert "heading for" in outcome.reasons[stopped]
    records = store.read_records()
    row = records.table.set_index("run_id").loc[stopped]
    assert row["status"] == "settled" and pd.isna(row["loss"])
    finished = records.usable("params", "tokens")
    assert stopped not in set(finished.table["run_id"])
    assert row["forecast_low"] < finished.column("loss").mean() < row["forecast_high"]
    events = []
    run_sweep(plan, store, judge=judge, on_event=events.append)
    assert {event.kind for event in events} == {EventKind.SKIPPED}
    assert sweep_standing(plan, store).counts == {"finished": 3, "settled": 1}
    # turned off, the run counts as left to train, and goes on to its measurement
    wanted = plan_of(tmp_path, tokens=6_000_000)
    standing = sweep_standing(wanted, store)
    assert standing.counts == {"finished": 3, "planned": 1} and standing.flops_left
    assert run_sweep(wanted, store).count(RunState.FINISHED) == 4
    assert main(["collect", plan.name, "-o", str(tmp_path / "runs.csv")]) == 0
    capsys.readouterr()
