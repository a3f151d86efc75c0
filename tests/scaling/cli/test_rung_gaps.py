"""How far rungs lie above their best training: every verb says it in the same sentences."""

import html
import json
from pathlib import Path

import numpy as np
import pytest

from analysis.text.numbers import in_print
from benchmarks.simulated.recipe_checks import arms_around
from scaling.cli.command import main
from scaling.extra_columns.recipe_arms import arms_text
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.planning.variants.arms import rungs

GRID = {"grid": {"width": [16, 32, 48], "tokens": [4000, 8000, 12000], "seed": [1]}}


@pytest.fixture
def config(tiny_mapping, tracking_uri, tmp_path, monkeypatch):
    """A sweep whose runs have losses by a law, and whose rungs carry checks."""
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(tiny_mapping | GRID))
    plan = plan_sweep(config_from_mapping(tiny_mapping | GRID))
    store, rng = RunStore.open(plan.name), np.random.default_rng(0)
    carriers = {run.run_id: width for width, run in enumerate(rungs(plan.runs).values())}
    for run in plan.runs:
        loss = 1.2 + 8 * run.shape.params**-0.3 + 12 * run.tokens**-0.3
        writer = store.start_run(run.run_id, run.name, run.facts())
        writer.finish(run.facts_when_finished() | {"loss": loss})
        if run.run_id in carriers:
            best = np.array([0, -1.0, 0.5 * carriers[run.run_id], 0])
            arms = arms_text(arms_around(best, 0.004, rng))
            store.add_facts(run.run_id, {"health": "ok", "recipe_arms": arms})
    return str(path)


def test_status_health_report_and_their_json_say_the_same_of_a_rung_s_gap(config, capsys):
    def told(*argv):
        main([*argv])
        return capsys.readouterr().out

    source = f"mlflow:{json.loads(told('plan', config, '--json'))['sweep']}"
    lines = [line for line in told("status", config).splitlines() if " the gap" in line]
    lines += [line for line in told("status", config).splitlines() if line.startswith("gap to")]
    assert len(lines) == 2
    assert all(line in told("health", source) for line in lines)
    assert "over 3 checked rungs the gap is " in lines[0] and lines[1].count(" +- ") == 3
    document = json.loads(told("status", config, "--json"))["gaps"]
    whole = json.loads(told("health", source, "--json"))
    assert document["gap_trend"] == whole["gap_trend"]
    gaps = [(rung["name"], rung["gap"], rung["gap_stderr"]) for rung in document["rungs"]]
    assert gaps == [(rung["name"], rung["gap"], rung["gap_stderr"]) for rung in whole["rungs"]]
    told("report", source, "-o", "report.html")
    page = html.unescape(Path("report.html").read_text(encoding="utf-8"))
    assert all(in_print(line) in page for line in lines)


def test_a_sweep_without_checks_says_nothing_of_gaps(tiny_mapping, tracking_uri, tmp_path, capsys):
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(tiny_mapping))
    RunStore.open(plan_sweep(config_from_mapping(tiny_mapping)).name)
    main(["status", str(path)])
    assert "gap" not in capsys.readouterr().out
    main(["status", str(path), "--json"])
    assert json.loads(capsys.readouterr().out)["gaps"] is None
