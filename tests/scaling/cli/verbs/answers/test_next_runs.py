"""Facts about `scaling next`: what it prints, writes and refuses, from a table and a config."""

import json

import pytest
import yaml

from scaling.cli import main
from sweeps.config.yaml_file import load_config
from sweeps.planning.plan import plan_sweep

TABLE = "examples/quickstart_runs.csv"
ASKED = ["next", TABLE, "--target-flops", "2.4e12", "--budget", "5e11"]


@pytest.fixture
def out(capsys):
    def run(*argv):
        assert main([*argv]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def refusal(capsys):
    def run(*argv):
        assert main([*argv]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.strip().count("\n") == 0, said
        return said.err

    return run


def test_a_table_is_answered_with_runs_and_widths(out):
    text = out(*ASKED)
    assert "what to run next for the forecast at 2.4e+12 FLOP" in text
    assert "with these runs" in text and "new-run noise" in text


def test_json_is_one_document_with_the_runs_and_the_widths(out):
    document = json.loads(out(*ASKED, "--json"))
    assert document["kind"] == "next runs"
    assert document["after"]["factor"] < document["now"]["factor"]
    assert document["budget"] == 5e11
    assert document["spent"] <= document["budget"] * (1 + 1e-9)  # all of it, however it is rounded


def test_the_config_that_is_written_plans_what_is_proposed(out, tmp_path):
    path = tmp_path / "next.yaml"
    text = out(*ASKED, "--config", "quickstart", "-o", str(path))
    assert "cells of the config that train them" in text
    before, after = (plan_sweep(load_config(one)) for one in ("quickstart", path))
    known = {run.run_id for run in before.runs}
    added = [run for run in after.runs if run.run_id not in known]
    assert added and known < {run.run_id for run in after.runs}
    line = next(line for line in path.read_text().splitlines() if line.startswith("# proposal: "))
    proposal = json.loads(line.removeprefix("# proposal: "))
    assert proposal["spent"] == pytest.approx(sum(run.marginal_flops for run in added), rel=1e-3)
    cells = yaml.safe_load(proposal["cells"])
    assert sum(len(cell["flops"]) * len(cell["seed"]) for cell in cells) == len(added)


def test_a_proposal_is_held_against_what_came_of_it(out, refusal, tmp_path):
    written, table = tmp_path / "next.json", tmp_path / "runs.csv"
    document = json.loads(out(*ASKED, "--json", "-o", str(written)))
    assert "train what it proposes" in refusal("next", TABLE, "--proposal", str(written))
    from scaling import read_records
    from scaling.records import Records

    records: Records = read_records(TABLE)
    rows = records.table[["params", "tokens", "train_flops", "loss"]]
    rows = rows[records.table["held_out"] != True]  # noqa: E712  a column of objects
    for run in document["runs"]:
        for _ in range(run["times"]):
            row = [run["params"], run["tokens"], run["train_flops"], 1.66]
            rows.loc[len(rows) + 100] = row
    rows.to_csv(table, index=False)
    text = out("next", str(table), "--proposal", str(written))
    assert "promised" in text and "measured" in text and "times as wide as was promised" in text


def test_mistakes_are_one_line(refusal, tmp_path):
    assert "--budget" in refusal("next", TABLE, "--target-flops", "1e12")
    assert "--target-flops" in refusal("next", TABLE, "--budget", "1e12")
    assert "--config" in refusal(*ASKED, "-o", str(tmp_path / "next.yaml"))
    assert "buy no run" in refusal("next", TABLE, "--target-flops", "1e12", "--budget", "1e9")
    few = ["next", TABLE, "--target-flops", "1e12", "--budget", "1e9", "--config", "quickstart"]
    assert "buy no run" in refusal(*few)
    assert "cannot be read" in refusal("next", TABLE, "--proposal", str(tmp_path / "none.json"))
    assert "has its own" in refusal("next", TABLE, "--proposal", "x.json", "--budget", "1e12")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--offer", "x.csv", "--at", "x.csv", "--budget", "2", "--fix", "E=1"], "leave --fix out"),
        (
            ["--offer", "x.csv", "--at", "x.csv", "--budget", "2", "--for", "allocation"],
            "leave --for allocation out",
        ),
        (["--proposal", "x.json", "--offer", "x.csv"], "--proposal and --offer"),
        (["--proposal", "x.json", "-o", "x.yaml"], "is written as .json"),
    ],
)
def test_a_flag_that_would_be_passed_over_is_refused(flags, said, refusal):
    assert said in refusal("next", TABLE, *flags)


def test_a_law_of_another_column_is_refused_for_what_it_is(refusal):
    said = refusal(*ASKED, "--law", "L = c + a*params^-b")
    assert "asked along compute" in said and "reads params alone" in said


@pytest.mark.usefixtures("tracking_uri")
def test_of_a_sweep_in_the_store_its_own_config_is_taken(capsys, tmp_path):
    from scaling.store.run_store import RunStore
    from sweeps.running.page import kept_config, show_plan

    plan = plan_sweep(load_config("quickstart"))
    store = RunStore.open(plan.name).with_parent({"sweep": plan.name})
    show_plan(plan, store)
    kept = kept_config(store)
    assert kept is not None and plan_sweep(kept).runs == plan.runs
    assert main(["import", TABLE, "--sweep", plan.name]) == 0
    path = tmp_path / "next.yaml"
    asked = ["next", f"mlflow:{plan.name}", *ASKED[2:], "-o", str(path)]
    assert main(asked) == 0
    assert "by its own config" in capsys.readouterr().err
    known = {run.run_id for run in plan.runs}
    assert known < {run.run_id for run in plan_sweep(load_config(path)).runs}
