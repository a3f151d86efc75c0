"""Facts about bootstrap draws and intervals."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.refits.bootstrap import WEBB_POINTS, cluster_counts
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.simulate import simulate_records

TRUTH = Chinchilla.example()


def noisy(relative_noise=0.004, **more):
    return simulate_records(
        TRUTH, Chinchilla.example_runs(), relative_noise=relative_noise, **{"seed": 1, **more}
    )


def width(fit):
    low, high = fit.interval(lambda law: law.alpha)
    return high - low


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    one, two, other = (
        fit_as_asked(noisy(), "chinchilla", bootstrap=50, seed=s, card=False) for s in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.draws.alpha, two.draws.alpha)
    assert (one.draws.alpha != other.draws.alpha).all()


def test_more_noise_widens_the_interval():
    small, large = (
        fit_as_asked(noisy(n), "chinchilla", bootstrap=200, card=False) for n in (0.001, 0.01)
    )
    assert width(large) > 3 * width(small)


def test_a_higher_level_gives_a_wider_interval():
    fit = fit_as_asked(noisy(), "chinchilla", bootstrap=400, card=False)
    levels = [fit.interval(lambda law: law.E, level) for level in (0.5, 0.8, 0.95)]
    widths = [high - low for low, high in levels]
    assert widths[0] < widths[1] < widths[2]


def test_intervals_of_predictions_have_the_shape_of_the_points():
    fit = fit_as_asked(noisy(), "chinchilla", bootstrap=100, card=False)
    low, high = fit.interval(lambda law: law.loss(params=[1e9, 1e10, 1e11], tokens=1e12))
    best = fit.law.loss(params=[1e9, 1e10, 1e11], tokens=1e12)
    assert low.shape == (3,)
    assert (low < best).all() and (best < high).all()


def test_copies_of_a_configuration_are_resampled_together():
    """Seeds that share their configuration's misfit must not pass for independent evidence."""
    once = noisy(relative_noise=1e-6, run_noise=0.004)
    copied = noisy(relative_noise=1e-6, run_noise=0.004, replicates=8)
    settings = {"objective": "least_squares", "bootstrap": 400, "card": False}
    one = fit_as_asked(once, "chinchilla", **settings)
    eight = fit_as_asked(copied, "chinchilla", **settings)
    rows_apart = fit_as_asked(copied, "chinchilla", cluster="run_id", **settings)
    assert eight.n_configurations == one.n_configurations == 49
    # 400 draws: a width is known to about 5%
    assert width(eight) == pytest.approx(width(one), rel=0.25)
    assert width(rows_apart) < 0.5 * width(one)  # sqrt(8) too narrow


def test_a_cluster_column_is_resampled_whole():
    records = noisy()
    trunks = replace(records, table=records.table.assign(trunk=np.arange(49) // 2))
    fit = fit_as_asked(trunks, "chinchilla", cluster="trunk", bootstrap=50, card=False)
    assert fit.resampling == "pairs"
    few = replace(records, table=records.table.assign(trunk=np.arange(49) // 7))
    assert (
        fit_as_asked(few, "chinchilla", cluster="trunk", bootstrap=50, card=False).resampling
        == "wild"
    )


def test_counts_add_up_and_clusters_stay_together():
    labels = np.repeat(np.arange(30), 2)
    counts = cluster_counts(labels, 30, 100, np.random.default_rng(0))
    assert (counts[:, ::2].sum(axis=1) == 30).all()
    np.testing.assert_array_equal(counts[:, ::2], counts[:, 1::2])


def test_webb_weights_have_mean_zero_and_variance_one():
    assert WEBB_POINTS.mean() == pytest.approx(0, abs=1e-15)
    assert (WEBB_POINTS**2).mean() == pytest.approx(1)


@pytest.mark.parametrize("resampling", ["wild", "normal"])
def test_other_kinds_of_draws_agree_with_pairs_on_many_clean_runs(resampling):
    settings = {"objective": "least_squares", "bootstrap": 600, "card": False}
    pairs = fit_as_asked(noisy(), "chinchilla", resampling="pairs", **settings)
    other = fit_as_asked(noisy(), "chinchilla", resampling=resampling, **settings)
    assert other.resampling == resampling
    # 49 runs, five constants: the kinds agree to about a quarter
    assert width(other) == pytest.approx(width(pairs), rel=0.35)


def test_a_fit_without_draws_says_so_when_asked_for_an_interval():
    from scaling.errors import FitError

    fit = fit_as_asked(noisy(), "chinchilla", bootstrap=0, card=False)
    assert np.isnan(fit.constants["E"].low)
    with pytest.raises(FitError, match="no bootstrap draws"):
        fit.interval(lambda law: law.E)


def coverage(fits, truth, quantity):
    inside = 0
    for fit in fits:
        low, high = fit.interval(quantity, 0.9)
        inside += bool(low <= quantity(truth) <= high)
    return inside


@pytest.mark.slow
def test_ninety_percent_intervals_cover_the_truth_about_ninety_times_in_a_hundred():
    fits = [
        fit_as_asked(
            noisy(seed=s), "chinchilla", objective="least_squares", bootstrap=300, card=False
        )
        for s in range(200)
    ]
    # three standard deviations of binomial(200, 0.9) are 13; percentile intervals of pairs are a
    # little short with 49 runs
    assert 155 <= coverage(fits, TRUTH, lambda law: law.alpha) <= 193
    assert 155 <= coverage(fits, TRUTH, lambda law: law.loss(1e11, 1e13)) <= 193


@pytest.mark.slow
def test_few_budgets_keep_their_coverage_with_the_wild_bootstrap():
    truth = PowerLaw(a=900.0, b=-0.15, c=1.7)
    runs = {"train_flops": np.repeat(np.geomspace(1e17, 1e20, 8), 2)}
    fits = []
    for seed in range(200):
        records = simulate_records(truth, runs, relative_noise=0.003, seed=seed)
        fits.append(fit_as_asked(records, objective="least_squares", bootstrap=300, card=False))
    assert {fit.resampling for fit in fits} == {"wild"}
    covered = coverage(fits, truth, lambda law: law.loss(1e21))
    assert 155 <= covered <= 193  # as above
