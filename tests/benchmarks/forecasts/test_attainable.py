"""The forecaster that knows the simulator: `benchmarks.forecasts.attainable`."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks.forecasts import attainable
from benchmarks.forecasts.attainable import HALF_NORMAL_MEAN, Runs, drawn, log_likelihood, posterior
from benchmarks.simulated.ladders import KINDS


def some_runs(rng, log_loss=None):
    log_n = np.log(np.repeat([1e7, 3e7, 1e8, 3e8], 3)) + 0.01 * rng.standard_normal(12)
    log_d = np.log(np.tile([2e8, 8e8, 3e9], 4))
    _, which = np.unique(np.round(log_n, 1), return_inverse=True)
    if log_loss is None:
        log_loss = 1.2 + 0.1 * rng.standard_normal(12)
    return Runs(log_n=log_n, log_d=log_d, log_loss=log_loss, of_size=np.eye(which.max() + 1)[which])


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_is_the_normal_density_with_sizes_that_scatter_together(kind):
    rng = np.random.default_rng(0)
    runs = some_runs(rng)
    z = rng.standard_normal((3, 13))
    made = drawn(kind, z, runs)
    expected = made.truth.log_loss(runs.log_n, runs.log_d) + made.truth.excess(runs.log_compute)
    exact = []
    for mean, noise, by_size in zip(expected, made.noise[:, 0], made.by_size[:, 0], strict=True):
        together = by_size**2 * (1 - HALF_NORMAL_MEAN**2) * runs.of_size @ runs.of_size.T
        covariance = noise**2 * np.eye(12) + together
        shifted = mean + HALF_NORMAL_MEAN * by_size
        exact.append(multivariate_normal.logpdf(runs.log_loss, shifted, covariance))
    constant = -6 * np.log(2 * np.pi)
    np.testing.assert_allclose(log_likelihood(kind, z, runs) + constant, exact, rtol=1e-9)


def test_the_posterior_of_a_clear_ladder_holds_its_own_noise_and_exponents(monkeypatch):
    monkeypatch.setattr(attainable, "PARTICLES", 300)
    rng = np.random.default_rng(1)
    runs = some_runs(rng)
    truth = drawn("additive", np.zeros((1, 13)), runs)
    clear = truth.truth.log_loss(runs.log_n, runs.log_d)[0]
    clear = clear + truth.noise[0, 0] * rng.standard_normal(12)
    runs = some_runs(np.random.default_rng(1), log_loss=clear)
    z, _ = posterior("additive", runs, rng)
    # every coordinate of the truth is 0: within three posterior standard deviations
    own = list(attainable.OWN["additive"])
    assert np.all(np.abs(z[:, own].mean(axis=0)) < 3 * z[:, own].std(axis=0))
    # twelve runs with four constants at work tell the noise to about a quarter
    assert z[:, 6].std() < 0.75
