"""Facts about budgets that are given as a multiple of the largest run."""

import json

import pandas as pd
import pytest

from scaling.cli import main
from tests.grids import grid_of_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Sixteen runs, and a crashed one that is larger than all."""
    table = grid_of_runs(4, noise=0).rename(columns={"params": "N", "tokens": "D"})
    crashed = pd.DataFrame([{"N": 1e9, "D": 1e11, "loss": 9.0, "status": "crashed"}])
    path = tmp_path_factory.mktemp("budgets") / "runs.csv"
    pd.concat([table.assign(status="done"), crashed]).to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("verb", ["forecast", "allocate"])
def test_a_budget_may_be_a_multiple_of_the_largest_usable_run(verb, runs, capsys):
    answers = []
    for asked in (["10x", "2 X"], ["6e19", "1.2e19"]):
        assert main([verb, runs, "--flops", *asked, "--json"]) == 0
        printed = capsys.readouterr()
        document = json.loads(printed.out)
        answers.append(document["targets"] if verb == "forecast" else document)
        if asked[0] == "10x":
            assert "10x the largest run, of 6e+18 FLOP: 6e+19 FLOP" in printed.err
    first, second = ([one.get("budget", one.get("median")) for one in each] for each in answers)
    assert first == pytest.approx(second, rel=1e-9)


@pytest.mark.parametrize("asked", ["x", "tenx", "1e21,1e22"])
def test_what_is_no_budget_is_refused_in_one_line(asked, runs, capsys):
    with pytest.raises(SystemExit):
        main(["forecast", runs, f"--flops={asked}"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not a number" in line


def test_no_times_the_largest_run_is_no_budget(runs, capsys):
    assert main(["forecast", runs, "--flops=0x"]) == 2
    assert "needs a finite value above zero" in capsys.readouterr().err
