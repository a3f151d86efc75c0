"""Facts about mistakes on the command line: one line that says what is wrong, and code 2."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from scaling.cli import main
from tests.grids import grid_of_runs


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["forecast", "{runs}", "--target-loss", "2", "--figure", "f.svg"],
            "--target-loss has none",
        ),
        (["forecast", "{runs}", "--target-loss", "0"], "above zero"),
        (["fit", "{runs}", "--bootstrap", "1e9"], "10 to 100,000\n"),
        (["forecast", "{runs}", "--flops", "1e20", "--draws", "1e9"], "at most 100,000\n"),
        (["fit", "{runs}", "--fix", "E=9"], "no constant E; it has a, b, c\n"),
        (["allocate", "{runs}", "--flops", "0"], "above zero"),
        (["allocate", "{runs}", "--flops", "1e20", "--unique-tokens", "0"], "above zero"),
        (["allocate", "{runs}", "--flops", "1e20", "--law", "power_law"], "choose auto or one of"),
        (["allocate", "{runs}", "--flops", "1e20", "--level", "90"], "between 0 and 1"),
        (["allocate", "{runs}", "--flops", "1e20", "--inference-tokens", "nan"], "finite number"),
        (["allocate", "{runs}", "--flops", "1e20", "--unique-tokens", "inf"], "finite number"),
        (["allocate", "{runs}", "--flops", "1e20", "--where", "N < 2e6"], "forecast --flops C"),
        (["allocate", "{runs}", "--flops", "1e20", "--inference-tokens", "1e30"], "uses up"),
        (["verify"], "--all"),
        (["fit", "absent.csv"], "no such file"),
        (["fit", "{runs}", "--columns", "loss=nothing"], 'names no column "nothing"'),
        (["fit", "{runs}", "--where", "N near 5"], "column op value"),
        (["fit", "{runs}", "--where", "N > 1e30"], "no row is left"),
        (["fit", "{runs}", "--law", "chinchila"], "chinchilla"),
        (["fit", "{runs}", "--fix", "c=1", "--fix", "c=2"], "given twice"),
        (["fit", "{runs}", "--fix", "E"], "not of the form name=value"),
        (["fit", "{runs}", "--fix", "E=low"], "is no number and no column"),
        (["fit", "{runs}", "--x", "D"], "differ in what the law does not see"),
        (["fit", "{runs}", "--bound", "c=2"], "not of the form CONSTANT=LOW:HIGH"),
        (["fit", "{runs}", "--bound", "c=3:2"], "not below"),
        (["fit", "{runs}", "--bound", "c=nan:2"], "not of the form CONSTANT=LOW:HIGH"),
        (["fit", "{runs}", "--bound", "c=:"], "not of the form CONSTANT=LOW:HIGH"),
        (["fit", "{runs}", "--bound", "c=0:2", "--fix", "c=1"], "--fix and --bound both give c"),
        (["fit", "{runs}", "--tie", "a=2*c", "--fix", "a=1"], "--fix and --tie both give a"),
        (["fit", "{runs}", "--tie", "a=2*c", "--bound", "a=1:2"], "--tie and --bound both give a"),
        (["fit", "{runs}", "--by", "D", "--bound", "c=0:2", "--fix", "c=1"], "both give c"),
        (["fit", "{runs}", "--huber-delta", "0"], "above zero"),
        (["fit", "{runs}", "--by", "D", "--share", "c", "--huber-delta", "0"], "above zero"),
        (["fit", "{runs}", "--objective", "absolute", "--huber-delta", "1e-2"], "none of absolute"),
        (["fit", "{runs}", "--tie", "q=2"], "no constant q"),
        (["fit", "{runs}", "--law", "chinchilla", "--tie", "beta=import"], "is reserved"),
        (["fit", "{runs}", "--bootstrap", "1"], "10 to 100,000"),
        (["fit", "{runs}", "--x", "nothing"], 'no column "nothing"'),
        (["fit", "{runs}", "--law", "chinchilla", "--where", "N < 5e6"], "chinchilla"),
        (["forecast", "{runs}"], "nothing to predict"),
        (["forecast", "{runs}", "--flops", "0"], "above zero"),
        (["forecast", "{runs}", "--flops=-1e20"], "above zero"),
        (["forecast", "{runs}", "--params", "1e9", "--tokens", "1e10", "2e10"], "pair up"),
        (["forecast", "{runs}", "--flops", "1e21", "--level", "1.5"], "between 0 and 1"),
        (["forecast", "{runs}", "--flops", "1e21", "--level", ".9999"], "needs 10000 draws"),
        (["forecast", "{runs}", "--target-loss", "2.2", "--level", "90"], "between 0 and 1"),
        (["forecast", "{runs}", "--target-loss", "2.2", "--seal", "bet"], "not --target-loss"),
        (["forecast", "{runs}", "--target-loss", "2.2", "--certificate"], "asks the reverse"),
        (["forecast", "{runs}", "--at", "points.csv", "--seal", "bet"], "not --at"),
        (["forecast", "{runs}", "--flops", "1e21", "--publish"], "name it with --seal"),
        (["forecast", "{runs}", "--flops", "1e21", "--seal", ""], "a name holds"),
        (["forecast", "{runs}", "--flops", "1e21", "--target-loss", "2"], "one at a time"),
        (["forecast", "{runs}", "--flops", "1e21", "--params", "1e9"], "one at a time"),
        (["forecast", "{runs}", "--at", "points.csv", "--flops", "1e21"], "one at a time"),
        (["forecast", "{runs}", "--params", "1e9"], "pair up"),
        (
            ["forecast", "{runs}", "--x", "N", "--params", "1e9", "--tokens", "1e10"],
            "nothing reads tokens",
        ),
        (["forecast", "{runs}", "--values", "1e9"], "name it with --x"),
        (["forecast", "{runs}", "--at", "absent.csv"], "cannot be read"),
        (["fit", "mlflow:nothing"], "no such database"),
        (["verify", "nothing"], "no sealed forecast"),
        (["plan", "absent.yaml"], "absent.yaml"),
        (["forecast", "{runs}", "--flops", "1e21", "-o", ""], "--output is empty"),
        (["forecast", "{runs}", "--flops", "1e21", "--at", ""], "--at is empty"),
        (["fit", "{runs}", "--where", ""], "--where is empty"),
        (["fit", "{runs}", "--by", ""], "--by is empty"),
        (["fit", ""], "SOURCE is empty"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    runs, arguments, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    assert main([part.replace("{runs}", runs) for part in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert says in printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["fitt"],
        ["fit"],
        ["fit", "runs.csv", "--lwa", "m4"],
        ["fit", "runs.csv", "--seed", "-1"],
        ["compare", "a.csv", "b.csv", "--gate", "5%"],  # 1.05, or .05?
        ["allocate", "runs.csv", "--flops", "1e20", "--x", "tokens"],  # it knows no such column
    ],
)
def test_a_mistyped_command_is_one_line_and_exit_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_an_unreachable_server_is_one_line_and_exit_code_two(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["fit", "mlflow:anything"]) == 2
    assert "does not answer" in capsys.readouterr().err


def test_a_launch_beyond_its_budget_or_large_and_unconfirmed_is_refused_before_it_starts(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal: nobody to ask
    command = ["run", "quickstart", "--set"]
    assert main([*command, "budget.flops=1"]) == 2
    assert "more than budget.flops 1; drop or exclude runs" in capsys.readouterr().err
    assert main([*command, "budget.ask_above_device_hours=1e-6"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()


def test_of_several_corpora_the_one_with_most_runs_is_proposed(tmp_path, capsys):
    table = grid_of_runs(4).assign(dataset=["c4"] * 4 + ["pile"] * 12)
    table.to_csv(tmp_path / "runs.csv", index=False)
    assert main(["fit", str(tmp_path / "runs.csv")]) == 2
    assert '--where "dataset == pile"' in capsys.readouterr().err


def test_a_split_of_a_curve_is_refused_with_what_the_curve_can_answer(tmp_path, capsys):
    table = grid_of_runs(4)
    flops = 6 * table["params"] * table["tokens"]
    table.assign(train_flops=flops)[["train_flops", "loss"]].to_csv(
        tmp_path / "curve.csv", index=False
    )
    curve = str(tmp_path / "curve.csv")
    assert main(["allocate", curve, "--flops", "1e21"]) == 2
    assert "scaling forecast --flops C" in capsys.readouterr().err
    assert main(["forecast", curve, "--flops", "1e21", "--draws", "100"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["allocate", "runs.csv", "--flops", "-3x"],
        ["allocate", "runs.csv", "--flops", "1e20", "--price", "-2/h"],
        ["fit", "runs.csv", "--law", "-a*N^-b"],
    ],
)
def test_a_value_that_looks_like_an_option_is_told_how_it_is_given(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"is given as {arguments[-2]}=-1)" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_output_that_cannot_be_written_is_one_line(runs):
    ask = [sys.executable, "-m", "scaling", "forecast", runs, "--flops", "1e21", "--json"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(ask, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("scaling: standard output cannot be written")
    assert "Traceback" not in ended.stderr
