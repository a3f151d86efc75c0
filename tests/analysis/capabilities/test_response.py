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
