"""Facts about prices, durations and memory as people write them."""

import pytest

from scaling.inputs.amounts import duration, memory, price


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("2.5/h", 2.5, ""),
        ("2.5", 2.5, ""),
        ("2.5USD/h", 2.5, "USD"),
        ("$2.50/hour", 2.5, "USD"),
        ("EUR 3 per GPU hour", 3.0, "EUR"),
        ("1e1 eur/h", 10.0, "EUR"),
        ("3\u20ac/gpu-h", 3.0, "EUR"),
        (".8 usd/device-hour", 0.8, "USD"),
    ],
)
def test_a_price_is_read_as_people_write_it(text, value, currency):
    found = price(text)
    assert (found.per_device_hour, found.currency) == (value, currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "EUR/h",
        "-2/h",
        "0/h",
        "nan",
        "2.5/day",
        "2.5 dollars/h",
        "$2 EUR/h",
        "2USD3EUR/h",
        "9" * 200,
    ],
)
def test_what_is_no_price_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match=r"write it as 2.5/h|two currencies|above zero"):
        price(text)


def test_durations_and_memory_have_units():
    assert duration("10d") == 864000
    assert duration("1.5 h") == 5400
    assert memory("80GB") == 80e9
    assert memory("80 GiB") == 80 * 2**30
    for text in ("10", "10 parsecs", "-1d", "0h", ""):
        with pytest.raises(ValueError, match=r"no duration|above zero"):
            duration(text)
    for text in ("80 GX", "-1GB", "GB"):
        with pytest.raises(ValueError, match=r"no size of memory|above zero"):
            memory(text)
