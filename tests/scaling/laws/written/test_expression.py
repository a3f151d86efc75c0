"""Facts about arithmetic that people write into options."""

import numpy as np
import pytest

from scaling.laws.written.expression import MOST_CHARACTERS, ExpressionError, expression


@pytest.mark.parametrize(
    "text, value",
    [
        ("2", 2.0),
        ("A * 6**alpha", 2.0 * 6**0.5),
        ("A * 6^alpha", 2.0 * 6**0.5),
        ("-(A - alpha) / 3", -0.5),
        ("exp(log(A)) + sqrt(alpha * alpha)", 2.5),
        ("log10(1e3)", 3.0),
        ("ln(exp(A))", 2.0),
        ("A\u00d73 \u2212 A\u00b7alpha \u00f7 2", 5.5),
        ("A\u00b2 + A\u207b\u00b9 + 10*A^\u2212alpha", 4.5 + 10 / 2**0.5),
        ("A\n  + alpha\n", 2.5),
    ],
)
def test_an_expression_is_the_arithmetic_that_it_states(text, value):
    assert expression(text, ("A", "alpha"))({"A": 2.0, "alpha": 0.5}) == pytest.approx(value)


def test_an_expression_takes_arrays_and_complex_numbers():
    step = expression("A**2", ("A",))({"A": np.array([1.0, 3.0]) + 1e-20j})
    np.testing.assert_allclose(step.imag / 1e-20, [2.0, 6.0])  # the derivative, by complex step


def test_overflow_is_infinite_and_what_is_undefined_is_nan():
    assert expression("9**9**9**9", ())({}) == np.inf
    assert np.isnan(expression("log(0 - 1)", ())({}))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "float(genfromtxt('http://127.0.0.1/'))",
        "while 1: pass",
        "A.real",
        "A[0]",
        "[A for A in range(9)]",
        "lambda: A",
        "A if A else A",
        "A < 2",
        "'text'",
        "True",
        "exp(A, A)",
        "exp(x=A)",
        "f'{A}'",
        "A := 2",
        "beta",
        "",
        "1" * (MOST_CHARACTERS + 1),
        "(" * 300 + "A" + ")" * 300,
        "-" * 200 + "A",
        "1e999999999999999999999" + "0" * 10 + "x",
        "9" * 400,
        "A # + alpha",
        "A\x00",
        "A\ud800",
    ],
)
def test_whatever_is_no_arithmetic_is_refused_and_not_executed(text):
    with pytest.raises(ExpressionError):
        expression(text, ("A", "alpha"))


@pytest.mark.parametrize(
    "text, place",
    [
        ("A + alpha^2 +", 13),
        ("A + (alpha", 5),
        ("A + 2 alpha", 7),
        (" A^", 3),
        ("A\u00d7A\u00b2 $", 6),
    ],
)
def test_a_refusal_names_the_character_at_which_the_arithmetic_ends(text, place):
    with pytest.raises(ExpressionError, match=f"from character {place} on"):
        expression(text, ("A", "alpha"))


@pytest.mark.parametrize("text, told", [("A^-lambda", '"lambda" at character 4'), ("A#", "#")])
def test_a_refusal_names_a_reserved_word_and_a_remark(text, told):
    with pytest.raises(ExpressionError, match=told):
        expression(text, ("A", "alpha"))
