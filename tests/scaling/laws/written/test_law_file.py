"""Facts about files of formulas."""

import math

import pytest

from scaling.errors import ConfigError
from scaling.laws.written.law_file import read_laws

WHOLE = """
vocabulary:
  formula: L = E + A*N^-alpha + G*vocab_size^-gamma
  bounds: {gamma: [0, 2], alpha: [null, 1]}
  units: {E: nats per token}
  source: {authors: [Ann Nobody], title: Words and losses, year: 2026}
short: E + A*N^-a
"""


def test_a_file_gives_names_bounds_units_and_source(tmp_path):
    path = tmp_path / "laws.yaml"
    path.write_text(WHOLE)
    laws = read_laws(path)
    assert list(laws) == ["vocabulary", "short"] and laws["short"].expression == "E + A*N^-a"
    law = laws["vocabulary"]
    assert law.bounds == {"gamma": (0.0, 2.0), "alpha": (-math.inf, 1.0)}
    assert law.units == {"E": "nats per token"}
    assert law.reference.citation == "Nobody 2026, Words and losses"


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "holds no laws"),
        ("[1, 2]", "holds no laws"),
        ("chinchilla: E + A*N^-a", "there is a law chinchilla already"),
        ("a-b: E + A*N^-a", '"a-b" is no name of a law'),
        ("a: {formla: x}", 'unknown key "a.formla"'),
        ("a: {bounds: {}}", "a.formula is missing"),
        ("a: {formula: E+A*N^-a, bounds: [1]}", "a.bounds is no mapping"),
        ("a: 3", "a is no mapping; write it as {formula: ...}"),
        ("a:", "a is no mapping; write it as {formula: ...}"),
        ("a: {formula: E+A*N^-a, source: me}", "write it as {authors: ...}"),
        ("a: {formula: E+A*N^-a, bounds: {E: [2, 1]}}", "a.bounds.E is not two numbers"),
        ("a: {formula: E+A*N^-a, bounds: {E: [true, 2]}}", "a.bounds.E is not two numbers"),
        ("a: {formula: E+A*N^-a, source: {title: x}}", "a.source needs authors"),
        ("a: [", "line"),
    ],
)
def test_what_is_no_file_of_laws_is_refused_in_one_line(tmp_path, text, told):
    path = tmp_path / "laws.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_laws(path)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"laws\.yaml: No such file"):
        read_laws(tmp_path / "laws.yaml")
