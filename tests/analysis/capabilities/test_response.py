"""Facts about the bounded response of a metric."""

import numpy as np
import pytest

from analysis.capabilities.response import angles, fit_response, shares_at

Z = np.linspace(-3, 3, 40)[:, None]
TRUE = 0.25 + 0.6 / (1 + np.exp(-1.5 * (Z[:, 0] - 0.2)))


def test_a_sigmoid_with_floor_and_ceiling_is_found_again():
    noisy = TRUE + np.random.default_rng(0).normal(0, 0.01, len(TRUE))
    response = fit_response(Z, noisy, np.ones(len(Z)))
    assert np.abs(response.shares(Z) - TRUE).max() < 0.02
    assert 0.005 < response.scatter < 0.03


def test_draws_leave_the_range_nowhere_however_far_out():
    response = fit_response(Z, TRUE, np.ones(len(Z)))
    far = np.broadcast_to(np.array([[-1e4], [1e4]]), (200, 2, 1))
    drawn = shares_at(response.draws(far, np.random.default_rng(1)))
    assert drawn.shape == (200, 2) and (drawn >= 0).all() and (drawn <= 1).all()
    assert (drawn[:, 1] > drawn[:, 0]).all()


def test_runs_that_count_little_move_a_fit_little():
    bent = np.where(Z[:, 0] < 0, 0.9, TRUE)
    counts = np.where(Z[:, 0] < 0, 1e-6, 1.0)
    late = Z[:, 0] > 0
    response = fit_response(Z, bent, counts)
    assert np.abs(response.shares(Z) - TRUE)[late].max() < 0.03


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_angles_of_shares_lead_back_to_them(share):
    assert shares_at(angles(np.array([share])))[0] == pytest.approx(share, abs=1e-12)


def test_slopes_of_angles_are_those_of_finite_differences():
    rng = np.random.default_rng(0)
    inputs, step = rng.normal(size=(20, 2)), 1e-6
    shares = 0.2 + 0.7 / (1 + np.exp(-inputs.sum(axis=1)))
    response = fit_response(inputs, shares, np.ones(20))
    theta = response.theta + 0.3

    def at(theta):
        return angles(response.shares(inputs, theta))

    numeric = [(at(theta + step * e) - at(theta - step * e)) / (2 * step) for e in np.eye(5)]
    # rounding over a step of 1e-6
    assert response.angle_slopes(inputs, theta) == pytest.approx(np.transpose(numeric), abs=1e-8)
