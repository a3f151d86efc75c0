"""Facts about rows that take no part: every verb names them, in text and in JSON alike."""

import json
from pathlib import Path

import pandas as pd
import pytest

from scaling.cli import main
from scaling.limits import LimitCode
from tests.grids import grid_of_runs

VERBS = {
    "fit": ["--bootstrap", "0"],
    "forecast": ["--flops", "1e20", "--draws", "200"],
    "forecast of a budget": ["--target-loss", "2.9", "--draws", "200"],
    "allocate": ["--flops", "1e20"],
    "backtest": [],
    "health": [],
}
REASONS = ('row 18 "Total" sums up others (1)', "failed (1)")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A ladder of 16 runs, one of them crashed, whose spikes were counted, and a line of totals."""
    table = grid_of_runs(4).rename(columns={"params": "N", "tokens": "D"})
    table = table.assign(model="m", spikes=0)
    table["status"] = ["crashed", *["finished"] * 15]
    total = pd.DataFrame([{"model": "Total", "D": table["D"].sum()}])
    path = tmp_path_factory.mktemp("left_out") / "runs.csv"
    pd.concat([table, total]).to_csv(path, index=False)
    return str(path)


def line_of(printed):
    """What a verb prints of the rows that took no part in its answer."""
    told = {line.removeprefix("  - ") for line in printed.splitlines() if "left out: " in line}
    (line,) = told
    return line


@pytest.mark.parametrize("question", VERBS)
def test_every_verb_says_which_rows_took_no_part_in_text_as_in_json(question, runs, capsys):
    asked = [question.split()[0], runs, *VERBS[question]]
    assert main(asked) == 0
    line = line_of(capsys.readouterr().out)
    assert all(reason in line for reason in REASONS)
    assert main([*asked, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    for answer in document if isinstance(document, list) else [document]:
        left_out = [one for one in answer["limits"] if one["code"] == LimitCode.LEFT_OUT]
        assert [one["text"] for one in left_out] == [line]


@pytest.mark.slow
def test_a_report_says_on_the_command_line_too_which_rows_took_no_part(
    runs, capsys, tracking_uri, tmp_path
):
    assert main(["report", runs, "-o", str(tmp_path / "report.html")]) == 0
    line = line_of(capsys.readouterr().err)
    assert all(reason in line for reason in REASONS)


@pytest.mark.slow
def test_a_report_says_on_the_command_line_too_what_it_does_not_answer(
    capsys, tracking_uri, tmp_path
):
    """Three widths are no curve along the width."""
    table = str(Path(__file__).parents[5] / "examples" / "quickstart_runs.csv")
    asked = ["--x", "width", "--values", "128", "-o", str(tmp_path / "report.html")]
    assert main(["report", table, *asked]) == 0
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "not answered: " in one]
    assert line.startswith("not answered: the forecast at the width asked for: ")


def test_a_split_says_from_how_many_runs_and_what_backtests_say(runs, capsys):
    assert main(["allocate", runs, "--flops", "1e20"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"splits from 15 runs of {runs}\n")
    assert "1e+20 FLOP: " in printed and " backtests within the forecast, up to " in printed
