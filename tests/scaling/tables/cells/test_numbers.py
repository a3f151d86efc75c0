"""Facts about numbers as people write them."""

import math

import pandas as pd
import pytest

from scaling.tables.cells.numbers import (
    decimal_commas,
    has_thousands_by_points,
    number,
    read_numbers,
    unit_factor,
)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2.31 \u00b1 0.02", 2.31),
        ("2.31+-0.02", 2.31),
        ("2.31 (0.02)", 2.31),
        ("2.31(2)", 2.31),
        ("**2.31**", 2.31),
        ("2.31*", 2.31),
        ("2.31\u2020", 2.31),
        ("2.31 / 2.40", None),
    ],
)
def test_a_spread_or_a_mark_around_a_cell_leaves_its_value(cell, value):
    values, bad = read_numbers(pd.Series([cell, "1"]))
    assert bad.tolist() == [value is None, False]
    assert value is None or values[0] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7B", 7e9),
        ("70m", 7e7),
        ("53.3M", 53_300_000),
        ("1.4 trillion tokens", 1.4e12),
        ("300B tokens", 3e11),
        ("124,439,808", 124_439_808),
        ("1'000'000", 1e6),
        ("1 000 000", 1e6),
        ("1.234.567", 1_234_567),
        ("1_000_000", 1e6),
        ("1.5x10^21", 1.5e21),
        ("2 * 10**18", 2e18),
        ("1.5 \u00d7 10\u00b2\u00b9", 1.5e21),
        ("2\u00b710\u207b\u00b3", 2e-3),
        ("\u22123.5", -3.5),
        ("3 ZFLOP", 3e21),
        ("2 PF-days", 2 * 86400e15),
        ("~1.3B params", 1.3e9),
        ("45%", 0.45),
        ("-3.5", -3.5),
        (".5", 0.5),
        ("1e6", 1e6),
    ],
)
def test_a_number_is_read_as_it_was_meant(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "7X", "1,23", "1,2345", "12,34,567", "d768", "1e", "[1]"]
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="."):
        number(text)


def test_a_decimal_comma_is_one_where_the_column_says_so():
    losses = pd.Series(["4,91", "3,123"])
    assert decimal_commas(losses)
    assert read_numbers(losses, decimal_comma=True)[0].tolist() == [4.91, 3.123]
    assert number("1.234.567,5", decimal_comma=True) == 1_234_567.5
    assert decimal_commas(pd.Series(["9,000,000", "1,234"])) is False
    assert decimal_commas(pd.Series(["3,123", "4,910"])) is None
    assert decimal_commas(pd.Series(["~31.6M", "1,1,1;1"])) is False
    assert decimal_commas(pd.Series(['"1,58"', "2,5x10^9"]))


def test_points_part_thousands_where_commas_are_decimal_points():
    sizes = pd.Series(["31,6", "1.000", "1.024.000", "0.5", "1.5", "1.000e9"])
    assert read_numbers(sizes, decimal_comma=True)[0].tolist() == [
        31.6,
        1e3,
        1_024_000,
        0.5,
        1.5,
        1e9,
    ]
    assert has_thousands_by_points(pd.Series(["500", "1.000", "n/a"]))
    assert not has_thousands_by_points(pd.Series(["0.500", "1.000"]))
    assert not has_thousands_by_points(pd.Series(["1.25", "1.000"]))


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("M", 1e6), ("in billions", 1e9), ("x1e18", 1e18), ("GFLOPs", 1e9), ("tokens", 1.0)]
    + [("B tokens", 1e9), ("PFLOP/s-days", 86400e15), ("10^18", 1e18), ("measured", None)],
)
def test_units_scale(unit, factor):
    assert unit_factor(unit) == factor


def test_every_kind_of_cell_is_a_number_a_blank_or_neither():
    cells = [1, 2.5, '"3M"', "", "n/a", None, math.nan, True, "x", [1], 10**5000, "1e400"]
    values, bad = read_numbers(pd.Series(cells, dtype=object))
    assert values[[0, 1, 2]].tolist() == [1, 2.5, 3e6]
    assert values[[3, 4, 5, 6]].isna().all()
    assert bad.to_numpy().nonzero()[0].tolist() == [7, 8, 9]
    assert values[10] == values[11] == math.inf
