"""What the runs alone allow: truths lie inside, a bend breaks it, bands hold what they say."""

import numpy as np
import pytest

from analysis.forecasting.answer.certificate import certificates, farthest_of, sum_of
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.intervals import Interval
from analysis.text.forecasting import forecast_text
from scaling.laws.surfaces import Chinchilla
from scaling.simulate import isoflop_runs, simulate_records

NOISE, LEVEL = 0.004, 0.9
TRUTH = Chinchilla(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
RUNS = isoflop_runs(np.geomspace(1e18, 3e19, 4), [0.4, 1.0, 2.5], TRUTH)
ASKED = ForecastOptions(certificate=True)


def curve(losses, log_x, repeats=1):
    """A ladder of one input."""
    losses, log_x = (np.repeat(values, repeats) for values in (losses, log_x))
    return Ladder(
        inputs=("train_flops",),
        log_inputs=log_x[:, None],
        log_loss=np.log(losses),
        log_compute=log_x,
        configuration=np.repeat(np.arange(len(losses) // repeats), repeats),
    )


def held(certificate, truth):
    return certificate.range.low <= truth <= certificate.range.high


LOG_X = np.log(np.geomspace(1e17, 1e20, 9))
TARGET = np.log([[1e21]])


def decay(log_x):
    """A floor, and two powers above it."""
    return 1.7 + 700 * np.exp(-0.16 * log_x) + 30 * np.exp(-0.07 * log_x)


def test_a_sum_of_powers_without_noise_is_hemmed_in():
    (found,) = certificates(curve(decay(LOG_X), LOG_X), TARGET, 1e-5, LEVEL)
    truth = float(decay(TARGET[0, 0]))
    assert held(found, truth)
    assert found.range.high / found.range.low < 1.005
    assert found.smallest_band < found.band  # the truth is a mixture but for the grid of exponents


def test_one_more_decade_is_less_certain():
    targets = np.log([[1e21], [1e22], [1e23]])
    found = certificates(curve(decay(LOG_X), LOG_X), targets, NOISE, LEVEL)
    widths = [np.log(one.range.high / one.range.low) for one in found]
    assert widths == sorted(widths)
    assert all(held(one, float(decay(x[0]))) for one, x in zip(found, targets, strict=True))


def test_losses_that_bend_down_are_no_such_sum():
    bent = np.exp(1.2 - 0.004 * (LOG_X - LOG_X[0]) ** 2)
    (found,) = certificates(curve(bent, LOG_X), TARGET, 0.001, LEVEL)
    assert found.range is None
    assert found.smallest_band > 3 * found.band
    said = found.line(Interval(2.0, 2.1), 0.9)
    assert "no such sum" in said and f"{found.smallest_band:.2%}" in said
    # with as much noise as it asks for, some sum is within the bands again
    allowed = 0.001 * found.smallest_band / found.band
    (wider,) = certificates(curve(bent, LOG_X), TARGET, 1.001 * allowed, LEVEL)
    assert wider.range is not None


def test_repeats_of_the_runs_narrow_the_range():
    one, many = (
        certificates(curve(decay(LOG_X), LOG_X, repeats), TARGET, NOISE, LEVEL)[0]
        for repeats in (1, 9)
    )
    ratio = (many.range.high - many.range.low) / (one.range.high - one.range.low)
    # A mean of nine runs has a third of the error; weights that would be negative cost the rest.
    assert 1 / 3 < ratio < 1 / 2


def test_bands_hold_normal_errors_as_often_as_they_say():
    errors = np.abs(np.random.default_rng(0).normal(size=(20_000, 8)))
    # four standard errors of a share of 95% in 20,000 draws are .6%
    assert np.mean(errors.max(axis=1) <= farthest_of(8, 0.95)) == pytest.approx(0.95, abs=0.006)
    assert np.mean(errors.sum(axis=1) <= sum_of(8, 0.95)) == pytest.approx(0.95, abs=0.006)


def covered(seeds):
    """How often the truth of a surface lies inside, a decade beyond its largest budget."""
    n = TRUTH.optimal_params(3e20)
    target = np.log([[n, 3e20 / (6 * n)]])
    truth = float(TRUTH.loss(n, 3e20 / (6 * n)))
    inside = []
    for seed in seeds:
        made = simulate_records(TRUTH, RUNS, relative_noise=NOISE, seed=seed)
        logs = [np.log(made.column(name)) for name in ("params", "tokens", "loss")]
        ladder = Ladder(
            inputs=("params", "tokens"),
            log_inputs=np.column_stack(logs[:2]),
            log_loss=logs[2],
            log_compute=np.log(6) + logs[0] + logs[1],
        )
        (found,) = certificates(ladder, target, NOISE, LEVEL)
        inside.append(found.range is not None and held(found, truth))
    return np.mean(inside)


def test_the_truth_of_noisy_ladders_lies_inside_as_often_as_asked():
    assert covered(range(20)) >= LEVEL


@pytest.mark.slow
def test_it_does_so_on_many_ladders():
    assert covered(range(100, 250)) >= LEVEL


@pytest.fixture(scope="module")
def answer():
    made = simulate_records(TRUTH, RUNS, relative_noise=NOISE, seed=3)
    return forecast(made, Targets.flops(1e20, 3e20), options=ASKED)


def test_a_forecast_says_it_beside_the_interval(answer):
    text = forecast_text(answer)
    assert "any sum of powers" in text and "standard deviations of" in text
    for target in answer.targets:
        allowed = target.certificate
        wider = np.ptp(allowed.range) > np.ptp(target.intervals[0.9])
        assert ("a choice of laws" in target.certified) is bool(wider)
        assert allowed.range.low < target.median < allowed.range.high
    assert "certificate" not in forecast_text(answer, alone=True)


def test_it_survives_json_and_is_not_there_unasked(answer):
    again = Forecast.from_json(answer.to_json())
    assert [t.certificate for t in again.targets] == [t.certificate for t in answer.targets]
    unasked = forecast(answer.records, Targets.flops(1e20))
    assert "certificate" not in unasked.to_json()
    assert unasked.targets[0].median == answer.targets[0].median


def test_an_unsupported_target_has_a_range_of_two_digits(answer):
    far = forecast(answer.records, Targets.flops(1e26), options=ASKED)
    (target,) = far.in_meaningful_digits().targets
    assert target.median is None
    assert all(float(f"{end:.2g}") == end for end in target.certificate.range)
