"""Facts about the names of sweeps and seals."""

import pytest

from scaling.errors import ConfigError
from scaling.inputs.names import MOST_CHARACTERS, RESERVED, checked_name


@pytest.mark.parametrize("name", ["a", "quickstart", "7B", "ladder-2.1_b", "x" * MOST_CHARACTERS])
def test_letters_digits_dots_and_dashes_make_a_name(name):
    assert checked_name(name, "name") == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            "a b",
            "../../x",
            "a/b",
            "a\\b",
            "/etc",
            "~x",
            ".",
            "..",
            ".hidden",
            "-rf",
            "_a",
        ),
        *("a\x00b", "a\nb", "a\x1b[31m", "a:b", "gr\u00f6\u00dfe", "a\ud800", "x" * 100_000, "'a'"),
        *("_a", "a\n", "$(x)", "*", *RESERVED, "Default"),
    ],
)
def test_every_other_name_is_refused_in_one_short_printable_line(name):
    with pytest.raises(ConfigError) as caught:
        checked_name(name, "name")
    line = str(caught.value)
    assert line.startswith("name ")
    assert line.isprintable()
    assert len(line) < 250


def test_a_refusal_offers_a_name_near_it():
    with pytest.raises(ConfigError, match="for example my-sweep"):
        checked_name("my sweep", "name")
