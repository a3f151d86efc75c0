"""Facts about laws as values: the conformance suite, limits, published numbers."""

import dataclasses

import numpy as np
import pytest

from scaling.errors import FitError
from scaling.laws.base import Symbol
from scaling.laws.conformance import CHECKS, check_law
from scaling.laws.curves import M4, BrokenPowerLaw, PowerLaw, SaturatingPowerLaw
from scaling.laws.farseer import Farseer
from scaling.laws.reference import Reference
from scaling.laws.registry import LAWS, law_named, register_law, unregister_law
from scaling.laws.surfaces import Chinchilla, DataConstrained, Overtraining, Skaling

HOFFMANN = Chinchilla.example()


def inputs_of(name):
    return tuple(LAWS[name].example_runs()[column] for column in LAWS[name].inputs)


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_every_law_conforms(law, check):
    check(law)


def broken(**changes):
    """A power law with something wrong in it."""
    return type("Wrong", (PowerLaw,), {"__doc__": "Wrong.", **changes})


def rising(x, a, b, c):
    return c - a * x**b


def without_complex_steps(x, a, b, c):
    return np.abs(a) * x**b + c


@pytest.mark.parametrize(
    ("law", "fault"),
    [
        (broken(symbols={"a": Symbol("amplitude")}), "symbols and constants differ"),
        (broken(reference=Reference("k", (), "", 0)), "no source"),
        (broken(floor="E"), "no constants {'E'}"),
        (broken(own_bounds={"b": (0.0, 1.0)}), "example b = -0.15 outside"),
        (broken(linear=("a",)), "not linear"),
        (broken(formula=staticmethod(rising)), "the loss rises"),
        (broken(formula=staticmethod(without_complex_steps)), "no complex step in a"),
        (broken(powers=PowerLaw.powers * 2), "the powers are not the formula"),
    ],
)
def test_a_law_with_a_fault_is_told_which(law, fault):
    with pytest.raises(AssertionError, match=fault):
        check_law(law)


def test_a_law_known_by_its_name_is_not_replaced_by_another():
    namesake = type("Namesake", (PowerLaw,), {})
    with pytest.raises(FitError, match='a law "power_law" exists already'):
        register_law(namesake)
    assert register_law(PowerLaw) is PowerLaw  # the same one again changes nothing


def test_a_law_that_was_registered_can_be_forgotten():
    named = type("Named", (PowerLaw,), {"name": "for_a_moment"})
    register_law(named)
    assert law_named("for_a_moment") is named
    unregister_law(named)
    assert "for_a_moment" not in LAWS


def test_a_source_reads_as_a_line_and_as_bibtex():
    source = Farseer.reference
    assert source.citation.startswith("Li et al. 2025, Predictable Scale")
    assert source.citation.endswith("arXiv:2506.10972")
    assert "author = {Houyi Li and Wenzhen Zheng" in source.bibtex
    assert "eprint = {2506.10972}," in source.bibtex
    two = Reference("key", ("Ann Bee", "Cee Dee"), "Title", 2020).citation
    assert two == "Bee and Dee 2020, Title"


def test_a_missing_input_is_named():
    with pytest.raises(TypeError, match="chinchilla takes params, tokens"):
        HOFFMANN.loss(1e9)


def test_inputs_can_be_given_by_name():
    n, d = inputs_of("chinchilla")
    np.testing.assert_array_equal(HOFFMANN.loss(tokens=d, params=n), HOFFMANN.loss(n, d))


def test_published_constants_give_exponent_0_45_for_model_size():
    # 0.28 / (0.34 + 0.28) = 0.4516
    assert HOFFMANN.derived()["optimal_params_exponent"] == pytest.approx(0.28 / 0.62)


def test_published_constants_put_the_optimum_of_gopher_compute_at_32_billion():
    # the rounded constants, not the paper's figure of 70B; 2% covers the rounding of "32B, 3.0T"
    assert HOFFMANN.optimal_params(5.76e23) == pytest.approx(32e9, rel=0.02)
    assert HOFFMANN.optimal_tokens(5.76e23) == pytest.approx(3.0e12, rel=0.02)


@pytest.mark.parametrize("name", ["chinchilla", "skaling", "overtraining"])
def test_no_other_split_of_the_budget_beats_the_optimal_one(name):
    law = LAWS[name].example()
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
    law = DataConstrained.example()
    fresh = law.with_fresh_data()
    flops = np.array([1e19, 1e21])
    n, d = fresh.optimal_params(flops) * 0.9, fresh.optimal_tokens(flops)
    np.testing.assert_allclose(law.loss(n, d, d), fresh.loss(n, d), rtol=1e-12)  # rounding


def test_m4_solves_its_own_equation():
    law = M4.example()
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
    law = dataclasses.replace(BrokenPowerLaw.example(), c1=0.0)
    x = np.geomspace(1e16, 1e22, 9)
    np.testing.assert_allclose(law.loss(x), 1.2 + 50.0 * x**-0.08, rtol=1e-13)  # rounding


def test_far_from_the_break_the_local_exponents_are_the_two_named_ones():
    law = BrokenPowerLaw.example()
    for x, exponent in ((1e12, 0.08), (1e26, 0.20)):
        reducible = law.loss(np.array([x, x * 1.01])) - law.a
        slope = np.diff(np.log(reducible))[0] / np.log(1.01)
        assert slope == pytest.approx(-exponent, abs=1e-5)  # what the break still adds there


def test_an_unknown_law_is_refused_with_the_known_ones():
    with pytest.raises(
        FitError, match=r"chinchila.; did you mean chinchilla. the laws are power_law"
    ):
        law_named("chinchila")


def test_the_saturating_law_levels_off_where_it_says():
    law = SaturatingPowerLaw.example()
    # g is 1e-20: at 1e30 the other term is 1e-10 of it, times the exponent
    assert law.loss(1e30) == pytest.approx(law.derived()["level"], rel=1e-9)


def test_farseer_is_its_form_in_published_constants():
    law = Farseer.example()
    n, d = inputs_of("farseer")
    billions = n / 1e9
    size = np.exp(-law.e / law.gamma * billions**law.gamma + np.log(law.E) + law.e / law.gamma)
    data = np.exp(-law.b / law.beta * billions**law.beta + np.log(law.B) + law.b / law.beta)
    power = np.exp(law.a / law.alpha * billions**law.alpha + np.log(law.A) - law.a / law.alpha)
    np.testing.assert_allclose(law.loss(n, d), size + data * d**-power, rtol=1e-12)  # rounding


def test_farseer_without_change_of_slope_is_powers_of_size():
    flat = dataclasses.replace(Farseer.example(), gamma=0.0, beta=0.0, a=0.0, alpha=0.0)
    n, d = inputs_of("farseer")
    billions = n / 1e9
    powers = 1.5 * billions**-0.1 + 350.0 * billions**-0.84 * d**-0.3
    np.testing.assert_allclose(flat.loss(n, d), powers, rtol=1e-12)  # rounding
    nearly = dataclasses.replace(flat, gamma=1e-9)
    np.testing.assert_allclose(nearly.loss(n, d), powers, rtol=1e-8)  # the change itself
