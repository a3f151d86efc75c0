"""Facts about solving a problem: an equal one is solved once, any other anew."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from analysis.forecasting.members import map_fit
from analysis.forecasting.members.candidates import surface_candidates
from analysis.forecasting.members.map_fit import TRIED_RUNS, Problem, solve, solve_once


@pytest.fixture
def solved(monkeypatch):
    """A function: how many problems are solved when each of these is asked for in turn."""
    calls = []

    def solve(problem, starts):
        calls.append(problem)
        return found(problem, starts)

    found = map_fit.solve
    monkeypatch.setattr(map_fit, "solve", solve)
    monkeypatch.setattr(map_fit, "_kept", {})

    def count(*asked):
        calls.clear()
        for problem, evaluated_by in asked:
            solve_once(problem, partial(np.atleast_2d, problem.prior_mean), evaluated_by)
        return len(calls)

    return count


def test_an_equal_problem_is_solved_once_and_one_that_differs_anywhere_anew(solved):
    candidate = surface_candidates()[0]
    x = np.random.default_rng(0).uniform(-5, 0.5, size=(8, 2))
    problem = Problem(
        evaluate=candidate.form.evaluate,
        x=x,
        y=candidate.form.values(candidate.prior_mean[None], x)[0],
        weights=np.ones(8),
        prior_mean=candidate.prior_mean,
        prior_sd=candidate.prior_sd,
        cluster=np.arange(8),
    )
    again = replace(problem, x=x.copy(), y=problem.y.copy())
    assert solved((problem, "form"), (again, "form")) == 1
    arrays = ("x", "y", "weights", "prior_mean", "prior_sd")
    others = [replace(problem, **{name: getattr(problem, name) * 1.01}) for name in arrays]
    others += [replace(problem, cluster=np.zeros(8, dtype=int)), replace(problem, cluster=None)]
    assert solved(*((other, "form") for other in others), (problem, "another form")) == 8


@pytest.fixture(scope="module")
def long_problem():
    """More runs than starts are tried on, with noise of .5%, and those starts."""
    candidate, rng = surface_candidates()[0], np.random.default_rng(0)
    x = rng.uniform(-5, 0.5, size=(4 * TRIED_RUNS, 2))
    truth = candidate.form.values(candidate.prior_mean[None], x)[0]
    problem = Problem(
        evaluate=candidate.form.evaluate,
        x=x,
        y=truth + rng.normal(0, 0.005, len(x)),
        weights=np.exp(0.25 * x.sum(axis=1)),
        prior_mean=candidate.prior_mean,
        prior_sd=candidate.prior_sd,
    )
    return problem, candidate.form.starts(problem.x, problem.y, problem.weights)


def test_starts_are_tried_on_the_same_runs_in_whatever_order_the_table_has_them(long_problem):
    problem, _ = long_problem
    some, order = problem.of_some_runs, np.random.default_rng(1).permutation(len(problem.y))
    arrays = {name: getattr(problem, name)[order] for name in ("x", "y", "weights")}
    again = replace(problem, **arrays).of_some_runs
    assert len(some.y) == TRIED_RUNS
    assert some.weights.sum() == pytest.approx(problem.weights.sum())
    np.testing.assert_array_equal(again.x, some.x)
    np.testing.assert_array_equal(again.y, some.y)
    assert some.of_some_runs is some


def test_starts_tried_on_some_runs_lead_to_the_fit_that_all_runs_lead_to(long_problem, monkeypatch):
    problem, starts = long_problem
    found = solve(problem, starts)
    monkeypatch.setattr(map_fit, "TRIED_RUNS", len(problem.y))
    whole = solve(problem, starts)
    error = np.sqrt(np.diag(whole.covariance))
    # the searches end at 1e-9 of the objective: far within what the runs tell
    assert np.all(np.abs(found.theta - whole.theta) < 0.05 * error)
    assert found.scale == pytest.approx(whole.scale, rel=1e-2)


def test_what_is_kept_cannot_be_changed(solved):
    candidate = surface_candidates()[0]
    problem = Problem(
        evaluate=candidate.form.evaluate,
        x=np.random.default_rng(0).uniform(-5, 0.5, size=(8, 2)),
        y=np.linspace(0, 1, 8),
        weights=np.ones(8),
        prior_mean=candidate.prior_mean,
        prior_sd=candidate.prior_sd,
    )
    found = solve_once(problem, lambda: problem.prior_mean[None], "form")
    with pytest.raises(ValueError, match="read-only"):
        found.theta[0] = 0.0
