"""Facts about `--by` and `--share` on the command line."""

import json

import pytest

from scaling.cli import main
from tests.analysis.fitting.groups.test_groups import TRUTHS, runs_of


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    import pandas as pd

    path = tmp_path_factory.mktemp("groups") / "runs.csv"
    parts = [runs_of(truth, name, seed=i) for i, (name, truth) in enumerate(TRUTHS.items())]
    pd.concat([*parts, runs_of(TRUTHS["big"], "one", [3])]).to_csv(path, index=False)
    return str(path)


def test_groups_are_fitted_with_shared_constants_as_text_and_as_json(table, tmp_path, capsys):
    asked = ["fit", table, "--law", "chinchilla", "--by", "arch", "--share", "alpha", "beta"]
    saved = tmp_path / "groups.json"
    assert main([*asked, "--bootstrap", "20", "-o", str(saved)]) == 0
    text = capsys.readouterr().out
    assert "all groups" in text and "arch one has no fit" in text
    assert main([*asked, "--bootstrap", "20", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["groups"]) == {"big", "small"}
    assert list(document["left_out"]) == ["one"] and document["shared"] == ["alpha", "beta"]
    from analysis import GroupedFit

    assert set(GroupedFit.from_json(saved.read_text()).fits) == {"big", "small"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--share", "alpha"], "name their column with --by"),
        (["--by", "arch", "--share", "gamma"], "no such constant"),
        (["--by", "nothing"], 'no column "nothing"'),
        (["--by", "arch", "--card"], "--card is of one fit"),
        (["--by", "arch", "--floor"], "--floor is of one fit"),
    ],
)
def test_a_mistake_with_groups_is_one_line(table, flags, said, capsys):
    assert main(["fit", table, "--law", "chinchilla", "--bootstrap", "0", *flags]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    path = tmp_path_factory.mktemp("points") / "points.csv"
    path.write_text(
        "note,N,D,arch\nfirst,2e9,1e11,big\nsecond,3e8,2e10,small\nthird,3e8,2e10,one\n"
    )
    return str(path)


@pytest.mark.parametrize("law", ["chinchilla", "E + A*N^-alpha + B*D^-beta"])
def test_points_of_groups_are_forecast_with_shared_constants(table, points, law, tmp_path, capsys):
    asked = ["forecast", table, "--at", points, "--law", law, "--by", "arch", "--share", "alpha"]
    saved = tmp_path / "predicted.csv"
    assert main([*asked, "--draws", "100", "--level", "0.9", "-o", str(saved)]) == 0
    import pandas as pd

    told = capsys.readouterr().err
    assert "one law of groups that share alpha" in told and "arch one has no fit" in told
    found = pd.read_csv(saved)
    assert list(found.note) == ["first", "second", "third"]
    for row, (n, d, group) in enumerate([(2e9, 1e11, "big"), (3e8, 2e10, "small")]):
        true = float(TRUTHS[group].loss(n, d))
        assert found["median"][row] == pytest.approx(true, rel=0.01)
        assert found.low_90[row] < found["median"][row] < found.high_90[row]
    assert found.loc[2, ["median", "low_90", "high_90"]].isna().all()
    assert main([*asked, "--draws", "100", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["shared"] == ["alpha"]
    assert [one["median"] for one in document["points"]][2] is None
    assert document["points"][2]["limits"][0]["code"] == "unsupported"


AT = ["--at", "points.csv"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--share", "alpha", *AT], "name their column with --by"),
        (["--by", "arch", "--share", "alpha", *AT], "say which with --law"),
        (["--by", "arch", "--share", "alpha", "--inputs", "N", *AT], "--inputs search for laws"),
        (["--by", "arch", "--flops", "1e20"], "--where 'arch == ...'"),
        (["--by", "arch", "--target-loss", "2"], "--where 'arch == ...'"),
        (["--by", "arch", "--metric", "accuracy", "--flops", "1e20"], "--where 'arch == ...'"),
        (["--by", "arch", "--law", "chinchilla", *AT], "--where 'arch == ...'"),
        (
            ["--by", "arch", "--share", "alpha", "--law", "chinchilla", "--certificate", *AT],
            "--certificate is of one group's runs",
        ),
    ],
)
def test_groups_that_a_forecast_cannot_have_are_refused_and_never_ignored(
    table, points, flags, said, capsys
):
    flags = [points if flag == "points.csv" else flag for flag in flags]
    assert main(["forecast", table, *flags]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_each_group_is_backtested_from_its_own_runs(table, tmp_path, capsys):
    saved = tmp_path / "scores.json"
    asked = ["backtest", table, "--law", "chinchilla"]
    assert main([*asked, "--by", "arch", "-o", str(saved)]) == 0
    text = capsys.readouterr().out
    assert "arch one has no backtest" in text and "arch big" in text and "arch small" in text
    document = json.loads(saved.read_text())
    assert set(document["groups"]) == {"big", "small"} and set(document["left_out"]) == {"one"}
    assert main([*asked, "--where", "arch == small", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert document["groups"]["small"]["overall"] == alone["overall"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--by", "nothing"], 'no column "nothing"'),
        (["--by", "arch", "--figure", "f.svg"], "--where 'arch == ...' in the place of --by"),
        (["--by", "N", "--where", "arch == big"], "no group has a backtest"),
    ],
)
def test_a_mistake_with_backtests_of_groups_is_one_line(table, flags, said, capsys):
    assert main(["backtest", table, *flags]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("N,D\n1e9,1e10\n", 'no column "arch"'),
        ("N,D,arch\n1e9,1e10,other\n", "in row 2, and no run is"),
        ("N,arch\n1e9,big\n", 'no column "tokens"'),
        ("N,D,arch\n1e9,0,big\n", 'tokens is "0" in row 2'),
        ("N,D,arch,median\n1e9,1e10,big,3\n", 'column "median" exists already'),
    ],
)
def test_a_mistake_in_points_of_groups_is_one_line(table, tmp_path, text, said, capsys):
    path = tmp_path / "points.csv"
    path.write_text(text)
    asked = ["forecast", table, "--law", "chinchilla", "--by", "arch", "--share", "alpha", "beta"]
    assert main([*asked, "--draws", "100", "--at", str(path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
