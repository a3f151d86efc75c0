"""Facts that hold for a fit of every law: recovery, derivatives, units, copies of the table."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.minimising.law_on_runs import model_of
from analysis.fitting.minimising.models.any_law import AnyLaw
from analysis.fitting.minimising.penalties import PENALTIES, penalty_named
from scaling.laws.of_other_inputs.encoder_decoder import EncoderDecoderLaw
from scaling.laws.registry import LAWS
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode, first_of
from scaling.records import Records
from scaling.simulate import simulate_records

#: these two have long flat valleys; their losses come back, their constants only without noise
FLAT = {"m4", "broken_power_law_2"}
#: nine constants by complex steps: 200 refits take five seconds
SLOW = {"farseer": pytest.param("farseer", marks=pytest.mark.slow)}


def records_of(name, **noise):
    return simulate_records(LAWS[name].example(), LAWS[name].example_runs(), **noise)


def inputs_of(name):
    return tuple(LAWS[name].example_runs()[column] for column in LAWS[name].inputs)


@cache
def noisy_fit(name, bootstrap):
    """A fit to losses with noise of 0.3%."""
    records = records_of(name, relative_noise=0.003, seed=1)
    how = {"objective": "least_squares", "card": False, "confidence_level": 0.999}
    return fit_as_asked(records, name, bootstrap=bootstrap, **how)


@pytest.mark.parametrize("name", LAWS)
def test_a_noiseless_fit_returns_the_law_that_made_the_data(name):
    fit = fit_as_asked(records_of(name), name, objective="least_squares", bootstrap=0, card=False)
    truth = LAWS[name].example().constants()
    for constant, value in fit.law.constants().items():
        # the losses carry 1e-16; the conditioning of the law multiplies it, worst for m4
        assert value == pytest.approx(truth[constant], rel=1e-3 if name in FLAT else 1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_a_fit_to_noisy_losses_predicts_within_the_noise(name):
    noise = 0.003
    fit = noisy_fit(name, 0 if name in FLAT | SLOW.keys() else 200)
    inputs = inputs_of(name)
    error = np.log(fit.law.loss(*inputs) / LAWS[name].example().loss(*inputs))
    constants, runs = len(fit.law.constants()), len(inputs[0])
    # least squares leaves p / n of the noise in the fitted values; twice that for 3 sigma
    assert np.sqrt(np.mean(error**2)) < 2 * noise * np.sqrt(constants / runs)
    # and it cannot be worse than the truth
    assert np.std(fit.log_residuals) <= noise * 1.3


@pytest.mark.parametrize("name", [SLOW.get(n, n) for n in sorted(set(LAWS) - FLAT)])
def test_intervals_from_noisy_losses_hold_the_truth(name):
    fit = noisy_fit(name, 200)
    truth = LAWS[name].example().constants()
    inside = [
        low <= truth[c] <= high for c, (_, _, low, high) in fit.constants.items()
    ]  # 99.9% of 200 draws is nearly their range; one seed, so no constant may be outside
    assert all(inside)


@pytest.mark.parametrize("name", ["chinchilla", "overtraining", "skaling", "power_law"])
def test_counting_in_billions_changes_no_exponent(name):
    records = records_of(name, relative_noise=0.003, seed=2)
    law = LAWS[name]
    table = records.table.assign(**{c: records.table[c] / 1e9 for c in law.inputs})
    settings = {"objective": "least_squares", "bootstrap": 0, "card": False}
    one = fit_as_asked(records, name, **settings).law.constants()
    two = fit_as_asked(replace(records, table=table), name, **settings).law.constants()
    for exponent in {"alpha", "beta", "b", "k"} & set(one):
        assert two[exponent] == pytest.approx(one[exponent], rel=1e-5)  # solver tolerance
    assert two[law.floor] == pytest.approx(one[law.floor], rel=1e-5)


@pytest.mark.parametrize("objective", PENALTIES)
@pytest.mark.parametrize("name", LAWS)
def test_gradients_agree_with_finite_differences(name, objective):
    inputs = inputs_of(name)
    model, goal = model_of(LAWS[name], inputs, {}), penalty_named(objective, huber_delta=1e-2)
    theta = model.to_coordinates(LAWS[name].example().constants())
    rng = np.random.default_rng(0)
    # residuals stay away from the kinks at 0 and at delta, where no derivative exists
    log_loss = model.log_prediction(theta[None])[0] + rng.choice(
        [-0.03, 0.004, 0.05], len(inputs[0])
    )
    weights = rng.uniform(0.5, 2, len(log_loss))
    value, gradient, hessian = model.derivatives(goal)(theta[None], weights[None], log_loss[None])

    def at(point):
        predicted = model.log_prediction(point[None])[0]
        return float((goal.value(predicted, log_loss) * weights).sum())

    def slope_at(point):
        return model.derivatives(goal)(point[None], weights[None], log_loss[None])[1][0]

    assert value[0] == pytest.approx(at(theta), rel=1e-12)
    step = 1e-6
    for j in range(len(theta)):
        shift = step * np.eye(len(theta))[j]
        numeric = (at(theta + shift) - at(theta - shift)) / (2 * step)
        scale = np.abs(gradient[0]).max()
        assert gradient[0, j] == pytest.approx(numeric, abs=1e-6 * scale)  # step**2 and rounding
        second = (slope_at(theta + shift) - slope_at(theta - shift)) / (2 * step)
        # a straight line under absolute errors has no curvature at all, but for rounding
        atol = 2e-4 * np.abs(hessian).max() + 1e-12
        np.testing.assert_allclose(hessian[0, j], second, atol=atol)


@pytest.mark.parametrize("fixed", [{}, {"E": 0.0}, {"E": 1.5}, {"alpha": 0.3, "B": 500.0}])
def test_the_fast_model_agrees_with_the_general_one(fixed):
    inputs = inputs_of("chinchilla")
    fast, general = (
        model_of(LAWS["chinchilla"], inputs, fixed),
        AnyLaw(LAWS["chinchilla"], inputs, fixed),
    )
    theta = fast.to_coordinates(Chinchilla.example().constants())[None]
    log_loss = np.log(Chinchilla.example().loss(*inputs))[None] * 1.01
    goal, ones = penalty_named("least_squares"), np.ones_like(log_loss)
    for a, b in zip(
        fast.derivatives(goal)(theta, ones, log_loss),
        general.derivatives(goal)(theta, ones, log_loss),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())  # the general Hessian's step
    np.testing.assert_allclose(fast.jacobian(theta[0]), general.jacobian(theta[0]), rtol=1e-10)


@pytest.mark.parametrize("name", LAWS)
def test_coordinates_and_constants_are_inverse(name):
    model = model_of(LAWS[name], inputs_of(name), {})
    truth = LAWS[name].example().constants()
    back = model.to_constants(model.to_coordinates(truth))
    assert {k: float(v) for k, v in back.items()} == pytest.approx(truth, rel=1e-13)  # exp, log


def test_weights_of_two_equal_a_second_copy_of_the_runs():
    records = records_of("chinchilla", relative_noise=0.003, seed=2)
    twice = np.where(np.arange(len(records)) < 20, 2.0, 1.0)
    copied = records.table.loc[records.table.index.repeat(twice.astype(int))]
    weighted = fit_as_asked(records, "chinchilla", weights=twice, bootstrap=0, card=False)
    doubled = fit_as_asked(
        replace(records, table=copied.reset_index(drop=True)), "chinchilla", bootstrap=0, card=False
    )
    for name, value in weighted.law.constants().items():
        assert doubled.law.constants()[name] == pytest.approx(value, rel=1e-6)  # solver tolerance


def test_the_order_of_runs_does_not_matter():
    records = records_of("chinchilla", relative_noise=0.003, seed=2)
    shuffled = replace(records, table=records.table.sample(frac=1, random_state=0))
    one, two = (fit_as_asked(r, "chinchilla", bootstrap=0, card=False) for r in (records, shuffled))
    for name, value in one.law.constants().items():
        assert two.law.constants()[name] == pytest.approx(value, rel=1e-6)  # solver tolerance


def test_an_outlier_moves_least_squares_far_more_than_huber():
    records = records_of("chinchilla", relative_noise=0.001, seed=2)
    spoiled = records.table.copy()
    spoiled.loc[30, "loss"] *= 1.3

    def shift(objective):
        clean = fit_as_asked(records, "chinchilla", objective=objective, bootstrap=0, card=False)
        dirty = fit_as_asked(
            replace(records, table=spoiled),
            "chinchilla",
            objective=objective,
            bootstrap=0,
            card=False,
        )
        return abs(clean.law.alpha - dirty.law.alpha)

    assert shift("huber") < 0.1 * shift("least_squares")


def test_the_asymmetric_penalty_resists_badly_tuned_runs():
    records = records_of("chinchilla", relative_noise=0.001, seed=2)
    spoiled = records.table.copy()
    spoiled.loc[::3, "loss"] *= 1.05  # a third of the runs is under-trained
    spoiled = replace(records, table=spoiled)
    truth = Chinchilla.example().loss(*inputs_of("chinchilla"))

    def bias(objective):
        law = fit_as_asked(spoiled, "chinchilla", objective=objective, bootstrap=0, card=False).law
        return np.mean(np.log(law.loss(*inputs_of("chinchilla")) / truth))

    assert abs(bias("asymmetric")) < 0.5 * abs(bias("least_squares"))


def test_a_law_of_sizes_says_that_it_reads_nothing_of_lengths_that_differ():
    law = EncoderDecoderLaw.example()
    runs = EncoderDecoderLaw.example_runs()
    lengths = np.where(np.arange(len(runs["params_encoder"])) % 2, 1e9, 3e9)

    def limit(tokens):
        records = simulate_records(law, runs)
        records = Records(records.table.assign(tokens=tokens), source="here")
        fit = fit_as_asked(records, law.name, bootstrap=0, card=False)
        return first_of(LimitCode.UNREAD, fit.limits)

    assert limit(1e9) is None
    assert limit(lengths * 0 + 1e9 * np.geomspace(1, 1.04, len(lengths))) is None  # whole steps
    said = limit(lengths)
    assert said.text.startswith("the runs have 1e+09 to 3e+09 tokens, of which a law of params_enc")


def test_the_share_of_the_encoder_is_where_both_sizes_together_do_most():
    law = EncoderDecoderLaw.example()
    encoder = np.linspace(0.01, 0.99, 981) * 1e8
    best = encoder[np.argmin(law.loss(encoder, 1e8 - encoder))]
    assert law.derived()["encoder_share"] == pytest.approx(best / 1e8, abs=1e-3)  # the grid's step
