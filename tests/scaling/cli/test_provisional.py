"""Facts about answers from runs of which some are not measured: whatever is asked, it says so."""

import json

import pandas as pd
import pytest

from scaling.cli import VERBS, main
from tests.grids import grid_of_runs

QUESTIONS = {
    "fit": ["--bootstrap", "0"],
    "fit of a formula": ["--bootstrap", "0", "--law", "a * N**b"],
    "forecast": ["--flops", "1e20"],
    "forecast of sizes": ["--params", "1e8", "--tokens", "1e10"],
    "forecast along a column": ["--x", "N", "--values", "1e9"],
    "forecast of a budget": ["--target-loss", "2.2"],
    "forecast of points": ["--at", "points.csv"],
    "forecast of points in any inputs": ["--inputs", "N", "--at", "points.csv"],
    "forecast of a metric": ["--metric", "accuracy", "--flops", "1e20"],
    "discover": ["--inputs", "N"],
    "allocate": ["--flops", "1e20"],
    "allocate in money": ["--flops", "1e20", "--price", "2USD/h", "--mfu", "0.4"],
    "compare": ["other.csv"],
    "next": ["--target-flops", "1e21", "--budget", "1e19"],
    "backtest": [],
    "health": [],
}
#: Verbs that read runs and say nothing that further runs could change, or spend, or serve pages.
ASK_NO_RUNS = {
    *("config", "plan", "tokenize", "run", "status", "check", "collect", "import", "verify"),
    *("sample", "score", "probe", "dashboard", "study"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A ladder of 16 runs of which one failed and one trains, a whole one, and points."""
    table = grid_of_runs(4).rename(columns={"params": "N", "tokens": "D"})
    table["accuracy"] = 1 / (1 + (table["loss"] - 1.5) ** 2)
    table["health"] = "ok"
    table.assign(loss=0.98 * table["loss"]).to_csv(tmp_path / "other.csv", index=False)
    table["status"] = ["failed", "running", *["finished"] * (len(table) - 2)]
    table.to_csv(tmp_path / "runs.csv", index=False)
    points = pd.DataFrame({"N": [1e8], "D": [1e10]})
    points.to_csv(tmp_path / "points.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found_in(document) -> bool:
    """Whether a limit of that code stands anywhere."""
    if isinstance(document, dict):
        is_it = document.get("code") == "provisional" and "1 failed, 1 running" in document["text"]
        return is_it or any(map(found_in, document.values()))
    return isinstance(document, list) and any(map(found_in, document))


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_says_in_words_and_as_a_value_that_it_is_provisional(question, folder, capsys):
    asked = [question.split()[0], "runs.csv", *QUESTIONS[question]]
    at_once = [] if "--at" in asked else ["-o", "answer.json"]
    assert main([*asked, *at_once]) == 0
    shown = capsys.readouterr()
    assert "provisional: " in shown.out + shown.err
    assert "1 failed, 1 running" in shown.out + shown.err
    if at_once:
        document = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    else:
        assert main([*asked, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
    for answer in document if isinstance(document, list) else [document]:
        assert found_in(answer)


@pytest.mark.parametrize("ending", [".json", ".md", ".html"])
def test_a_report_says_so_in_every_form(ending, folder, undrawn):
    assert main(["report", "runs.csv", "--flops", "1e20", "-o", f"page{ending}"]) == 0
    assert "1 failed, 1 running" in (folder / f"page{ending}").read_text(encoding="utf-8")


def test_a_second_arm_that_is_not_measured_is_named(folder, capsys):
    assert main(["compare", "other.csv", "runs.csv", "--json"]) == 0
    limits = json.loads(capsys.readouterr().out)["limits"]
    (said,) = [one["text"] for one in limits if one["code"] == "provisional"]
    assert said.startswith("B: ")


def test_runs_that_are_held_out_leave_no_answer_waiting(folder, capsys):
    table = pd.read_csv("runs.csv").assign(held_out=False)
    table.loc[table["status"] != "finished", "held_out"] = True
    table.to_csv("runs.csv", index=False)
    assert main(["forecast", "runs.csv", "--flops", "1e20", "--json"]) == 0
    assert not found_in(json.loads(capsys.readouterr().out))


def test_every_verb_that_answers_from_runs_is_asked():
    verbs = {verb.__name__.rstrip("_") for verb in VERBS}
    assert verbs == ASK_NO_RUNS | {question.split()[0] for question in QUESTIONS} | {"report"}
