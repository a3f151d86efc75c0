"""Facts about comparing recipes on the command line."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from scaling import laws, write_records
from scaling.cli import main
from scaling.simulate import isoflop_runs, simulate_records

A = laws.Chinchilla(E=1.8, A=480.0, B=2085.0, alpha=0.348, beta=0.366)
B = laws.Chinchilla(E=1.8, A=456.0, B=1980.0, alpha=0.348, beta=0.366)


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    runs = isoflop_runs(np.geomspace(1e17, 1e19, 4), [0.5, 1.0, 2.0], A)
    paths = []
    for name, law, seed in (("a", A, 1), ("b", B, 2)):
        paths.append(str(folder / f"{name}.csv"))
        write_records(simulate_records(law, runs, relative_noise=0.002, seed=seed), paths[-1])
    return paths


@pytest.mark.parametrize(
    ("turned", "gate", "code", "decision"),
    [(False, [], 0, "promote"), (True, [], 1, "reject"), (False, ["1.3"], 3, "undecided")],
)
def test_the_exit_code_of_a_gate_is_its_decision(arms, turned, gate, code, decision, capsys):
    pair = arms[::-1] if turned else arms
    assert main(["compare", *pair, "--gate", *gate]) == code
    assert f"decision: {decision}" in capsys.readouterr().out


def test_without_a_gate_the_exit_code_is_zero_and_json_has_what_the_text_has(arms, capsys):
    assert main(["compare", *arms[::-1], "--flops", "2e19", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (target,) = document["targets"]
    assert "gate" not in document and target["multiplier"] < 1
    assert main(["compare", *arms[::-1], "--flops", "2e19"]) == 0
    text = capsys.readouterr().out
    assert f"{target['multiplier']:.3g}" in text and "paired by params and tokens" in text


def test_a_figure_and_a_file_are_written(arms, tmp_path, capsys):
    figure, file = tmp_path / "c.svg", tmp_path / "c.json"
    assert main(["compare", *arms, "--gate", "--figure", str(figure), "-o", str(file)]) == 0
    assert figure.stat().st_size > 1000
    assert json.loads(file.read_text())["gate"]["decision"] == "promote"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--gate", "0"], "above zero"),
        (["--where", "params > 1e18"], ""),
        (["--gate=-1"], "above"),
        (["--gate", "inf"], "above"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arms, extra, said, capsys):
    assert main(["compare", *arms, *extra]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert said in line and printed.out == ""


def test_runs_are_not_compared_with_themselves(arms, capsys):
    assert main(["compare", arms[0], arms[0]]) == 2
    assert "hold the same runs" in capsys.readouterr().err


def config(tmp_path, name, recipe, **changed):
    mapping = {
        "name": name,
        "grid": {"width": [8, 16, 24], "flops": [5e7, 1e8, 2e8, 4e8]},
        "model": {"context": 16, "head_size": 8},
        "data": {"source": "markov", "symbols": 16, "validation_windows": 200},
        "recipe": {"name": recipe},
        "launch": {
            "workers": 1,
            "device": "cpu",
            "checkpoints": {"folder": str(tmp_path / "checkpoints")},
            "policy": {"held_out_first": "held_out" in changed},
        },
        **changed,
    }
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return str(path)


@pytest.mark.slow
@pytest.mark.usefixtures("tracking_uri")
def test_a_study_of_two_recipes_trains_both_and_compares_them(tmp_path, capsys):
    hidden = {"held_out": [{"width": 24, "flops": 8e8}]}  # a config as it is shipped: left out
    one = config(tmp_path, "one", "cpt-adamw-tiny/1", **hidden)
    two = config(tmp_path, "two", "cpt-adamw-tiny/2", **hidden)
    folder = tmp_path / "ab"
    assert main(["study", "ab", "--a", one, "--b", two, "-o", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "A: mlflow:one, B: mlflow:two" in out and "decision: " in out and "12 cells" in out
    document = json.loads((folder / "comparison.json").read_text())
    assert len(document["cells"]) == 12 and len(document["rungs"]) == 4
    assert (folder / "comparison.svg").exists()


@pytest.mark.usefixtures("tracking_uri")
def test_a_study_of_two_recipes_refuses_what_it_cannot_compare(tmp_path, capsys):
    one = config(tmp_path, "one", "cpt-adamw-tiny/1")
    other = config(tmp_path, "other", "cpt-adamw-tiny/1", grid={"width": [32], "flops": [1e8]})
    for flags, said in (
        (["--a", one], "--b B.yaml"),
        (["--a", one, "--b", one], "both arms are sweeps named"),
        (["--a", one, "--b", other], "no width in common"),
        (["--a", one, "--b", other, "--seal", "x"], "nothing can be sealed"),
    ):
        assert main(["study", "ab", *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    assert main(["study", one, "--a", one]) == 2
    assert "study ab" in capsys.readouterr().err


def test_a_unit_that_one_table_states_and_the_other_names_its_column_by_is_one_unit(arms, tmp_path):
    stated = tmp_path / "stated.csv"
    table = pd.read_csv(arms[1]).drop(columns="loss_kind", errors="ignore")
    table.assign(loss_kind="nats_per_token").to_csv(stated, index=False)
    assert main(["compare", arms[0], str(stated), "--flops", "1e19"]) == 0
    table.assign(loss_kind="bits_per_byte").to_csv(stated, index=False)
    assert main(["compare", arms[0], str(stated), "--flops", "1e19"]) == 2
