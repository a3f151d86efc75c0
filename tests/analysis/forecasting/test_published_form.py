"""A candidate in public constants predicts what the candidate predicts."""

import numpy as np
import pandas as pd
import pytest

from analysis.forecasting.forecaster import prepare
from analysis.forecasting.members.surface_forms import BADLY_TUNED, BENDING
from analysis.forecasting.published_form import public_law
from analysis.forecasting.setup import pose
from scaling.laws.surfaces import Chinchilla
from scaling.records import records_from_table
from scaling.simulate import isoflop_runs, simulate_records

TRUTH = Chinchilla(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
LADDER = simulate_records(
    TRUTH,
    isoflop_runs(np.geomspace(1e18, 1e20, 6), [0.5, 1.0, 2.0], TRUTH),
    relative_noise=0.003,
    seed=1,
)


def members(records, law):
    question = pose(records, ("train_flops",), law, None)
    return prepare(
        question.ladder, question.candidates, question.calibration, backtests=0, distance=1.0
    ).ensemble.members


@pytest.mark.parametrize("law", ["skaling", "chinchilla", "overtraining"])
def test_a_surface_in_public_constants_predicts_the_same(law):
    for member in members(LADDER, law):
        if member.candidate.form in (BENDING, BADLY_TUNED):
            continue
        found = public_law(member)
        assert found.name == law
        n, d = np.array([1e8, 3e9]), np.array([1e11, 2e10])
        same = np.exp(member.log_loss(np.log(np.column_stack([n, d]))))
        np.testing.assert_allclose(found.loss(n, d), same, rtol=1e-9)  # rounding in exp and log


@pytest.mark.parametrize("law", ["power_law", "pure_power_law", "shifted_power_law"])
def test_a_curve_in_public_constants_predicts_the_same(law):
    table = pd.DataFrame(LADDER.table[["train_flops", "loss"]])
    for member in members(records_from_table(table), law):
        c = np.array([1e19, 1e22])
        same = np.exp(member.log_loss(np.log(c)[:, None]))
        np.testing.assert_allclose(public_law(member).loss(c), same, rtol=1e-9)


def test_a_form_without_public_law_gives_none():
    table = pd.DataFrame(LADDER.table[["train_flops", "loss"]])
    (member,) = members(records_from_table(table), "saturating_power_law")
    assert public_law(member) is None
    none = [m for m in members(LADDER, "skaling") if m.candidate.form in (BENDING, BADLY_TUNED)]
    assert [public_law(m) for m in none] == [None, None, None]
