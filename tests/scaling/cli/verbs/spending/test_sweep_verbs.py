"""Facts about `scaling plan`, `run` and `status` on a real store: money, consent, refusals."""

import io
import json
from pathlib import Path

import pytest

from scaling.cli.command import main
from scaling.errors import StoreError
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.running.driver_lock import DriverLock
from sweeps.running.runner import SweepOutcome

PRICED = {"budget": {"price_per_device_hour": 3.0, "currency": "EUR"}}


@pytest.fixture
def config(tiny_mapping, tracking_uri, tmp_path, monkeypatch):
    """The path of a small sweep's config, with a store of its own and no training behind it."""
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(tiny_mapping | PRICED))
    return str(path)


@pytest.fixture
def launches(monkeypatch):
    """Whether `scaling run` went on to train, which it does not here."""
    begun = []

    def note(plan, store, **options):
        begun.append(plan.name)
        return SweepOutcome(states={}, reasons={}, seconds=0.0)

    monkeypatch.setattr("sweeps.running.runner.run_sweep", note)
    return begun


@pytest.fixture
def plan(tiny_mapping):
    return plan_sweep(config_from_mapping(tiny_mapping | PRICED))


def train(store, run, *, loss, points=40):
    """A finished run, with the curve of one."""
    writer = store.start_run(run.run_id, run.name, run.facts())
    log_curve(writer, run, points, loss)
    record = {"loss": loss, "device_seconds": 3.6, "wall_seconds": 3.6}
    writer.finish(run.facts_when_finished() | record)


def log_curve(writer, run, points, loss, part=1.0):
    steps = [round(run.settings.steps * (n + 1) / points) for n in range(round(points * part))]
    writer.log_curve([{"step": s, "train_loss": loss + 2.0 / s} for s in sorted(set(steps))])


def test_a_plan_s_document_says_what_it_costs_and_from_what_that_is_known(config, plan, capsys):
    assert main(["plan", config, "--json"]) == 0
    guess = json.loads(capsys.readouterr().out)["cost"]
    assert (guess["is_measured"], guess["currency"]) == (False, "EUR")
    assert sum(rung["runs"] for rung in guess["rungs"]) == 3
    small = min(plan.runs, key=lambda run: run.train_flops)
    train(RunStore.open(plan.name), small, loss=2.0)
    assert main(["plan", config, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    cost, part = document["cost"], small.train_flops / plan.train_flops
    assert document["process_seconds"] == pytest.approx(3.6 / part, abs=0.1)  # as measured
    left = [run for run in plan.runs if run is not small]
    assert cost["is_measured"]
    assert cost["flops"] == sum(run.train_flops for run in left)
    seconds = sum(run.train_flops for run in left) / (small.train_flops / 3.6)
    assert cost["device_hours"] == pytest.approx(seconds / 3600)
    assert cost["money"] == pytest.approx(3.0 * seconds / 3600)


def test_a_plan_says_that_the_store_could_not_be_asked(config, capsys, monkeypatch):
    def away(name):
        raise StoreError("http://server: no answer")

    monkeypatch.setattr(RunStore, "find", away)
    assert main(["plan", config]) == 0
    assert "the run store was not asked: http://server: no answer" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self):
        return True


ASKING = ["--set", "budget.ask_above_device_hours=1e-9"]


@pytest.mark.parametrize("answer", ["n\n", "\n", "yes please\n"])
def test_a_large_launch_is_asked_about_and_anything_but_yes_is_no(
    config, launches, answer, monkeypatch, capsys
):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["run", config, *ASKING]) == 2
    said = capsys.readouterr().err
    assert "device hours are left to train. Go on? [y/N]" in said
    assert "not started" in said
    assert launches == []


@pytest.mark.parametrize(("answer", "options"), [("y\n", []), ("YES\n", []), ("", ["--yes"])])
def test_yes_starts_it(config, launches, answer, options, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["run", config, *ASKING, *options]) == 0
    assert launches == ["tiny"]
    assert ("Go on?" in capsys.readouterr().err) is not bool(options)


def test_runs_for_a_gpu_that_is_not_here_are_refused_before_anything_is_made(
    config, launches, monkeypatch, capsys
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    on_gpu = ["--set", "launch.device=cuda"]
    assert main(["run", config, *on_gpu]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("scaling: launch.device is cuda, but this machine has no GPU that")
    assert launches == []
    with pytest.raises(StoreError, match="tiny"):
        RunStore.find("tiny")


def test_a_running_run_is_listed_with_where_it_is_heading(config, tiny_mapping, capsys):
    seeds = "grid.seed=[1,2]"
    plan = plan_sweep(config_from_mapping(tiny_mapping, [seeds]))
    store = RunStore.open(plan.name).with_parent({})
    fitted = [run for run in plan.runs if not run.held_out]
    *done, last = sorted(fitted, key=lambda run: run.train_flops)
    for run in done:
        train(store, run, loss=2.0)
    writer = store.start_run(last.run_id, last.name, last.facts())
    log_curve(writer, last, 40, 1.8, part=0.6)
    assert writer.flush()
    with DriverLock(store):
        assert main(["status", config, "--set", seeds, "--json"]) == 0
    cells = {cell["run_id"]: cell for cell in json.loads(capsys.readouterr().out)["runs"]}
    assert cells[last.run_id]["state"] == "running"
    assert cells[last.run_id]["outlook"].startswith("60% done, heading for ")
    assert not any(cells[run.run_id]["outlook"] for run in done)


def test_a_run_ends_with_what_to_type_next(config, plan, capsys, launches):
    assert main(["run", config]) == 0
    said = capsys.readouterr().err
    assert f"next: scaling run {config}  # goes on with what is left" in said
    for run in plan.runs:
        train(RunStore.open(plan.name), run, loss=2.0)
    assert main(["run", config, "--json"]) == 0
    said = capsys.readouterr()
    assert f"next: scaling study {config}  # forecasts the held-out runs" in said.err
    assert main(["run", config, "--set", "launch.workers=1"]) == 0
    said_too = f"next: scaling study {config} --set launch.workers=1  # forecasts"
    assert said_too in capsys.readouterr().err  # what was changed is changed there too
    assert json.loads(said.out)["sweep"] == "tiny"
    assert main(["run", config, "--set", "held_out=[]"]) == 0
    assert "next: scaling forecast mlflow:tiny --flops " in capsys.readouterr().err


def sweeps_own_run(plan):
    from mlflow.tracking import MlflowClient

    return MlflowClient().get_run(RunStore.find(plan.name).page().parent_id).data


def test_the_sweeps_own_run_shows_the_forecast_that_the_verb_makes(tiny_mapping, config, capsys):
    changes = ["grid.width=[16,32,48]", "grid.tokens=[3000,6000,9000,12000]", "grid.seed=[1,2]"]
    plan = plan_sweep(config_from_mapping(tiny_mapping, changes))
    store = RunStore.open(plan.name).with_parent({})
    fitted = sorted((r for r in plan.runs if not r.held_out), key=lambda r: r.train_flops)
    for number, run in enumerate(fitted):
        loss = 1.5 + 30 * run.train_flops**-0.2 + 0.003 * (-1) ** number
        train(store, run, loss=loss, points=1)
    largest = fitted[-1].train_flops
    asked = ["forecast", f"mlflow:{plan.name}", "--flops", str(10 * largest)]
    assert main([*asked, "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    shown = sweeps_own_run(plan)
    assert target["median"] is not None
    assert shown.metrics["forecast_10x.median"] == target["median"]
    low, high = (shown.metrics[f"forecast_10x.{end}_90"] for end in ("low", "high"))
    assert low < target["median"] < high
    assert shown.tags["forecast_10x"].endswith(f"FLOP, from {len(fitted)} runs")
    store.start_run("x", "x", fitted[0].facts()).finish({"loss": 9.0})  # of the same cell
    assert main([*asked, "--where", "params < 1"]) == 2  # an answer that cannot be given
    assert sweeps_own_run(plan).metrics == shown.metrics


def test_runs_that_answer_nothing_show_why_and_no_forecast(config, plan, capsys, launches):
    train(RunStore.open(plan.name).with_parent({}), plan.runs[0], loss=2.0)
    assert main(["run", config]) == 0
    shown = sweeps_own_run(plan)
    assert shown.tags["forecast_10x"].startswith("none: ")
    assert not any(name.startswith("forecast") for name in shown.metrics)
    said = capsys.readouterr().err
    assert "mlflow server --backend-store-uri sqlite:///" in said
    assert "/runs?workflowType=machine_learning&compareRunsMode=CHART" in said


def test_a_study_takes_its_times_from_finished_runs_and_says_what_it_leaves_out(
    config, plan, capsys, launches
):
    for run in plan.runs:
        train(RunStore.open(plan.name), run, loss=2.0)
    main(["study", config, "--set", "held_out=[]", "--set", "grid.tokens=4000"])
    said = capsys.readouterr().err
    assert "3 runs of the store, 3 of them finished, are not in this plan" in said
    small = min(plan.runs, key=lambda run: run.train_flops)
    planned = plan_sweep(
        config_from_mapping(json.loads(Path(config).read_text()), ["grid.tokens=4000"])
    )
    first = next(r for r in planned.runs if r.shape == small.shape and not r.held_out)
    seconds = 3.6 * first.train_flops / small.train_flops
    assert f" {seconds:.0f}  " in said.split(f"{first.train_flops:.3g}", 1)[1]


def test_watching_ends_by_itself_with_the_whole_ledger(config, plan, capsys):
    for run in plan.runs:
        train(RunStore.open(plan.name), run, loss=2.0)
    assert main(["status", config, "--watch"]) == 0
    assert "tiny: 3 finished" in capsys.readouterr().out


def test_a_second_driver_is_refused_in_one_line(config, plan, capsys):
    with DriverLock(RunStore.open(plan.name).with_parent({})):
        assert main(["run", config]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert 'the sweep "tiny" is being trained by process' in said
    assert "scaling status" in said


@pytest.mark.parametrize(
    "phase",
    {
        "reading": "sweeps.config.yaml_file.load_config",
        "planning": "sweeps.planning.plan.plan_sweep",
        "opening the store": "scaling.cli.verbs.spending.sweep.open_store",
        "describing": "sweeps.running.runner.show_plan",
        "the first run": "sweeps.running.runner.find_launcher",
        "storing": "sweeps.running.runner._Walk._collect",
        "cleaning": "sweeps.running.runner._Walk._clean",
        "ending": "scaling.cli.verbs.spending.sweep.log_forecast",
    }.items(),
    ids=lambda phase: phase[0],
)
def test_ctrl_c_in_any_phase_is_one_line_and_leaves_the_sweep_free(
    phase, config, plan, capsys, monkeypatch
):
    def interrupt(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("sweeps.running.runner.find_launcher", lambda engine: train_nothing)
    monkeypatch.setattr(phase[1], interrupt)
    assert main(["run", config]) == 130
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("scaling: ")]
    assert lines == ["scaling: interrupted; what was finished is kept, run it again"]
    with DriverLock(RunStore.open(plan.name).with_parent({})):
        pass  # nobody holds it


def train_nothing(*given):
    """A launcher that has nothing to do."""
    yield from ()


def test_an_experiment_of_that_name_with_other_runs_is_left_alone(config, launches, capsys):
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.create_experiment("tiny")
    theirs = client.create_run(experiment).info.run_id
    assert main(["run", config]) == 2
    assert "holds runs that no sweep made; choose another name" in capsys.readouterr().err
    assert launches == []
    (only,) = client.search_runs([experiment])
    assert (only.info.run_id, client.get_experiment(experiment).tags) == (theirs, {})


def test_a_changed_config_is_told_before_anything_is_trained(config, plan, launches, capsys):
    store = RunStore.open(plan.name)
    for run in plan.runs:
        train(store, run, loss=2.0)
    assert main(["run", config, "--set", "grid.width=[16,48]", "--set", "held_out=[]"]) == 0
    said = capsys.readouterr().err
    assert "2 runs of the store, 2 of them finished, are not in this plan" in said
    assert "1 of its runs were trained before and stay valid" in said
    assert launches == ["tiny"]
