"""What every law must fulfil, ours or yours: `check_law` says the first thing that one does not.

from scaling.laws.conformance import check_law
check_law(MyLaw)
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from scaling.laws.base import Law

Check = Callable[[type[Law]], None]
_SQUARE_ROOT_OF_ROUNDING = 1e-6  # the step of a finite difference


def check_law(law: type[Law]) -> None:
    """Every check in turn. Raises AssertionError with what is wrong."""
    for name, check in CHECKS.items():
        try:
            check(law)
        except AssertionError as error:
            raise AssertionError(f"{law.__name__}: {name}: {error}") from error


def documents_itself(law: type[Law]) -> None:
    """A name, a form, a source, a docstring, and a meaning for every constant."""
    assert law.name.isidentifier(), f'name "{law.name}" is not an identifier'
    assert law.form and law.__doc__ and law.__doc__ != Law.__doc__, "no form or docstring"
    source = law.reference
    assert source and source.title and source.authors and source.year, "no source"
    assert source.bibtex.startswith("@"), "no BibTeX"
    missing = set(law.constant_names()) ^ set(law.symbols)
    assert not missing, f"symbols and constants differ in {sorted(missing)}"


def names_its_own_constants(law: type[Law]) -> None:
    """What is said of constants is said of those that there are."""
    powers = {n for power in law.powers for n in (power.coefficient, power.exponent)}
    floor = () if law.floor is None else (law.floor,)
    said = {*law.linear, *law.positive, *law.own_bounds, *law.own_priors, *floor, *powers}
    assert said <= set(law.constant_names()), f"no constants {said - set(law.constant_names())}"
    assert law.floor is None or law.floor in law.positive, "a floor below zero"


def is_a_frozen_value(law: type[Law]) -> None:
    """Constants do not change."""
    example = law.example()
    try:
        setattr(example, law.constant_names()[0], 0.0)
    except dataclasses.FrozenInstanceError:
        return
    raise AssertionError("not frozen: write @dataclass(frozen=True)")


def has_an_example_within_its_bounds(law: type[Law]) -> None:
    """The example is an instance that a search could find."""
    for name, value in law.example().constants().items():
        low, high = law.bounds()[name]
        assert low <= float(value) <= high, f"example {name} = {value} outside {low} to {high}"


def shapes_are_constants_then_inputs(law: type[Law]) -> None:
    """Loss of draws: the shape of the constants, then that of the inputs."""
    one, inputs = law.example(), _inputs(law)
    draws = law(**{k: np.full((4,), v) for k, v in one.constants().items()})
    assert one.loss(*inputs).shape == inputs[0].shape, "loss of one law has another shape"
    assert one.loss(*(v[0] for v in inputs)).shape == (), "loss at one run is no scalar"
    assert draws.loss(*inputs).shape == (4, len(inputs[0])), "draws are not the first axis"
    assert np.array_equal(draws.loss(*inputs)[2], one.loss(*inputs)), "a draw is another law"


def falls_as_an_input_grows(law: type[Law]) -> None:
    """More of anything never hurts, and mostly helps, but of what the law says of itself; distinct
    tokens may change nothing."""
    one, inputs = law.example(), _inputs(law)
    before = one.loss(*inputs)
    for i, column in enumerate(law.inputs):
        if column == "unique_tokens" or column in law.not_falling:
            continue
        after = one.loss(*(v * 1.5 if i == j else v for j, v in enumerate(inputs)))
        assert (after <= before * (1 + 1e-15)).all(), f"the loss rises with {column}"
        # a law may saturate: a hundred times the useful size then changes no digit
        assert (after < before).mean() > 0.7, f"the loss hardly depends on {column}"


def stays_above_its_floor(law: type[Law]) -> None:
    """No scale reaches the floor; without one, no scale reaches zero."""
    one = law.example()
    floor = 0.0 if law.floor is None else getattr(one, law.floor)
    grown = zip(law.inputs, _inputs(law), strict=True)
    huge = one.loss(*(v if name in law.not_falling else v * 1e6 for name, v in grown))
    assert (huge > floor).all(), "the loss falls to its floor or below"


def is_linear_where_it_says_so(law: type[Law]) -> None:
    """Doubling every linear constant doubles the loss."""
    if not law.linear:
        return
    one, inputs = law.example(), _inputs(law)
    doubled = {name: 2 * np.asarray(getattr(one, name)) for name in law.linear}
    two = dataclasses.replace(one, **doubled).loss(*inputs)  # type: ignore[type-var]
    assert np.allclose(two, 2 * one.loss(*inputs), rtol=1e-12), f"not linear in {law.linear}"


def is_its_floor_plus_its_powers(law: type[Law]) -> None:
    """The powers that fast derivatives use add up to the formula."""
    if not law.powers:
        return
    one, inputs = law.example(), _inputs(law)
    total = np.full(len(inputs[0]), 0.0 if law.floor is None else getattr(one, law.floor))
    for power in law.powers:
        exponent = power.sign * getattr(one, power.exponent)
        total = total + getattr(one, power.coefficient) * inputs[power.input_index] ** exponent
    assert np.allclose(total, one.loss(*inputs), rtol=1e-12), "the powers are not the formula"


def has_complex_step_derivatives(law: type[Law]) -> None:
    """The imaginary part of a complex step is the slope: no abs, min or max of constants."""
    one, inputs = law.example(), _inputs(law)
    values = {k: float(v) for k, v in one.constants().items()}
    for name, value in values.items():
        step = _SQUARE_ROOT_OF_ROUNDING * (abs(value) or 1e-3)
        up, down = (law(**{**values, name: value + s}).loss(*inputs) for s in (step, -step))
        shifted = {**values, name: value + 1e-30j}
        slope = np.imag(law.formula(*inputs, *shifted.values())) / 1e-30
        error = np.abs(slope - (up - down) / (2 * step)).max()
        rounding = 1e-15 * np.abs(up).max() / step
        assert error <= 1e-5 * np.abs(slope).max() + 10 * rounding, f"no complex step in {name}"


def starts_near_an_answer(law: type[Law]) -> None:
    """Some start predicts the example's losses within a third; fixed constants stay fixed."""
    one, inputs = law.example(), _inputs(law)
    loss, ones = one.loss(*inputs), np.ones(len(inputs[0]))
    fixed = {law.constant_names()[0]: float(getattr(one, law.constant_names()[0]))}
    for held in ({}, fixed):
        starts = law.starts(inputs, loss, ones, held)
        assert tuple(starts) == law.constant_names(), "starts are not in the order of constants"
        assert all((starts[k] == v).all() for k, v in held.items()), "a fixed constant moved"
        with np.errstate(all="ignore"):
            error = np.abs(np.log(law(**starts).loss(*inputs) / loss)).mean(axis=1)
        # a held constant leaves guesses that were meant for a free one
        assert held or np.nanmin(error) < 0.3, f"no start is nearer than {np.nanmin(error):.2g}"


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        documents_itself,
        names_its_own_constants,
        is_a_frozen_value,
        has_an_example_within_its_bounds,
        shapes_are_constants_then_inputs,
        falls_as_an_input_grows,
        stays_above_its_floor,
        is_linear_where_it_says_so,
        is_its_floor_plus_its_powers,
        has_complex_step_derivatives,
        starts_near_an_answer,
    )
}


def _inputs(law: type[Law]) -> tuple[np.ndarray, ...]:
    runs = law.example_runs()
    return tuple(runs[name] for name in law.inputs)
