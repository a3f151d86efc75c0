"""Facts about losses that follow their runs' sizes, and losses that do not."""

import numpy as np
import pytest

from analysis.approaches.envelope import fit_envelope
from analysis.approaches.isoflop import fit_isoflop
from analysis.fitting.fit import fit_as_asked
from analysis.fitting.measurements.signal import no_signal
from analysis.fitting.policy import fit_law
from scaling.errors import FitError
from scaling.laws.surfaces import Chinchilla
from scaling.records import records_from_table
from scaling.simulate import isoflop_runs, simulate_records

TRUTH = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)


@pytest.fixture(scope="module")
def clean():
    runs = isoflop_runs([1e18, 4e18, 1.6e19, 6.4e19], [0.35, 0.7, 1.4, 2.8], TRUTH)
    return simulate_records(TRUTH, runs, relative_noise=0.01, seed=5)


def logs(records):
    names = ("params", "tokens")
    return np.log(np.column_stack([records.column(name) for name in names]))


def test_runs_with_one_percent_of_noise_carry_an_answer(clean):
    assert no_signal(logs(clean), np.log(clean.column("loss"))) is None


def test_noise_waves_steps_and_two_units_carry_none():
    rng, x = np.random.default_rng(0), np.linspace(0, 7, 24)[:, None]
    fall = np.log(1.7 + np.exp(-0.3 * x[:, 0]))
    kinds = {
        "noise": np.log(rng.uniform(2, 4, 24)),
        "small noise": np.log(rng.uniform(3, 3.1, 24)),
        "rising": 0.1 * x[:, 0],
        "a wave": np.log(3 + np.sin(2 * x[:, 0])),
        "a step": np.where(x[:, 0] < 3, 1.2, 0.8),
        "half in bits": fall - np.log(np.log(2)) * (np.arange(24) % 2),
    }
    assert [name for name, loss in kinds.items() if no_signal(x, loss) is None] == []
    assert no_signal(x, fall + 0.01 * rng.standard_normal(24)) is None


def test_runs_that_contradict_each_other_carry_none_and_one_bad_run_is_no_contradiction():
    n, d = (v.ravel() for v in np.meshgrid(np.logspace(6, 9, 6), np.logspace(8, 11, 6)))
    x, loss = np.log(np.column_stack([n, d])), np.log(TRUTH.loss(n, d))
    assert no_signal(x, loss) is None
    other = loss + np.where(np.arange(36) // 6 % 2, 0.21, 0.0)  # half of them on another corpus
    assert "contradict" in no_signal(x, other).text
    bad = loss.copy()
    bad[-1] += 0.5  # the largest run ends far above the others
    assert no_signal(x, bad) is None


def test_losses_that_rise_again_carry_none_and_a_plateau_or_one_bad_run_is_no_rise():
    rng, x = np.random.default_rng(0), np.linspace(0, 4, 32)[:, None]
    fall, noise = np.log(2.0 + 2 * np.exp(-2 * x[:, 0])), 0.01 * rng.standard_normal(32)
    assert no_signal(x, fall + noise) is None
    again = fall + noise + 0.04 * np.maximum(x[:, 0] - 2.5, 0)  # to 6% above the lowest
    assert "rises again" in no_signal(x, again).text
    bad = fall + noise
    bad[-1] += 0.06
    assert no_signal(x, bad) is None


def test_losses_that_rise_again_with_tokens_alone_carry_none():
    n, d = (np.log(v.ravel()) for v in np.meshgrid(np.logspace(6, 9, 7), np.logspace(8, 11, 7)))
    x, loss = np.column_stack([n, d]), np.log(TRUTH.loss(np.exp(n), np.exp(d)))
    noise = 0.01 * np.random.default_rng(0).standard_normal(49)
    assert no_signal(x, loss + noise) is None
    overfitted = np.maximum(d - np.log(1e10), 0) * 0.06
    assert "rises again" in no_signal(x, loss + noise + overfitted).text


@pytest.mark.parametrize("approach", [fit_envelope, fit_isoflop])
def test_an_approach_gives_no_exponent_of_losses_that_follow_no_law(clean, approach):
    drawn = np.sort(np.random.default_rng(0).uniform(2, 4, len(clean.table)))[::-1]
    mixed = np.where(np.arange(len(drawn)) % 2, drawn, drawn.mean())
    noise = records_from_table(clean.table.assign(loss=mixed), source="noise.csv")
    with pytest.raises(FitError, match="noise"):
        approach(noise, bootstrap=10)


def test_three_points_tell_no_law(clean):
    few = records_from_table(clean.table.iloc[[0, 5, 15]], source="few.csv")
    with pytest.raises(FitError, match="3 different configurations tell no law"):
        fit_law(few, "power_law", bootstrap=0)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"fix": {"alpha": -1.0}}, "does not fall with params"),
        ({"expressions": {"beta": "-1"}}, "does not fall with tokens"),
        ({"expressions": {"beta": "1e308 * 1e308"}}, "no finite number|finite"),
        ({"fix": {"alpha": 1e300}}, "searched from"),
    ],
)
def test_constants_by_which_more_does_not_help_are_refused(clean, how, said):
    with pytest.raises(FitError, match=said):
        fit_as_asked(clean, "chinchilla", bootstrap=0, **how)


def test_an_estimate_lies_in_its_interval_and_only_converged_refits_make_it(clean):
    fit = fit_as_asked(clean, "chinchilla", bootstrap=40, card=False)
    assert fit.n_draws == 40
    assert len(fit.draws.E) == fit.n_draws_converged
    for value in fit.constants.values():
        assert not value.low > value.estimate and not value.estimate > value.high
