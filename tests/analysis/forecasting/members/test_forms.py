"""Facts about the forms that candidate laws are fitted in: slopes are right, optima are optima."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from analysis.forecasting.members import curve_forms as curve
from analysis.forecasting.members import surface_forms as surface
from analysis.forecasting.members.candidates import curve_candidates, surface_candidates
from analysis.forecasting.members.curve_forms import curve_starts
from analysis.forecasting.members.map_fit import Problem, cluster_worth, solve
from analysis.forecasting.members.surface_forms import surface_starts

CURVES = (
    curve.POWER,
    curve.FLOORED,
    curve.SHIFTED,
    curve.SATURATING,
    curve.BROKEN,
    curve.FLOORED_BROKEN,
    curve.BOUNDED,
)
SURFACES = (
    surface.COUPLED,
    surface.BENDING,
    surface.BADLY_TUNED,
    surface.ADDITIVE,
    surface.SHARED,
)


@pytest.mark.parametrize("form", (*CURVES, *SURFACES), ids=lambda form: form.name)
def test_the_analytic_jacobian_is_the_slope_of_the_form(form):
    rng = np.random.default_rng(0)
    theta = 0.7 * rng.normal(size=(4, len(form.parameters)))
    x = 2 * rng.normal(size=(6, 1 if form in CURVES else 2))
    jacobian = form.evaluate(theta, x)[1]
    step = 1e-6
    for j in range(theta.shape[1]):
        shift = np.zeros_like(theta)
        shift[:, j] = step
        up, down = form.evaluate(theta + shift, x)[0], form.evaluate(theta - shift, x)[0]
        # central differences: error about step^2 + rounding / step, both below 1e-8
        np.testing.assert_allclose(jacobian[..., j], (up - down) / (2 * step), atol=1e-7)


@pytest.mark.parametrize("form", SURFACES, ids=lambda form: form.name)
def test_the_best_split_of_a_budget_has_lower_loss_than_its_neighbours(form):
    constants = [-0.5, -1.2, -1.6, np.log(0.3), 0.25, -0.4, 0.05, -0.4]
    theta = np.array([constants[: len(form.parameters)]])
    total = np.array([-1.0, 0.0, 3.0])
    best = form.best_split(theta, total)[0]

    def loss(log_params):
        return form.evaluate(theta, np.column_stack([log_params, total - log_params]))[0][0]

    assert np.all(loss(best) < loss(best + 0.05))
    assert np.all(loss(best) < loss(best - 0.05))


def test_the_bounded_form_solves_its_implicit_equation():
    floor, a, log_c, height, log_k = theta = np.array([-0.4, 0.3, np.log(0.4), 0.6, 0.2])
    t = np.linspace(-8, 8, 9)
    loss = np.exp(curve.BOUNDED.evaluate(theta[None], t[:, None])[0][0])
    low, k = np.exp(floor), np.exp(log_k)
    share = (loss - low) / np.exp(height)
    left = np.log(share) - k * np.log(1 - share)
    # the share is lost to rounding in loss - floor, at worst 1e-16 / 1e-2 here
    np.testing.assert_allclose(left, a - np.exp(log_c) * t, atol=1e-9)


@pytest.mark.parametrize(
    "candidate", (*surface_candidates(), *curve_candidates()), ids=lambda c: c.name
)
def test_a_noiseless_fit_returns_the_curve_that_made_the_data(candidate):
    rng = np.random.default_rng(1)
    is_surface = candidate.form in SURFACES
    x = rng.uniform(-6, 0.5, size=(60, 2 if is_surface else 1))
    truth = candidate.prior_mean + 0.3 * candidate.prior_sd
    y = candidate.form.evaluate(truth[None], x)[0][0]
    problem = Problem(
        evaluate=candidate.form.evaluate,
        x=x,
        y=y,
        weights=np.ones(60),
        prior_mean=candidate.prior_mean,
        prior_sd=candidate.prior_sd,
    )
    starts = (surface_starts if is_surface else curve_starts)(candidate.form, x, y, np.ones(60))
    solution = solve(problem, starts)
    # the prior pulls by a few runs' worth at the smallest residual scale, 5e-4
    assert np.max(np.abs(solution.residuals)) < 1e-3


def test_one_wild_run_moves_the_fit_less_than_its_own_error_over_the_runs():
    candidate = surface_candidates()[0]
    rng = np.random.default_rng(2)
    x = rng.uniform(-5, 0.5, size=(40, 2))
    y = candidate.form.evaluate(candidate.prior_mean[None], x)[0][0]
    y = y + 0.003 * rng.normal(size=40)
    starts = surface_starts(candidate.form, x, y, np.ones(40))

    def fitted(losses):
        problem = Problem(
            evaluate=candidate.form.evaluate,
            x=x,
            y=losses,
            weights=np.ones(40),
            prior_mean=candidate.prior_mean,
            prior_sd=candidate.prior_sd,
        )
        return candidate.form.evaluate(solve(problem, starts).theta[None], x)[0][0]

    wild = y.copy()
    wild[7] += 0.5
    # least squares would move the mean prediction by 0.5 / 40
    assert abs(np.mean(fitted(wild) - fitted(y))) < 0.5 / 40 / 5


def test_copies_of_a_run_are_worth_one_run_and_independent_seeds_are_worth_many():
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(500), 4)
    copies = np.repeat(rng.normal(size=500), 4)
    np.testing.assert_allclose(cluster_worth(copies, cluster), 0.25)
    # the estimated correlation of independent residuals is within 3 / sqrt(3000 pairs) of 0
    assert np.all(cluster_worth(rng.normal(size=2000), cluster) > 1 / (1 + 3 * 0.055))


def test_the_evidence_of_a_linear_law_is_its_marginal_likelihood():
    rng = np.random.default_rng(3)
    x = rng.uniform(-3, 1, size=(30, 1))
    features = np.column_stack([np.ones(30), x[:, 0]])
    mean, sd = np.array([0.1, -0.4]), np.array([0.3, 0.2])
    y = features @ (mean + sd * [0.5, -1.0]) + 1e-4 * rng.normal(size=30)

    def evaluate(theta, points):
        columns = np.column_stack([np.ones(len(points)), points[:, 0]])
        return theta @ columns.T, np.tile(columns, (len(theta), 1, 1))

    problem = Problem(
        evaluate=evaluate, x=x, y=y, weights=np.ones(30), prior_mean=mean, prior_sd=sd
    )
    solution = solve(problem, mean[None])
    # residuals of 1e-4 lie within the smallest scale, where Huber's loss is a square
    covariance = solution.scale**2 * np.eye(30) + (features * sd**2) @ features.T
    exact = multivariate_normal.logpdf(y, features @ mean, covariance) + 15 * np.log(2 * np.pi)
    assert solution.log_evidence == pytest.approx(exact, abs=1e-5)  # the Laplace integral is exact
