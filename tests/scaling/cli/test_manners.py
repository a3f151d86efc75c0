"""Facts about the manners of the command: what it prints beside an answer, and where it writes."""

import sys

import numpy as np
import pytest

from scaling.cli.command import main, parser
from scaling.words import counted
from tests.grids import grid_of_runs

BUDGETS = [10.0**k for k in range(15, 22)]
TABLE = "train_flops,loss\n" + "".join(f"{c:g},{2 + 900 * c**-0.2}\n" for c in BUDGETS)


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(TABLE)
    return str(path)


def refusal(argv, capsys):
    """The line that a mistyped command is answered with."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == "" and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["fit", "runs.csv", "-o", "fit.png"], '"fit.png" ends in .png; write .json'),
        (
            ["report", "runs.csv", "-o", "report.csv"],
            "ends in .csv; write .html or .pdf or .md or .json",
        ),
        (["collect", "sweep", "-o", "runs.html"], "write .csv or .parquet or .jsonl"),
        (["study", "quickstart", "-o", "report.html"], "ends in .html; it is a folder"),
        (["backtest", "runs.csv", "--figure", "f.json"], "write .svg or .png or .pdf"),
        (["compare", "a.csv", "b.csv", "--figure", "f.docx"], "ends in .docx; write .svg or"),
        (["discover", "runs.csv", "--figure", "f"], '"f" has no ending; write .svg or'),
        (["forecast", "runs.csv", "--figure", "."], '"." is a folder; name a file in it'),
    ],
)
def test_an_ending_that_the_verb_does_not_write_is_refused_before_any_work(argv, said, capsys):
    assert said in refusal(argv, capsys)


@pytest.mark.parametrize(("more", "name"), [([], "f.csv"), (["--at", "points.csv"], "f.json")])
def test_a_forecast_is_written_in_the_form_of_its_question(runs, more, name, capsys):
    asked = more or ["--flops", "1e22"]
    assert main(["forecast", runs, *asked, "-o", name]) == 2
    assert f"-o {name}: --at writes its table with predictions, as .csv" in capsys.readouterr().err


def test_a_name_with_dots_is_no_ending():
    assert parser().parse_args(["fit", "runs.csv", "-o", "fit.v2"]).output == "fit.v2"


def test_every_verb_takes_quiet_or_verbose(capsys):
    for verb in parser()._subparsers._group_actions[0].choices.values():
        options = {option for action in verb._actions for option in action.option_strings}
        assert {"--quiet", "--verbose"} <= options
    assert "not allowed with" in refusal(["fit", "runs.csv", "-q", "-v"], capsys)


def test_quiet_leaves_out_how_a_table_was_read_and_no_limit(tmp_path, capsys):
    path = tmp_path / "theirs.csv"
    path.write_text(TABLE.replace("train_flops", "flops"))
    for argv in (["fit", "--bootstrap", "0"], ["forecast", "--flops", "1e22", "--draws", "200"]):
        verb, *flags = argv
        printed = []
        for loudness in ((), ("-q",), ("-v",)):
            assert main([verb, str(path), *flags, *loudness]) == 0
            printed.append(capsys.readouterr().out)
        full, quiet, verbose = printed
        assert full == verbose and set(quiet.splitlines()) <= set(full.splitlines())
        assert "read as:" in full and "read as:" not in quiet
        assert ("limits:" in full) == ("limits:" in quiet)


def test_quiet_leaves_the_answer_and_the_mistakes(runs, tmp_path, capsys):
    table = str(tmp_path / "points.csv")
    (tmp_path / "points.csv").write_text("train_flops\n1e22\n1e30\n")
    argv = ["forecast", runs, "--at", table]
    assert main(argv) == 0
    loud = capsys.readouterr()
    assert "1 of 2 points is unsupported" in loud.err
    assert main([*argv, "--quiet"]) == 0
    assert capsys.readouterr() == (loud.out, "")
    assert main(["fit", "nowhere.csv", "--quiet"]) == 2
    assert "nowhere.csv: no such file" in capsys.readouterr().err


def test_verbose_adds_the_traceback_of_a_mistake(capsys):
    assert main(["fit", "nowhere.csv"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["fit", "nowhere.csv", "--verbose"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_completion_without_its_package_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert "pip install 'scaling-forecast[completion]'" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_verb(shell, capsys):
    pytest.importorskip("shtab")
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("forecast", "config", "inference-tokens"))


def test_counts_agree_with_their_nouns(tmp_path, capsys, tracking_uri):

    assert [counted(n, "run") for n in (0, 1, 2, 1200)] == [
        "0 runs",
        "1 run",
        "2 runs",
        "1,200 runs",
    ]
    one = tmp_path / "one.csv"
    one.write_text("train_flops,loss\n1e18,3.0\n")
    assert main(["import", str(one), "--sweep", "one"]) == 0
    assert "1 run joined" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "explains"),
    [
        (
            ("forecast", "--flops", "1e19"),
            ("weights of the laws", "noise of a new run", "evidence:"),
        ),
        (("allocate", "--flops", "1e19"), ("answered by:", "decades beyond the data")),
        (("health",), ("what fits make of them",)),
        (("forecast", "--flops", "1e19", "--metric", "accuracy"), ("sigmoid of", "read as:")),
    ],
)
def test_quiet_prints_the_answer_and_its_limits_alone(tmp_path, capsys, verb, explains):
    table = grid_of_runs(5)
    shares = 0.25 + 0.7 / (1 + np.exp(4 * (table["loss"] - table["loss"].median())))
    table = table.assign(accuracy=shares, health="ok", lr_gap=0.001, lr_offset=0.1, width=64)
    table.loc[0, "status"] = "failed"  # so that there is a limit to tell
    table.to_csv(tmp_path / "runs.csv", index=False)
    name, *flags = verb
    said = []
    for loudness in ((), ("-q",)):
        assert main([name, str(tmp_path / "runs.csv"), *flags, *loudness]) == 0
        said.append(capsys.readouterr().out)
    full, quiet = said
    for words in explains:
        assert words in full and words not in quiet
    limits = full.split("limits:\n")[1].split("\n\n")[0]
    assert limits.strip() and limits.strip() in quiet
    assert quiet.splitlines()[2] in full  # the table is whole
