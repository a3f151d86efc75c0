"""Facts about pages of a run store: each number is the one that the verb prints."""

import pytest
import yaml

from analysis.text.numbers import hours_in_words
from scaling.cli.inputs import curves_of
from scaling.cli.verbs.answers.seals import seal_standings
from scaling.cli.verbs.pages.dashboard import ledger_of, outlooks_of
from tests.analysis.dashboard.conftest import draw, figures, shown
from tests.analysis.dashboard.stored import CONFIG, log, sweep_under_way
from tests.analysis.dashboard.verbs import numbers, tiles


@pytest.fixture
def sweep(tracking_uri, tmp_path):
    """A sweep under way, and the path of its config."""
    kept, plan = sweep_under_way(tracking_uri, tmp_path)
    launch = {"device": "cpu", "checkpoints": {"folder": str(tmp_path / "checkpoints")}}
    path = tmp_path / "ladder.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"launch": launch}))
    return kept, plan, str(path)


FEEDS = {"ledger": ledger_of, "outlooks": outlooks_of, "curves": curves_of}


def test_states_time_and_what_is_left_are_those_of_status(sweep, asked):
    _, plan, config = sweep
    test = draw("sweep", ["mlflow:ladder"], feeds=FEEDS)
    assert not test.exception and not test.error, shown(test)
    standing = asked("status", config)
    states = [run["state"] for run in standing["runs"]]
    told = tiles(test)
    for state in set(states):
        assert told[state] == str(states.count(state))
    spent, left = (standing[f"device_hours_{which}"] for which in ("spent", "left"))
    assert told["spent, device time"] == hours_in_words(spent)
    assert told["left, device time"] == hours_in_words(left)
    squares = sum(len(numbers(trace["x"])) for trace in figures(test)[0]["data"])
    assert squares == len(standing["runs"]) == len(plan.runs)


def test_the_forecast_in_a_line_is_that_of_the_verb_on_home_and_sweep(sweep, asked):
    (target,) = asked("forecast", "mlflow:ladder", "--flops", "10x")["targets"]
    low, high = target["intervals"]["0.9"]
    for name in ("home", "sweep"):
        text = shown(draw(name, ["mlflow:ladder"], feeds=FEEDS))
        if target["median"] is None:
            assert "between" in text or "unsupported" in text
        else:
            assert f"(90%: {low:.3g}"[:9] in text and f"{high:.3g}"[:4] in text


def test_verdicts_are_those_of_verify(sweep, asked, capsys):
    kept, plan, _ = sweep
    largest = plan.runs[-1]
    budget = repr(float(largest.train_flops))
    asked("forecast", "mlflow:ladder", "--flops", budget, "--seal", "first")
    for run in plan.runs[13:]:
        log(kept, run)
    verified = asked("verify", "--all")
    test = draw("record", [], feeds={"seals": seal_standings})
    assert not test.exception and not test.error
    verdicts = [verdict for one in verified for verdict in one["verdicts"]]
    measured = [
        float(numbers(trace["y"])[0])
        for figure in figures(test)
        for trace in figure["data"]
        if trace["mode"] == "markers"
    ]
    assert measured == [verdict["measured"] for verdict in verdicts]
    inside = sum(verdict["inside"]["0.9"] for verdict in verdicts)
    assert verdicts and tiles(test)["inside 90% intervals"] == f"{inside} of {len(verdicts)}"
