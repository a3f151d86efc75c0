"""Facts about early stopping: the driver judges, and workers know nothing of how."""

import dataclasses
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scaling.cli.outlooks import CurveJudge
from scaling.errors import StoreError
from scaling.store.one_run.run_state import RunState
from scaling.store.one_run.settlement import Settlement
from sweeps.config.yaml_file import config_from_mapping
from sweeps.launchers.base import TaskEnded, TaskLost, TaskMessage
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.running import runner
from sweeps.running.early_stop import EarlyStop, StopRequests
from sweeps.running.runner import run_sweep
from sweeps.running.task import Task

ROOT = Path(__file__).parents[3]
KNOWN = Settlement(reason="known", facts={"forecast_loss": 2.0, "share_done": 0.5})


class Requests:
    """A store that keeps what was asked."""

    def __init__(self):
        self.asked = []

    def ask_to_settle(self, run_id, settlement):
        assert settlement is KNOWN
        self.asked.append(run_id)


@dataclasses.dataclass
class Judge:
    """Calls these runs settled; or breaks."""

    settled: frozenset = frozenset()
    error: Exception | None = None
    every_seconds: float = 0.0

    def __post_init__(self):
        self.asked_about = []

    def __call__(self, store, run_ids):
        self.asked_about.append(set(run_ids))
        if self.error:
            raise self.error
        return {run_id: KNOWN for run_id in run_ids if run_id in self.settled}


@pytest.fixture
def pair(tiny_mapping):
    """A task of two runs in one stack, both in training, whose driver may ask for their end."""
    grid = {"width": 16, "tokens": 4000, "seed": [1, 2]}
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"grid": grid, "held_out": []}))
    one = Task.of_one(plan.runs[0], plan.config.data, plan.config.launch, None)
    pack = Pack(replicas=tuple((run,) for run in plan.runs))
    todo = frozenset(run.run_id for run in plan.runs)
    return dataclasses.replace(one, pack=pack, todo=todo, stops_settled=True)


def states_of(task, state=RunState.RUNNING):
    return {run.run_id: state for run in task.runs}


def driver(judge, task):
    store = Requests()
    stop = EarlyStop(judge, store)
    stop.hear(TaskMessage(task=task, message=None))
    return stop, store


def test_the_driver_asks_once_for_the_end_of_a_task_all_of_whose_runs_are_settled(pair):
    stop, store = driver(Judge(pair.todo), pair)
    for _ in range(3):
        stop.look(states_of(pair))
    assert sorted(store.asked) == sorted(pair.todo)


def test_a_stack_goes_on_while_one_of_its_runs_is_open(pair):
    first, second = pair.runs
    stop, store = driver(Judge(frozenset([first.run_id])), pair)
    stop.look(states_of(pair))
    assert store.asked == []
    stop.look(states_of(pair) | {second.run_id: RunState.DIVERGED})
    assert store.asked == [first.run_id]


def test_another_try_of_a_task_is_asked_anew_and_an_ended_one_never(pair):
    judge = Judge(pair.todo)
    stop, store = driver(judge, pair)
    stop.look(states_of(pair))
    stop.hear(TaskLost(task=pair, reason="worker died"))
    stop.look(states_of(pair, RunState.PLANNED))
    stop.hear(TaskMessage(task=pair, message=None))
    stop.look(states_of(pair))
    assert len(store.asked) == 4
    stop.hear(TaskEnded(task=pair))
    stop.look(states_of(pair))
    assert len(judge.asked_about) == 2


def test_what_may_not_be_stopped_is_not_even_judged(pair):
    judge = Judge(pair.todo)
    stop, _ = driver(judge, dataclasses.replace(pair, checked=dict.fromkeys(pair.todo, 2)))
    stop.look(states_of(pair))
    assert judge.asked_about == []


def test_a_store_that_is_away_settles_nothing_and_is_asked_again(pair):
    judge = Judge(pair.todo, error=StoreError("does not answer"))
    stop, store = driver(judge, pair)
    stop.look(states_of(pair))
    judge.error = None
    stop.look(states_of(pair))
    assert sorted(store.asked) == sorted(pair.todo)


def test_a_judge_that_breaks_ends_no_sweep_and_says_so_once(pair):
    judge = Judge(pair.todo, error=ZeroDivisionError("no spread"))
    stop, store = driver(judge, pair)
    with pytest.warns(UserWarning, match="no run is stopped early any more: ZeroDivisionError"):
        stop.look(states_of(pair))
    stop.look(states_of(pair))
    assert (len(judge.asked_about), store.asked) == (1, [])


def test_a_worker_hears_of_a_request_though_the_store_was_away_before():
    answers = iter([StoreError("away"), {}, {"abc": KNOWN}])
    heard, looked = threading.Event(), threading.Event()

    def ask():
        looked.wait(60)
        answer = next(answers, None)
        if answer is None:  # the answer before has been taken in
            heard.set()
            return {"abc": KNOWN}
        if isinstance(answer, StoreError):
            raise answer
        return answer

    requests = StopRequests(ask, seconds=0.001)
    assert requests.latest == {}
    looked.set()
    assert heard.wait(60)
    assert requests.latest == {"abc": KNOWN}
    requests.close()


def test_what_travels_to_workers_names_neither_the_command_line_nor_the_analysis(
    tiny_mapping, monkeypatch, tracking_uri
):
    from scaling.store.run_store import RunStore

    travelled = []

    def keep(tasks, work, launch, again):
        travelled.extend(pickle.dumps((task, work)) for task in tasks)
        yield from ()

    monkeypatch.setattr(runner, "find_launcher", lambda engine: keep)
    plan = plan_sweep(config_from_mapping(tiny_mapping))
    run_sweep(plan, RunStore.open(plan.name), judge=CurveJudge(relative_width=0.01))
    assert travelled
    for sent in travelled:
        assert b"scaling.cli" not in sent and b"analysis" not in sent
        task, _ = pickle.loads(sent)
        assert task.stops_settled


IN_A_WORKER = """
import pickle, sys
task, work = pickle.load(open(sys.argv[1], "rb"))
work(task, lambda event: None)
loaded = [name for name in sys.modules if name.split(".")[0] == "analysis" or "scaling.cli" in name]
print(*loaded, end="")
"""


@pytest.mark.slow  # a process of its own imports torch, Lightning and MLflow
def test_a_worker_that_trains_a_run_that_may_be_stopped_loads_neither(
    tiny_mapping, tracking_uri, tmp_path
):
    from scaling.store.run_store import RunStore
    from sweeps.running.worker import train_task

    grid = {"width": 16, "tokens": 4000}
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"grid": grid, "held_out": []}))
    store = RunStore.open(plan.name)
    task = Task.of_one(plan.runs[0], plan.config.data, plan.config.launch, store)
    path = tmp_path / "task.pickle"
    path.write_bytes(pickle.dumps((dataclasses.replace(task, stops_settled=True), train_task)))
    command = [sys.executable, "-c", IN_A_WORKER, str(path)]
    worker = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (worker.returncode, worker.stdout) == (0, ""), worker.stderr
    store.replay()  # what it had no time to send while MLflow was imported
    assert store.states() == {plan.runs[0].run_id: RunState.FINISHED}
