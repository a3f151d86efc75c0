"""Facts about `scaling discover`: its table of points, its document, and its mistakes."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.discovery import search
from benchmarks.simulated.tables import two_powers
from scaling.cli import main


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "DEPTH", 1)
    monkeypatch.setattr(search, "WIDTH", 1)
    path = tmp_path / "runs.csv"
    two_powers().to_csv(path, index=False)
    return str(path)


def test_a_table_of_points_is_repeated_with_the_ensembles_predictions(table, tmp_path, capsys):
    points, predicted = tmp_path / "points.csv", tmp_path / "predicted.csv"
    points.write_text("note,width_total,seen\nfirst,2e9,3e10\n,1e9,6e10\n")
    inputs = ["--inputs", "width_total", "seen"]
    asked = ["--at", str(points), "--level", "0.9", "--level", "0.5", "-o", str(predicted)]
    assert main(["discover", table, *inputs, *asked]) == 0
    written = pd.read_csv(predicted)
    added = ["median", "low_90", "high_90", "low_50", "high_50"]
    assert list(written.columns) == ["note", "width_total", "seen", *added]
    assert (written["low_90"] < written["low_50"]).all()
    assert "forms fitted" in capsys.readouterr().out


def test_json_is_one_document_with_the_forms_and_the_limits(table, capsys):
    assert main(["discover", table, "--inputs", "width_total", "seen", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["claimed"] and document["forms"][0]["formula"].startswith("E + ")
    assert sum(form["weight"] for form in document["forms"]) == pytest.approx(1)
    assert all({"code", "text"} == set(limit) for limit in document["limits"])


def test_no_law_is_claimed_of_random_values(table, tmp_path, capsys):
    runs = two_powers().assign(loss=np.random.default_rng(2).normal(3, 0.1, 42))
    runs.to_csv(tmp_path / "random.csv", index=False)
    points = tmp_path / "points.csv"
    points.write_text("width_total,seen\n2e9,3e10\n")
    command = ["discover", str(tmp_path / "random.csv"), "--inputs", "width_total", "seen"]
    assert main(command) == 0
    assert "no law is claimed" in capsys.readouterr().out
    assert main([*command, "--at", str(points), "-o", str(tmp_path / "out.csv")]) == 2
    assert "no law is claimed" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "name columns with --inputs"),
        (["--inputs", "width_total", "seen", "--level", ".5"], "--level is of predictions"),
        (["--inputs", "seen", "-o", "out.csv"], "a table repeats the points of --at"),
        (["--inputs", "seen", "colour"], 'no column "colour"'),
    ],
)
def test_a_mistake_is_one_line(table, capsys, options, line):
    assert main(["discover", table, *options]) == 2
    said = capsys.readouterr().err
    assert line in said and "Traceback" not in said


def test_forecasts_at_points_are_by_found_laws_or_by_a_formula_in_their_columns(
    table, tmp_path, capsys
):
    points = tmp_path / "points.csv"
    points.write_text("width_total,seen\n2e9,3e10\n")
    medians = []
    for how in (
        ["--inputs", "width_total", "seen"],
        ["--law", "E + A*width_total^-alpha + B*seen^-beta"],
    ):
        out = tmp_path / "out.csv"
        assert main(["forecast", table, *how, "--at", str(points), "-o", str(out)]) == 0
        medians.append(pd.read_csv(out)["median"].item())
    truth = 1.7 + 400 * 2e9**-0.34 + 410 * 3e10**-0.28
    assert medians == pytest.approx([truth, truth], rel=0.005)  # runs scatter by 0.2%


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--inputs", "seen"], "--inputs predict the points of --at"),
        (["--inputs", "seen", "--at", "x.csv", "--law", "chinchilla"], "leave one out"),
    ],
)
def test_a_forecast_by_found_laws_names_what_it_needs(table, capsys, options, line):
    assert main(["forecast", table, *options]) == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb",
    [
        ["discover", "--inputs", "width_total", "seen"],
        ["forecast", "--inputs", "width_total", "seen", "--at", "{points}"],
        ["forecast", "--law", "E + A*width_total^-a + B*seen^-b", "--at", "{points}"],
    ],
)
def test_what_was_found_is_drawn_where_asked(table, verb, tmp_path, capsys):
    points, figure = tmp_path / "points.csv", tmp_path / "found.svg"
    points.write_text("width_total,seen\n2e9,3e10\n")
    name, *asked = (word.format(points=points) for word in verb)
    assert main([name, table, *asked, "--figure", str(figure)]) == 0
    assert f"figure: {figure}" in capsys.readouterr().err
    assert figure.read_text().startswith("<?xml")


def test_where_no_law_is_claimed_one_line_says_that_nothing_is_drawn(table, tmp_path, capsys):
    runs = two_powers().assign(loss=np.random.default_rng(2).normal(3, 0.1, 42))
    runs.to_csv(table, index=False)
    figure = tmp_path / "found.svg"
    inputs = ["--inputs", "width_total", "seen"]
    assert main(["discover", table, *inputs, "--figure", str(figure)]) == 0
    assert capsys.readouterr().err.count("no figure: no law is claimed") == 1
    assert not figure.exists()


def test_how_the_table_was_read_is_said_as_in_every_verb(table, tmp_path, capsys):
    path = tmp_path / "millions.csv"
    runs = two_powers().rename(columns={"width_total": "Params (M)", "seen": "tokens"})
    runs.assign(**{"Params (M)": runs["Params (M)"] / 1e6}).to_csv(path, index=False)
    assert main(["discover", str(path), "--inputs", "params", "tokens"]) == 0
    assert 'params = "Params (M)" times 1e+06' in capsys.readouterr().out
    points, out = tmp_path / "points.csv", tmp_path / "out.csv"
    points.write_text("Params (M),tokens\n2000,3e10\n")
    asked = ["discover", str(path), "--inputs", "params", "tokens", "--at", str(points)]
    assert main([*asked, "-o", str(out)]) == 0
    assert 'params = "Params (M)" times 1e+06' in capsys.readouterr().err
