"""Facts about how numbers are written for people."""

import pytest

from analysis.report.words.formula import formula_in_html
from analysis.text.numbers import (
    count_in_words,
    digits_apart,
    factor_in_words,
    flops_in_words,
    in_print,
    loss_in_words,
    number_in_words,
    percent_in_words,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(15360, "15.4k"), (2.293e6, "2.29M"), (7e10, "70B"), (999_999, "1M"), (12, "12")],
)
def test_counts_have_three_digits_and_a_unit(value, text):
    assert count_in_words(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9.994e14, "999T"),
        (9.996e14, "1 \u00d7 10\u00b9\u2075"),
        (2.04e17, "2.04 \u00d7 10\u00b9\u2077"),
        (float("inf"), "\u221e"),
    ],
)
def test_counts_beyond_the_largest_unit_are_powers_of_ten(value, text):
    assert count_in_words(value) == count_in_words(value, spelt_out=True).replace(" trillion", "T")
    assert count_in_words(value) == text


def test_counts_can_be_spelt_out():
    assert count_in_words(1.4e12, spelt_out=True) == "1.4 trillion"


def test_a_count_to_one_digit_has_no_power_of_ten():
    told = [count_in_words(value, 1) for value in (7.4e8, 6.6e4, 2.2e9, 95.0)]
    assert told[:3] == ["700M", "70k", "2B"]


def test_compute_is_a_power_of_ten():
    assert flops_in_words(2.4e11) == "2.4 \u00d7 10\u00b9\u00b9"
    assert flops_in_words(0.0) == "0"  # what a run has spent that has just begun


def test_losses_keep_four_digits():
    assert [loss_in_words(v) for v in (1.4587, 2.0, 10.456)] == ["1.459", "2.000", "10.46"]


def test_numbers_are_plain_where_short_and_powers_of_ten_elsewhere():
    assert number_in_words(-0.09986, 2) == "\u22120.10"
    assert number_in_words(1.7456e-7, 2) == "1.7 \u00d7 10\u207b\u2077"
    assert number_in_words(float("inf")) == "\u221e"
    assert number_in_words(0.0) == "0"


def test_errors_have_a_sign():
    assert percent_in_words(0.283, signed=True) == "+0.28%"
    assert percent_in_words(-1.0, signed=True) == "\u22121.00%"


def test_decades_become_a_factor():
    assert [factor_in_words(d) for d in (0.523, 1.0, 2.0)] == ["3.3 times", "10 times", "100 times"]


def test_formulas_get_superscripts_and_greek_letters():
    assert formula_in_html("A N**-alpha (x / d)**(-c f)") == (
        "A N<sup>\u2212\u03b1</sup> (x / d)<sup>\u2212c f</sup>"
    )


def test_formulas_escape_what_html_would_read_as_a_tag():
    assert formula_in_html("b < 0") == "b &lt; 0"


def test_a_sentence_begins_with_a_capital_but_the_name_of_a_column_stays_itself():
    assert in_print("numbers: 1e3 is 1000") == "Numbers: 1e3 is 1000"
    assert in_print("train_flops computed from C = 6 N D") == "train_flops computed from C = 6 N D"
    assert in_print("params counts embeddings") == "params counts embeddings"


def test_minus_signs_are_true_ones_and_flags_stay_flags():
    assert in_print("bias -0.5%, see --where") == "Bias \u22120.5%, see --where"


def test_different_budgets_get_digits_that_tell_them_apart():
    assert digits_apart([1e22, 1e22]) == digits_apart([1.2e21, 1.21e21]) == digits_apart([]) == 3
    assert digits_apart([1.2e21, 1.201e21]) == 4
    assert digits_apart([1.2e21, 1.2e21 * (1 + 1e-15)]) == 6  # a difference of rounding
