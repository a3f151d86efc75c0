"""Laws that are given rather than found: any arithmetic, named laws, constants that are held."""

import numpy as np
import pandas as pd
import pytest

from analysis.discovery.discover import discover
from benchmarks.simulated.tables import two_powers
from scaling.errors import FitError
from scaling.laws.of_other_inputs.mixtures import mixture_law
from scaling.laws.registry import LAWS

POINT = pd.DataFrame({"width_total": [2e9], "seen": [6e10]})
TRUE = 1.7 + 400 * 2e9**-0.34 + 410 * 6e10**-0.28
LAW = "E + A*width_total^-a + B*seen^-b"


def predicted(law, **how):
    (point,) = discover(two_powers(), law=law, at=POINT, **how).predictions
    return point


@pytest.mark.parametrize(
    "law",
    [
        LAW,
        "1.7 + A*width_total^-a + B*seen^-b",
        "E + 400*width_total^-a + B*seen^-b",
        "E + A*width_total^-a + exp(6.0162 - b*log(seen))",
    ],
)
def test_terms_without_a_coefficient_are_part_of_the_law(law):
    point = predicted(law)
    assert point.median == pytest.approx(TRUE, rel=0.004)
    assert point.intervals[0.9].low < TRUE < point.intervals[0.9].high


def test_a_law_that_is_no_sum_of_terms_is_answered():
    n, d = (two_powers()[name].to_numpy() for name in ("width_total", "seen"))
    runs = two_powers().assign(loss=(n / 1e14) ** -0.06 * (d / 1e12) ** -0.04)
    found = discover(runs, law="(width_total/n)^-a * (seen/d)^-b", at=POINT)
    assert found.predictions[0].median == pytest.approx(2e-5**-0.06 * 0.06**-0.04, rel=1e-3)


def test_constants_that_are_held_stay_and_narrow_the_interval():
    free, held = predicted(LAW), predicted(LAW, fix={"E": 1.7, "a": 0.34})
    assert held.median == pytest.approx(TRUE, rel=0.002)
    assert np.ptp(held.intervals[0.9]) < np.ptp(free.intervals[0.9])
    found = discover(two_powers(), law=LAW, fix={"E": 1.7, "a": 0.34})
    assert found.fixed == {"E": 1.7, "a": 0.34}
    assert {*found.forms[0].constants[""]} == {"A", "B", "b"}
    assert found.forms[0].constants_count == 3


def test_what_is_held_must_be_a_constant_of_the_law():
    with pytest.raises(FitError, match="has no constant gamma"):
        predicted(LAW, fix={"gamma": 1.0})
    with pytest.raises(FitError, match="name it with --law"):
        discover(two_powers(), ["width_total", "seen"], fix={"E": 1.7})


@pytest.mark.parametrize(
    "name", [name for name, law in LAWS.items() if len(law.inputs) > 1 and name != "data_mixture"]
)
def test_every_named_law_of_several_columns_predicts_with_an_interval_that_holds(name):
    law = LAWS[name]
    runs = pd.DataFrame(law.example_runs())
    true = law.example().loss(*(runs[column].to_numpy() for column in law.inputs))
    noise = np.exp(0.002 * np.random.default_rng(1).normal(size=len(runs)))
    runs = runs.assign(loss=true * noise)
    places = np.arange(0, len(runs), 7)
    found = discover(runs, law=name, at=runs.iloc[places].drop(columns="loss"))
    assert found.forms[0].formula == name and found.forms[0].equation == law.form
    inside = [
        p.intervals[0.9].low <= t <= p.intervals[0.9].high
        for p, t in zip(found.predictions, true[places], strict=True)
    ]
    assert np.mean(inside) > 0.8
    assert found.forms[0].fit_error == pytest.approx(0.002, rel=0.3)


def test_a_mixture_of_columns_by_any_name_predicts():
    law = mixture_law(("web", "code", "books"))
    runs = pd.DataFrame(law.example_runs())
    runs["loss"] = law.example().loss(*(runs[c].to_numpy() for c in law.inputs))
    at = pd.DataFrame({"web": [0.2], "code": [0.5], "books": [0.3]})
    found = discover(runs, law="data_mixture(web, code, books)", at=at)
    assert found.predictions[0].median == pytest.approx(float(law.example().loss(0.2, 0.5, 0.3)))


def test_a_named_law_is_no_formula_to_save():
    runs = pd.DataFrame(LAWS["vocabulary_size"].example_runs())
    runs["loss"] = LAWS["vocabulary_size"].example().loss(*runs.to_numpy().T)
    with pytest.raises(FitError, match="fit_law takes it as it is"):
        discover(runs, law="vocabulary_size").forms[0].law()
