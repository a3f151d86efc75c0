"""Facts about a file of points to predict (--at): read as tables are, kept to the letter."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.discovery import search
from scaling.cli import main


def test_a_table_of_points_keeps_its_columns_and_order(runs, tmp_path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("label,N,D\nbig,1e9,1e11\nsmall,2e8,2e10\n")
    predictions = tmp_path / "predictions.csv"
    levels = ["--level", "0.9", "--level", "0.5"]
    assert main(["forecast", runs, "--at", str(points), *levels, "-o", str(predictions)]) == 0
    table = pd.read_csv(predictions)
    assert list(table["label"]) == ["big", "small"]
    assert list(table.columns)[3:] == ["median", "low_90", "high_90", "low_50", "high_50"]
    assert (table["low_90"] < table["low_50"]).all()


def test_what_the_runs_alone_allow_is_two_more_columns(runs, tmp_path, capsys):
    points, predictions = tmp_path / "points.csv", tmp_path / "predictions.csv"
    points.write_text("N,D\n1e9,1e11\n2e8,2e10\n")
    assert (
        main(["forecast", runs, "--at", str(points), "--certificate", "-o", str(predictions)]) == 0
    )
    table = pd.read_csv(predictions)
    assert list(table.columns)[-2:] == ["certificate_low", "certificate_high"]
    assert (table["certificate_low"] < table["certificate_high"]).all()


def test_the_rest_of_a_table_of_points_is_kept_to_the_letter(runs, tmp_path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("id,N,D,note\n007,1e9,1.50e11,NA\n010,2e8,20000000000,\n")
    assert main(["forecast", runs, "--at", str(points)]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(",")[:4] for row in rows] == [
        ["007", "1e9", "1.50e11", "NA"],
        ["010", "2e8", "20000000000", ""],
    ]


def test_points_are_understood_in_the_spelling_of_the_runs(runs, tmp_path, capsys):
    table, points = tmp_path / "mine.csv", tmp_path / "points.csv"
    table.write_text(Path(runs).read_text().replace("N,D", "my_n,my_d"))
    points.write_text("my_n,my_d\n1e9,1e11\n")
    columns = ["--columns", "params=my_n", "--columns", "tokens=my_d"]
    assert main(["forecast", str(table), *columns, "--at", str(points)]) == 0
    mine = capsys.readouterr().out.splitlines()[1]
    points.write_text("N,D\n1e9,1e11\n")
    assert main(["forecast", runs, "--at", str(points)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == mine


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("N,D\n1e9,1e11\n,1e11\n", "params is blank (point 2)"),
        ("N,D\n1e9,lots\n", 'tokens is "lots", not a number (point 1)'),
        ("N,D,N\n1e9,1e11,1e9\n", 'two columns are named "N"'),
        ("N,D,median\n1e9,1e11,2\n", 'column "median" exists already'),
        ("N,D\n", "no rows"),
        ("N,D\n1e9,1e11,3\n", "more fields than the header"),
        ("", "cannot be read"),
    ],
)
def test_points_that_cannot_be_read_are_named(runs, points, says, tmp_path, capsys):
    path = tmp_path / "points.csv"
    path.write_text(points)
    assert main(["forecast", runs, "--at", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert says in printed.err


@pytest.mark.parametrize(
    "points",
    [
        "N;D;note\n1,5e9;1,25e11;a\n2e9;1e11;1,5\n",
        'N,D,note\n"1,5e9","1,25e11",a\n2e9,1e11,"1,5"\n',
        "# mine\nN\tD\tnote\n1.5e9\t125B\ta\n2e9\t1e11\t1,5\n",
    ],
    ids=["semicolons", "quoted", "tabs"],
)
def test_points_are_read_as_tables_are_and_kept_to_the_letter(runs, points, tmp_path, capsys):
    path = tmp_path / "points.csv"
    path.write_text(points)
    asked = ["forecast", runs, "--law", "chinchilla", "--at", str(path)]
    assert main([*asked, "--json"]) == 0
    targets = json.loads(capsys.readouterr().out)["targets"]
    assert [(t["at"]["params"], t["at"]["tokens"]) for t in targets] == [
        (1.5e9, 1.25e11),
        (2e9, 1e11),
    ]
    assert main(asked) == 0
    assert ',"1,5",' in capsys.readouterr().out  # a note, which is no number of ours


HEADINGS = {"N": "Params (M)", "D": "Tokens (B)"}
DISCOVER = ["discover", "--inputs", "params", "tokens"]
FORMULA = ["forecast", "--law", "E + A*N^-a + B*D^-b"]


@pytest.mark.parametrize("verb", [["forecast"], FORMULA, DISCOVER])
@pytest.mark.parametrize("is_in_heading", [True, False])
def test_points_have_the_units_of_the_runs_whose_columns_they_share(
    verb, is_in_heading, runs, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(search, "DEPTH", 1)
    monkeypatch.setattr(search, "WIDTH", 1)
    names = HEADINGS if is_in_heading else {}
    units = [] if is_in_heading else ["--unit", "params=M", "--unit", "tokens=B"]
    table = pd.read_csv(runs)[["N", "D", "val_loss"]]
    predicted = []
    for scaled, flags in ((False, []), (True, units)):
        by = [1e6, 1e9] if scaled else [1.0, 1.0]
        paths = [tmp_path / "mine.csv", tmp_path / "points.csv", tmp_path / "out.csv"]
        points = pd.DataFrame({"N": [1e9, 5e8], "D": [1e11, 5e10]})
        for frame, path in ((table, paths[0]), (points, paths[1])):
            other = frame.assign(N=frame["N"] / by[0], D=frame["D"] / by[1])
            other.rename(columns=names if scaled else {}).to_csv(path, index=False)
        at = ["--at", str(paths[1]), "-o", str(paths[2])]
        asked = [verb[0], str(paths[0]), *verb[1:], *flags, *at]
        assert main(asked) == 0, capsys.readouterr().err
        predicted.append(pd.read_csv(paths[2])["median"].to_numpy())
    assert predicted[1] == pytest.approx(predicted[0], rel=1e-9)


def test_values_of_a_column_are_in_its_own_unit(runs, tmp_path, capsys):
    table, path = pd.read_csv(runs), tmp_path / "mine.csv"
    table.assign(N=table["N"] / 1e6).rename(columns=HEADINGS).to_csv(path, index=False)
    documents = []
    for source, asked in ((runs, ["N", "1e9"]), (str(path), ["Params (M)", "1000"])):
        flags = ["--x", asked[0], "--values", asked[1], "--json", "--unit", "tokens=1"]
        assert main(["forecast", source, *flags]) == 0, capsys.readouterr().err
        documents.append(json.loads(capsys.readouterr().out)["targets"][0])
    assert documents[1]["at"] == documents[0]["at"] == {"params": 1e9}
    assert documents[1]["intervals"] == documents[0]["intervals"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("N,C\n1e9,1e21\n", "params and train_flops name no run"),
        ("D,C\n1e10,1e21\n", "tokens and train_flops name no run"),
        ("N,D,C\n1e9,1e11,1e30\n", "train_flops is 1e+30 (point 1), and 6 N D"),
    ],
)
def test_a_column_of_points_that_would_be_passed_over_is_refused(
    written, said, runs, tmp_path, capsys
):
    points = tmp_path / "points.csv"
    points.write_text(written)
    assert main(["forecast", runs, "--at", str(points)]) == 2
    assert said in capsys.readouterr().err


def test_points_of_another_kind_of_file_are_refused_for_what_they_are(runs, tmp_path, capsys):
    (tmp_path / "points.json").write_text('[{"N": 1e9, "D": 1e11}]')
    assert main(["forecast", runs, "--at", str(tmp_path / "points.json")]) == 2
    assert "points are read from .csv or .tsv" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_limits_a_table_of_predictions(runs, tmp_path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("N,D\n1e9,1e11\n")
    assert main(["forecast", runs, "--at", str(points)]) == 0
    assert "\n\n" not in capsys.readouterr().err and not capsys.readouterr().err
