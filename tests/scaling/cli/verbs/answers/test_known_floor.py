"""Facts about a floor that is known: a column of the runs, such as the entropy of their source."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.forecasting.question.options import ForecastOptions
from analysis.report import gather_findings
from scaling.cli import main
from scaling.records import read_records

FLOOR = 1.25


@pytest.fixture
def runs(tmp_path):
    flops = np.geomspace(1e14, 1e17, 10)
    wiggle = 1 + 0.002 * np.array([1, -1, 1, 1, -1, -1, 1, -1, 1, -1])
    table = pd.DataFrame({"train_flops": flops, "loss": (FLOOR + 90 * flops**-0.15) * wiggle})
    table.assign(entropy=FLOOR, symbols=64).to_csv(tmp_path / "runs.csv", index=False)
    return str(tmp_path / "runs.csv")


def answered(capsys, *argv):
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_entropy_of_a_source_is_no_loss_and_may_be_the_floor(runs, capsys):
    records = read_records(runs)
    assert not records.told and "entropy" in records  # nothing was chosen between
    by_column, by_number = (
        answered(capsys, "fit", runs, "--fix", f"c={value}", "--bootstrap", "0")
        for value in ("entropy", FLOOR)
    )
    assert by_column["constants"]["c"]["estimate"] == FLOOR
    assert by_column["constants"] == by_number["constants"]
    ask = ("forecast", runs, "--law", "power_law", "--flops", "1e18", "--draws", "200", "--fix")
    made, same = (answered(capsys, *ask, f"c={value}") for value in ("entropy", FLOOR))
    assert made["targets"] == same["targets"]
    assert made["targets"][0]["intervals"]["0.9"][0] > FLOOR


@pytest.mark.parametrize(
    ("column", "said"),
    [("loss", "loss has 10 values in the runs"), ("floor", '"floor" is no number and no column')],
)
def test_a_constant_is_held_at_one_value(runs, column, said, capsys):
    assert main(["fit", runs, "--fix", f"c={column}"]) == 2
    assert said in capsys.readouterr().err


def test_several_numbers_are_separated_by_blanks(runs, capsys):
    with pytest.raises(SystemExit):
        main(["forecast", runs, "--flops", "1e18,1e19"])
    assert '"1e18,1e19" is not a number; separate several by blanks' in capsys.readouterr().err


FIXING = {
    "fit": (),
    "forecast": ("--flops", "1e12"),
    "allocate": ("--flops", "1e12"),
    "backtest": (),
    "report": ("-o", "report.html"),
}


@pytest.mark.parametrize("verb", FIXING)
@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        (["E=9"], "lowest"),
        (["q=1"], "has no constant q"),
        (["A=-1"], "cannot be below zero"),
        (["E=nan"], "give a finite number"),
        (["E=1", "E=2"], "given twice"),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_every_verb_that_holds_constants_refuses_alike(
    verb, fixed, said, capsys, tmp_path, monkeypatch
):
    flags = [word for pair in fixed for word in ("--fix", pair)]
    runs = str(Path("examples/quickstart_runs.csv").resolve())
    monkeypatch.chdir(tmp_path)
    assert main([verb, runs, *FIXING[verb], "--law", "chinchilla", *flags]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


def test_the_constants_of_a_report_are_held_as_its_forecast_holds_them(runs):
    options = ForecastOptions(law="power_law", fix={"c": FLOOR}, draws=200, backtests=0)
    found = gather_findings(runs, options=options, bootstrap=0, with_backtest=False)
    assert [law.law.c for law in found.laws] == [FLOOR]
    assert found.forecast.targets[-1].intervals[0.9].low > FLOOR


def test_fit_and_forecast_say_what_losses_are_held_against(runs, capsys):
    for verb in (("fit", runs, "--bootstrap", "0"), ("forecast", runs, "--flops", "1e18")):
        (line,) = answered(capsys, *verb)["reference_lines"]
        assert (line["name"], line["loss"], line["is_infinite"]) == ("entropy", FLOOR, False)
        assert main([*verb]) == 0
        said = "losses are held against:\n  - entropy (no model of these data lies below): 1.25"
        assert said in capsys.readouterr().out
        assert main([*verb, "-q"]) == 0
        assert "held against" not in capsys.readouterr().out
