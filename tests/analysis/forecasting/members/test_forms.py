"""Facts about the forms that candidate laws are fitted in: slopes are right, optima are optima."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from analysis.fitting.minimising.models.any_law import AnyLaw
from analysis.forecasting.members import curve_forms as curve
from analysis.forecasting.members import surface_forms as surface
from analysis.forecasting.members.candidates import (
    candidate_of,
    curve_candidates,
    surface_candidates,
)
from analysis.forecasting.members.map_fit import Problem, cluster_worth, solve
from scaling.laws.curves import (
    M4,
    BrokenPowerLaw,
    PowerLaw,
    PurePowerLaw,
    SaturatingPowerLaw,
    ShiftedPowerLaw,
)
from scaling.laws.registry import LAWS
from scaling.laws.surfaces import Chinchilla, Overtraining, Skaling

CANDIDATES = (*surface_candidates(), *curve_candidates())
FORECASTABLE = [
    law for law in LAWS.values() if law.inputs == ("params", "tokens") or len(law.inputs) == 1
]
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


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.name)
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
    solution = solve(problem, candidate.form.starts(x, y, np.ones(60)))
    fitted = candidate.form.evaluate(solution.theta[None], x)[0][0]
    # the prior pulls by a few runs' worth at the smallest residual scale, 5e-4
    assert np.max(np.abs(y - fitted)) < 1e-3


def law_of_the_coordinates(candidate, theta):
    """The candidate's law in its own constants, for runs centred at one and a lowest loss of 1."""
    values = dict(zip(candidate.form.parameters, theta, strict=True))
    e = {name: np.exp(value) for name, value in values.items()}
    if candidate.form in SURFACES:
        a, b, alpha, beta, k = (float(c[0]) for c in candidate.form.constants(theta[None]))
        size, data = {"E": e["floor"], "A": np.exp(a)}, {"B": np.exp(b)}
        if candidate.law is Overtraining:
            return Overtraining(**size, **data, alpha=alpha)
        if candidate.law is Chinchilla:
            return Chinchilla(**size, **data, alpha=alpha, beta=beta)
        return Skaling(**size, R=np.exp((b - a) / k), alpha=alpha / k, beta=beta / k, k=k)
    if candidate.law is BrokenPowerLaw:
        bend = {"c0": e["log_c0"], "c1": values["c1"], "d1": e["d"], "f1": e["log_f"]}
        return BrokenPowerLaw(a=e.get("floor", 0.0), b=e["a"], **bend)
    if candidate.law is SaturatingPowerLaw:
        return SaturatingPowerLaw(a=e["a"], g=e["log_g"], k=e["log_c"])
    if candidate.law is M4:
        k, height = e["log_k"], e["height"]
        a = e["a"] * height ** (1 - k)
        return M4(a=a, b=-e["log_c"], c=e["floor"], L0=e["floor"] + height, k=k)
    power = {"a": e["a"], "b": -e["log_c"]}
    if candidate.law is PurePowerLaw:
        return PurePowerLaw(**power)
    if candidate.law is ShiftedPowerLaw:
        return ShiftedPowerLaw(**power, c=e["floor"], s=e["log_s"])
    return PowerLaw(**power, c=e["floor"])


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.name)
def test_a_candidate_is_the_law_that_it_names(candidate):
    rng = np.random.default_rng(4)
    x = rng.uniform(-4, 1, size=(20, 2 if candidate.form in SURFACES else 1))
    theta = candidate.prior_mean.copy()
    # two candidates are the coupled law and a term of their own: here that term is nought
    for name, nought in (("bend", 0.0), ("log_excess", -800.0)):
        if name in candidate.form.parameters:
            theta[candidate.form.parameters.index(name)] = nought
    mine = candidate.form.evaluate(theta[None], x)[0][0]
    law = law_of_the_coordinates(candidate, theta)
    np.testing.assert_allclose(mine, np.log(law.loss(*np.exp(x).T)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("law", FORECASTABLE, ids=lambda law: law.name)
def test_a_law_of_its_own_making_predicts_what_its_formula_says(law):
    candidate, runs = candidate_of(law), law.example_runs()
    log_x = np.log(np.column_stack([runs[name] for name in law.inputs]))
    centre, lowest = log_x.mean(axis=0), 0.7
    form = candidate.form.on(centre, lowest)
    model = AnyLaw(law, tuple(np.exp(log_x).T), {})
    coordinates = dict(
        zip(law.constant_names(), model.to_coordinates(law.example().constants()), strict=True)
    )
    if law.floor is not None:
        coordinates[law.floor] -= lowest
        assert form.parameters[0] == "floor"
    theta = np.array([[coordinates[name] for name in form.constants]])
    value, jacobian = form.evaluate(theta, log_x - centre)
    losses = law.example().loss(*np.exp(log_x).T)
    np.testing.assert_allclose(value[0] + lowest, np.log(losses), rtol=1e-12, atol=1e-12)
    for j in range(theta.shape[1]):
        step = 1e-6 * max(abs(theta[0, j]), 1e-2) * np.eye(theta.shape[1])[j]
        up, down = (form.values(theta + s, log_x - centre)[0] for s in (step, -step))
        slope = (up - down) / (2 * step[j])
        # central differences: rounding over the step
        np.testing.assert_allclose(jacobian[0, :, j], slope, atol=2e-7)


def test_the_best_split_that_is_searched_is_the_one_in_closed_form():
    law = Chinchilla.example()
    form = candidate_of(Chinchilla).form.on(np.zeros(2), 0.0)
    theta = np.array([[np.log(law.E), np.log(law.A), np.log(law.B), law.alpha, law.beta]])
    flops = np.array([1e18, 1e21])
    found = form.best_split(theta, np.log(flops / 6))[0]
    # a parabola over two steps of 0.05 in ln params
    np.testing.assert_allclose(found, np.log(law.optimal_params(flops)), atol=1e-3)
    assert not form.without_best_split(found, np.log(flops / 6)).any()


def test_a_law_that_would_spend_all_on_data_has_no_best_split():
    form = candidate_of(Chinchilla).form.on(np.zeros(2), 0.0)
    theta = np.array([[0.0, -700.0, 3.0, 0.3, 0.3]])  # the term in size is nought
    total = np.array([40.0])
    assert form.without_best_split(form.best_split(theta, total), total).all()


def test_one_wild_run_moves_the_fit_less_than_its_own_error_over_the_runs():
    candidate = surface_candidates()[0]
    rng = np.random.default_rng(2)
    x = rng.uniform(-5, 0.5, size=(40, 2))
    y = candidate.form.evaluate(candidate.prior_mean[None], x)[0][0]
    y = y + 0.003 * rng.normal(size=40)
    starts = candidate.form.starts(x, y, np.ones(40))

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
