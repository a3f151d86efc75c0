"""Facts about runs chosen from an offer, for predictions in any inputs."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import runs_to_buy
from scaling.cli import main
from scaling.errors import FitError, ForecastError
from scaling.laws.base import runs_at_all
from scaling.limits import LimitCode
from scaling.records import records_from_table

LAW = "E + A*size^-alpha + B*words^-beta"


def lossy(table, noise=0.003, seed=0):
    scatter = np.random.default_rng(seed).normal(size=len(table))
    loss = 1.5 + 300 * table["size"] ** -0.33 + 400 * table["words"] ** -0.3
    return table.assign(loss=loss * np.exp(noise * scatter))


@pytest.fixture(scope="module")
def runs():
    """Small sizes alone tell little of the exponent of words."""
    axes = runs_at_all(size=np.geomspace(1e7, 1e8, 4), words=np.geomspace(1e9, 1e10, 4))
    return lossy(pd.DataFrame(axes))


OFFER = pd.DataFrame(
    {
        "size": [1e7, 1e7, 8e8, 1e7, 8e8],
        "words": [1e9, 1e9, 1e9, 8e10, 8e10],
        "cost": [1.0, 1.0, 4.0, 4.0, 100.0],
    }
)
POINTS = pd.DataFrame({"size": [2e9, 1e9], "words": [1e11, 2e11]})


def bought(runs, **changed):
    asked = {"offer": OFFER, "at": POINTS, "budget": 8.0, "law": LAW} | changed
    return runs_to_buy(records_from_table(runs), **asked)


def test_what_is_bought_stays_within_the_budget_and_reaches_towards_the_points(runs):
    found = bought(runs)
    assert {run.row for run in found.runs} == {2, 3}
    assert found.spent == sum(run.cost for run in found.runs) == 8
    assert found.width_after < found.width_now
    assert found.formulas == (f"L = {LAW}",)


def test_a_run_that_costs_more_than_it_tells_is_not_bought_first(runs):
    dear = bought(runs, budget=108.0, offer=OFFER.assign(cost=[1.0, 1.0, 4.0, 100.0, 100.0]))
    assert dear.runs[0].row == 2
    cheap = bought(runs, budget=108.0, offer=OFFER.assign(cost=[100.0, 100.0, 100.0, 100.0, 1.0]))
    assert cheap.runs[0].row == 4


def test_equal_runs_tell_less_the_second_time(runs):
    twice = pd.concat([OFFER.iloc[[2]]] * 3, ignore_index=True)
    shares = [run.takes_off for run in bought(runs, offer=twice, budget=12.0).runs]
    assert shares == sorted(shares, reverse=True) and shares[0] > 2 * shares[1]


def test_runs_of_a_group_tell_of_that_group(runs):
    both = pd.concat([runs.assign(kind="a"), runs.assign(kind="b", loss=runs.loss * 1.05)])
    offer = pd.concat([OFFER.assign(kind=kind) for kind in "ab"], ignore_index=True)
    found = bought(both, by="kind", offer=offer, at=POINTS.assign(kind="b"), budget=4.0)
    assert found.runs[0].group == "b"


def test_without_costs_each_run_costs_one_and_that_is_said(runs):
    found = bought(runs, offer=OFFER.drop(columns="cost"), budget=2.0)
    assert found.spent == len(found.runs) == 2
    assert any(one.code is LimitCode.FILLED_IN for one in found.limits)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"budget": 0.5}, ForecastError, "buys no run"),
        ({"budget": -1.0}, ForecastError, "above zero"),
        ({"offer": OFFER.assign(cost=0.0)}, ForecastError, 'cost is "0.0" in row 2'),
        ({"offer": OFFER.head(0)}, ForecastError, "no run is on offer"),
        ({"offer": OFFER.drop(columns="words")}, FitError, 'no column "words"'),
    ],
)
def test_an_offer_that_is_none_is_refused(runs, changed, error, said):
    with pytest.raises(error, match=said):
        bought(runs, **changed)


def test_values_that_follow_no_law_choose_nothing(runs):
    shuffled = runs.assign(loss=np.random.default_rng(3).permutation(runs.loss))
    with pytest.raises(ForecastError, match="nothing to choose runs by"):
        bought(shuffled)


def test_the_verb_prints_what_the_library_says(runs, tmp_path, capsys):
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("runs", "offer", "points")}
    for name, table in (("runs", runs), ("offer", OFFER), ("points", POINTS)):
        table.to_csv(paths[name], index=False)
    asked = ["next", paths["runs"], "--offer", paths["offer"], "--at", paths["points"]]
    assert main([*asked, "--law", LAW, "--budget", "8"]) == 0
    assert "2 runs for 8 of 8" in capsys.readouterr().out
    assert main([*asked, "--law", LAW, "--budget", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spent"] == 8
    for wrong, said in (
        ([*asked, "--budget", "8"], "--offer needs laws"),
        ([*asked, "--law", LAW], "--at and --budget"),
        ([*asked, "--law", LAW, "--budget", "8", "--target-flops", "1e20"], "leave --target-flops"),
        ([*asked, "--law", LAW, "--budget", "10x"], "give a number"),
        (["next", paths["runs"], "--at", paths["points"]], "--at is of runs on offer"),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err.strip()
        assert said in error and "\n" not in error
