"""Facts about laws of a run whose learning rate is known at every step."""

import numpy as np
import pytest

from analysis.forecasting.members import curve_forms as curve
from analysis.forecasting.members.annealed_forms import AnnealedForm, LearningRates

STEPS = np.linspace(10, 1000, 100)
FALLING = LearningRates.of(STEPS, np.clip((1000 - STEPS) / 500, 0, 1))
CONSTANT = LearningRates.of(STEPS, np.full(100, 0.02))


def form_of(rates, base=curve.FLOORED):
    return AnnealedForm(base=base, rates=rates).on(np.array([np.log(200.0)]), 0.0)


@pytest.mark.parametrize("base", [curve.FLOORED, curve.BROKEN, curve.BOUNDED], ids=lambda f: f.name)
def test_the_analytic_jacobian_is_the_slope_of_the_form(base):
    form, rng = form_of(FALLING, base), np.random.default_rng(0)
    theta = 0.5 * rng.normal(size=(3, len(form.parameters)))
    x = np.log(np.array([[20.0], [150.0], [700.0], [990.0]])) - np.log(200.0)
    jacobian, step = form.evaluate(theta, x)[1], 1e-6
    for j in range(theta.shape[1]):
        shift = np.zeros_like(theta)
        shift[:, j] = step
        up, down = form.evaluate(theta + shift, x)[0], form.evaluate(theta - shift, x)[0]
        # central differences: error about step^2 + rounding / step, both below 1e-8
        np.testing.assert_allclose(jacobian[..., j], (up - down) / (2 * step), atol=1e-7)


def test_at_a_constant_rate_it_is_the_law_without_a_schedule():
    form, theta = form_of(CONSTANT), np.array([[-0.5, -1.0, -1.0]])
    x = np.log(STEPS[3:, None]) - np.log(200.0)
    told = form.values(np.column_stack([theta, [[0.3]]]), x)
    # a grid of 4,000 steps, whose first ends where its rate has been spent
    np.testing.assert_allclose(told, curve.FLOORED.values(theta, x), atol=1e-3)


def test_the_area_spent_and_what_was_annealed_follow_the_schedule():
    log_spent, annealed = FALLING.at(np.log(np.array([500.0, 1000.0])))
    # the peak for 500 steps, half of it on average for 500; one step in 4,000, and rows 10 apart
    np.testing.assert_allclose(np.exp(log_spent), [500, 750], rtol=0.01)
    assert annealed[0] == pytest.approx(0.0, abs=0.01)
    assert annealed[1] == pytest.approx(0.9, abs=0.02)  # the rest comes with its memory
