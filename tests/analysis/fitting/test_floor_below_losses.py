"""Facts about floors and measured losses: none lies above them, in a fit or in its refits."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.policy import HELD_BELOW_LOSSES, fit_law
from analysis.fitting.result import FitStatus
from scaling.laws.curves import PowerLaw
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table
from scaling.simulate import simulate_records

FLOPS = np.geomspace(1e15, 1e20, 14)


def of_losses(loss, **more):
    return records_from_table(pd.DataFrame({"train_flops": FLOPS, "loss": loss, **more}))


def two_phases():
    """A steep fall to what looks like a floor of 1.7, and from there a slow one."""
    early, late = 4 * (FLOPS / FLOPS[0]) ** -1.0, 0.5 * (FLOPS / FLOPS[0]) ** -0.1
    return of_losses(1.5 + early + late)


def saturated(noise, seed):
    """Most runs have reached a floor of 2; noise puts the lowest of them below it."""
    law, rng = PowerLaw(a=1.0, b=-1.0, c=2.0), np.random.default_rng(seed)
    x = np.geomspace(0.1, 1e6, 40)
    loss = law.loss(x) * np.exp(noise * rng.standard_normal(len(x)))
    return records_from_table(pd.DataFrame({"train_flops": x, "loss": loss}))


def test_a_law_that_levels_off_above_a_measured_loss_is_refused_its_floor():
    records = two_phases()
    lowest = records.column("loss").min()
    fit = fit_law(records, bootstrap=50, card=True)
    assert fit.law.c < lowest
    assert fit.status is FitStatus.AT_BOUND
    assert not fit.floor_identified
    limit = first_of(LimitCode.FLOOR_TOO_HIGH, fit.limits)
    assert limit is not None
    assert "held just below the lowest loss" in limit.text
    assert next(c for c in fit.choices if c.about == "floor").chosen == HELD_BELOW_LOSSES
    assert fit.to_dict()["constants"]["c"]["estimate"] is None


@pytest.mark.parametrize("seed", range(5))
def test_no_refit_has_a_floor_above_losses_by_more_than_three_of_its_standard_errors(seed):
    rng = np.random.default_rng(seed)
    law = PowerLaw(a=40.0, b=-0.3, c=2.0)
    x = np.geomspace(1e2, 1e4, 9)
    loss = law.loss(x) * np.exp(0.01 * rng.standard_normal(9))
    records = records_from_table(pd.DataFrame({"train_flops": x, "loss": loss}))
    free = fit_as_asked(records, objective="least_squares", bootstrap=200, card=False)
    assert free.draws is not None
    assert free.draws.c.max() < 1.05 * loss.min()  # about 3 standard errors of 1%, roughly told
    assert free.n_draws_converged > 150


@pytest.mark.parametrize("seed", range(8))
def test_luck_of_the_lowest_run_does_not_push_a_floor_that_is_reached_down(seed):
    fit = fit_as_asked(saturated(0.01, seed), objective="least_squares", bootstrap=200, card=False)
    assert first_of(LimitCode.FLOOR_TOO_HIGH, fit.limits) is None
    assert fit.law.c > fit.records.column("loss").min()
    assert fit.law.c == pytest.approx(2, abs=0.02)  # six standard errors of a mean of 38


def test_a_floor_that_somebody_holds_or_bounds_is_theirs():
    records = two_phases()
    bounded = fit_as_asked(records, bounds={"c": (0.5, 1.0)}, bootstrap=0, card=False)
    assert first_of(LimitCode.FLOOR_TOO_HIGH, bounded.limits) is None
    assert bounded.law.c == pytest.approx(1.0)


def test_a_fit_says_that_its_floor_is_of_one_validation_set():
    law = PowerLaw(a=900.0, b=-0.15, c=1.8)
    runs = {"train_flops": np.geomspace(1e15, 1e22, 30)}
    records = simulate_records(law, runs, relative_noise=0.001, seed=1)
    fit = fit_law(records, bootstrap=50, card=False)
    limit = first_of(LimitCode.EVALUATION_SHARED, fit.limits)
    assert limit is not None
    lowest = records.column("loss").min()
    (told,) = re.findall(r"error, (\S+) nats", limit.text)
    assert lowest < 1000 * float(told) < 1.3 * lowest  # of the third of the runs that lie lowest
    unknown = replace(records, table=records.table.drop(columns="loss_stderr"))
    fit = fit_law(unknown, bootstrap=50, card=False)
    assert first_of(LimitCode.EVALUATION_SHARED, fit.limits) is None
