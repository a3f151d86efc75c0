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
