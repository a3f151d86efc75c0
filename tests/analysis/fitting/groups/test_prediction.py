"""Facts about new runs of groups that share constants: intervals of runs, and where none are."""

import numpy as np
import pandas as pd
import pytest

from analysis import fit_groups, predict_groups
from analysis.fitting.groups.split import label_of
from scaling.errors import FitError
from scaling.laws.base import runs_at_all
from scaling.records import records_from_table
from tests.analysis.fitting.groups.test_groups import TRUTHS, runs_of

NOISE = 0.002


@pytest.fixture(scope="module")
def grouped():
    parts = [runs_of(truth, name, seed=i) for i, (name, truth) in enumerate(TRUTHS.items())]
    records = records_from_table(pd.concat(parts, ignore_index=True))
    shared = ["alpha", "beta"]
    return fit_groups(records, "chinchilla", by="arch", share=shared, bootstrap=40, card=False)


def test_intervals_hold_new_runs_as_often_as_they_say(grouped):
    places = runs_at_all(params=np.geomspace(2e7, 8e8, 12), tokens=np.geomspace(2e9, 8e10, 12))
    held = []
    for seed, (name, truth) in enumerate(TRUTHS.items()):
        found = predict_groups(grouped, pd.DataFrame(places).assign(arch=name)).to_frame()
        scatter = np.random.default_rng(100 + seed).normal(size=len(found))
        measured = truth.loss(**places) * np.exp(NOISE * scatter)
        held.append(((found.low_90 <= measured) & (measured <= found.high_90)).mean())
    assert 0.8 <= np.mean(held) <= 0.98  # of one table, whose own scatter is of 40 runs


def test_intervals_are_those_of_a_run_and_wider_than_the_laws_own(grouped):
    point = pd.DataFrame({"params": [1e8], "tokens": [1e10], "arch": ["big"]})
    (answer,) = predict_groups(grouped, point, confidence_levels=(0.9, 0.5)).points
    law = grouped.fits["big"].predict(params=1e8, tokens=1e10).interval
    wide, narrow = answer.intervals[0.9], answer.intervals[0.5]
    assert wide.low < law.low and law.high < wide.high
    assert wide.low < narrow.low < answer.median < narrow.high < wide.high


def test_points_keep_their_order_and_a_budget_is_split(grouped):
    points = pd.DataFrame({"C": [1e19, 1e20, 1e19], "arch": ["small", "big", "big"]})
    found = predict_groups(grouped, points)
    assert [one.group for one in found.points] == ["small", "big", "big"]
    assert [one.at["train_flops"] for one in found.points] == [1e19, 1e20, 1e19]
    assert found == predict_groups(grouped, points)


def test_far_beyond_the_runs_there_is_no_number(grouped):
    point = pd.DataFrame({"params": [1e13], "tokens": [1e15], "arch": ["big"]})
    found = predict_groups(grouped, point)
    assert found.points[0].median is None and found.points[0].intervals == {}
    table = found.beside(point)
    assert list(table)[:3] == ["params", "tokens", "arch"] and table["median"].isna().all()


@pytest.mark.parametrize("cell", ["2", "2.0", 2, 2.0])
def test_groups_that_are_numbers_are_named_as_people_write_them(cell):
    """A column of a table is stored as 2.0 where it has a blank, and points are text."""
    parts = [runs_of(truth, 1 + i, seed=i) for i, truth in enumerate(TRUTHS.values())]
    parts.append(runs_of(TRUTHS["big"], np.nan, [0]))
    records = records_from_table(pd.concat(parts, ignore_index=True))
    fitted = fit_groups(
        records, "chinchilla", by="arch", share=["alpha"], bootstrap=20, fix={"beta": 0.28}
    )
    assert set(fitted.fits) == {"1", "2"}
    found = predict_groups(fitted, pd.DataFrame({"N": [1e8], "D": [1e10], "arch": [cell]}))
    assert found.points[0].group == "2"


@pytest.mark.parametrize(("value", "label"), [(True, "True"), (0.5, "0.5"), ("007", "007")])
def test_other_values_are_called_what_they_are(value, label):
    assert label_of(value) == label


def test_what_cannot_be_predicted_is_refused(grouped):
    runs = pd.concat([runs_of(truth, name) for name, truth in TRUTHS.items()])
    without = fit_groups(records_from_table(runs), "power_law", by="arch", bootstrap=0, card=False)
    with pytest.raises(FitError, match="bootstrap draws"):
        predict_groups(without, pd.DataFrame({"train_flops": [1e20], "arch": ["big"]}))
    with pytest.raises(FitError, match="no rows"):
        predict_groups(grouped, pd.DataFrame({"params": [], "tokens": [], "arch": []}))
