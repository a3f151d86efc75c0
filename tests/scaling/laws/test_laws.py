"""Facts about laws as values: shapes, limits, monotonicity, published numbers."""

import dataclasses

import numpy as np
import pytest

from scaling.errors import FitError
from scaling.laws.curves import M4, PowerLaw
from scaling.laws.registry import LAWS, law_named
from scaling.laws.surfaces import Chinchilla, DataConstrained, Overtraining, Skaling
from scaling.simulate import EXAMPLES, example_runs

HOFFMANN = EXAMPLES["chinchilla"]


def inputs_of(name):
    return tuple(example_runs(name)[column] for column in LAWS[name].inputs)


def test_every_law_has_an_example():
    assert set(EXAMPLES) == set(LAWS)


@pytest.mark.parametrize("name", LAWS)
def test_loss_has_the_shape_of_the_constants_then_of_the_inputs(name):
    law, inputs = EXAMPLES[name], inputs_of(name)
    runs = len(inputs[0])
    draws = type(law)(**{k: np.full((4,), v) for k, v in law.constants().items()})
    assert law.loss(*inputs).shape == (runs,)
    assert law.loss(*(v[0] for v in inputs)).shape == ()
    assert draws.loss(*inputs).shape == (4, runs)
    np.testing.assert_array_equal(draws.loss(*inputs)[2], law.loss(*inputs))


@pytest.mark.parametrize("name", LAWS)
def test_every_law_falls_as_any_input_grows(name):
    law, inputs = EXAMPLES[name], inputs_of(name)
    for i, column in enumerate(law.inputs):
        if column == "unique_tokens":
            continue  # more unique tokens than tokens change nothing
        grown = tuple(v * 1.5 if i == j else v for j, v in enumerate(inputs))
        before, after = law.loss(*inputs), law.loss(*grown)
        # data_constrained saturates: a hundred times the useful size changes no digit
        assert (after <= before * (1 + 1e-15)).all()
        assert (after < before).mean() > (0.7 if name == "data_constrained" else 0.999)


@pytest.mark.parametrize("name", LAWS)
def test_every_law_stays_above_its_floor(name):
    law = EXAMPLES[name]
    huge = tuple(v * 1e6 for v in inputs_of(name))
    assert (law.loss(*huge) > getattr(law, law.floor)).all()


@pytest.mark.parametrize("name", LAWS)
def test_inputs_can_be_given_by_name(name):
    law, inputs = EXAMPLES[name], inputs_of(name)
    by_name = law.loss(**dict(zip(law.inputs, inputs, strict=True)))
    np.testing.assert_array_equal(by_name, law.loss(*inputs))


def test_a_missing_input_is_named():
    with pytest.raises(TypeError, match="chinchilla takes params, tokens"):
        HOFFMANN.loss(1e9)


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_frozen_and_documents_its_source(name):
    law = EXAMPLES[name]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(law, law.constant_names()[0], 0.0)
    assert "arXiv" in LAWS[name].__doc__ or "See `" in LAWS[name].__doc__


def test_published_constants_give_exponent_0_45_for_model_size():
    # 0.28 / (0.34 + 0.28) = 0.4516
    assert HOFFMANN.derived()["optimal_params_exponent"] == pytest.approx(0.28 / 0.62)


def test_published_constants_put_the_optimum_of_gopher_compute_at_32_billion():
    # the rounded constants, not the paper's figure of 70B; 2% covers the rounding of "32B, 3.0T"
    assert HOFFMANN.optimal_params(5.76e23) == pytest.approx(32e9, rel=0.02)
    assert HOFFMANN.optimal_tokens(5.76e23) == pytest.approx(3.0e12, rel=0.02)


@pytest.mark.parametrize("name", ["chinchilla", "skaling", "overtraining"])
def test_no_other_split_of_the_budget_beats_the_optimal_one(name):
    law = EXAMPLES[name]
    flops = np.array([1e18, 1e21, 1e24])
    best = law.optimal_params(flops)
    at_best = law.loss(best, law.optimal_tokens(flops))
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert (law.loss(best * factor, flops / (6 * best * factor)) > at_best).all()


def test_optimal_size_of_draws_has_draws_first():
    draws = Chinchilla(
        E=np.full(3, 1.7), A=np.full(3, 400.0), B=np.full(3, 410.0), alpha=0.34, beta=0.28
    )
    assert draws.optimal_params([1e20, 1e21]).shape == (3, 2)


def test_skaling_with_outer_exponent_one_is_chinchilla():
    same = Skaling(E=1.69, A=406.4, R=410.7 / 406.4, alpha=0.34, beta=0.28, k=1.0)
    n, d = inputs_of("chinchilla")
    np.testing.assert_allclose(same.loss(n, d), HOFFMANN.loss(n, d), rtol=1e-13)  # rounding


def test_overtraining_agrees_with_its_form_in_compute_and_ratio():
    law = Overtraining(E=1.8, A=160.0, B=280.0, alpha=0.27)
    n, d = inputs_of("overtraining")
    flops, ratio, eta = 6 * n * d, d / n, 0.27 / 2
    a, b = 160.0 * 6**eta, 280.0 * 6**eta
    theirs = 1.8 + (a * ratio**eta + b * ratio**-eta) * flops**-eta
    np.testing.assert_allclose(law.loss(n, d), theirs, rtol=1e-13)  # rounding


def test_data_constrained_gives_the_losses_that_its_authors_print():
    # the constants and the two losses in the README of huggingface/datablations
    law = DataConstrained(
        E=np.exp(0.6254804),
        A=np.exp(6.255414),
        B=np.exp(7.3049974),
        alpha=0.3526596,
        beta=0.3526596,
        r_d=15.387756,
        r_n=5.309743,
    )
    assert law.loss(6.34e9, 242e9, 25e9) == pytest.approx(2.2256440889984477, rel=1e-12)
    assert law.loss(8.67e9, 178e9, 25e9) == pytest.approx(2.2269634075087867, rel=1e-12)


def test_data_constrained_is_chinchilla_while_data_are_fresh_and_params_are_fed():
    law = EXAMPLES["data_constrained"]
    fresh = law.with_fresh_data()
    flops = np.array([1e19, 1e21])
    n, d = fresh.optimal_params(flops) * 0.9, fresh.optimal_tokens(flops)
    np.testing.assert_allclose(law.loss(n, d, d), fresh.loss(n, d), rtol=1e-12)  # rounding


def test_m4_solves_its_own_equation():
    law = EXAMPLES["m4"]
    x = np.geomspace(1e10, 1e26, 50)
    loss = law.loss(x)
    left = np.log(loss - law.c) - law.k * np.log(law.L0 - loss)
    # 1e-6: near the ceiling L0 - L keeps few digits
    np.testing.assert_allclose(left, np.log(law.a) + law.b * np.log(x), atol=1e-6)


def test_m4_with_a_far_ceiling_is_a_power_law():
    ceiling, k = 1e9, 0.5
    law = M4(a=900.0 / ceiling**k, b=-0.15, c=1.7, L0=ceiling, k=k)
    x = np.geomspace(1e17, 1e22, 9)
    plain = PowerLaw(a=900.0, b=-0.15, c=1.7).loss(x)
    np.testing.assert_allclose(law.loss(x), plain, rtol=1e-7)  # L / L0 of 1e-8


def test_a_break_of_no_size_leaves_a_power_law():
    law = dataclasses.replace(EXAMPLES["broken_power_law"], c1=0.0)
    x = np.geomspace(1e16, 1e22, 9)
    np.testing.assert_allclose(law.loss(x), 1.2 + 50.0 * x**-0.08, rtol=1e-13)  # rounding


def test_far_from_the_break_the_local_exponents_are_the_two_named_ones():
    law = EXAMPLES["broken_power_law"]
    for x, exponent in ((1e12, 0.08), (1e26, 0.20)):
        reducible = law.loss(np.array([x, x * 1.01])) - law.a
        slope = np.diff(np.log(reducible))[0] / np.log(1.01)
        assert slope == pytest.approx(-exponent, abs=1e-5)  # what the break still adds there


def test_an_unknown_law_is_refused_with_the_known_ones():
    with pytest.raises(FitError, match='unknown law "chinchila"; the laws are power_law'):
        law_named("chinchila")
