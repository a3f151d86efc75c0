"""Facts about YAML that cannot do harm: bounds, one meaning for each number, one line."""

import pytest

from scaling.errors import ConfigError
from scaling.inputs.bounded_yaml import MOST_BYTES, MOST_CHARACTERS, MOST_VALUES, load_yaml

BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 9)
)


@pytest.mark.parametrize(
    "text, value",
    [
        ("010", 10),  # eight to YAML 1.1
        ("1:30", "1:30"),  # ninety
        ("3e10", 3e10),  # text
        ("1_000", 1000),
        ("-.5", -0.5),
        ("2026-13-45", "2026-13-45"),  # an error in a date
        ("[1, yes, null, text]", [1, True, None, "text"]),
        ("{a: &x {b: 1}, c: {<<: *x, d: 2}}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("", None),
    ],
)
def test_numbers_have_one_meaning_and_what_is_shared_may_be_named(text, value):
    assert load_yaml(text) == value


@pytest.mark.parametrize(
    "text, message",
    [
        (BOMB, f"more than {MOST_VALUES:,} values"),
        ("<<: &a {<<: &b [{x: 1}, {y: 2}]}\nz: [*a, *b]" + "\nq: &c [*c]", "holds itself"),
        ("[" * 900 + "]" * 900, "nested more than 20 deep"),
        ("a:\n" + "".join(" " * level + "a:\n" for level in range(1, 60)), "nested more than 20"),
        ("x" * (MOST_BYTES + 1), "more than 1,000,000 characters"),
        (f"a: {'x' * (MOST_CHARACTERS + 1)}", "a text of 10,001 characters"),
        ("a: " + "9" * 5001, "a number of 5,001 digits"),
        ('a: "\\ud800"', "U\\+D800"),
        ('a: "\\x1b[31m"', "U\\+001B"),
        ("a: \x00", "not allowed"),
        ("grid: {}\nname: a\ngrid: {}", 'line 3, column 1: the key "grid" is there twice'),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: [1", "line 1"),
        ("? [1, 2]\n: 3", "unhashable"),
        ("a: *nobody", "undefined alias"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: !!int x", "not what its !!tag"),
        ("a: !!binary 'a'", "base64"),
        ("a: !!timestamp 2026-13-45", "not what its !!tag"),
        ("a: !!float 1e", "not what its !!tag"),
        ("%YAML 9.9\n--- a", "version"),
    ],
)
def test_what_is_beyond_the_bounds_is_refused_in_one_line(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
