"""Facts about confidence levels: one type, one default, found whatever arithmetic made them."""

import json

import numpy as np
import pytest

from analysis.evaluation.sealed import Seal
from analysis.intervals import LEVEL, Interval, interval_at, intervals_from, outwards
from scaling.cli.options import laws, questions
from scaling.errors import ForecastError


def test_a_level_is_found_whatever_arithmetic_it_came_from():
    intervals = {0.5: Interval(2.0, 3.0), 0.9: Interval(1.0, 4.0)}
    assert 3 * 0.3 != 0.9  # what a caller may well pass
    assert interval_at(intervals, 3 * 0.3) == (1.0, 4.0)


def test_a_level_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ForecastError, match=r"level 0.99 is not in the forecast \(it has 0.9\)"):
        interval_at({0.9: Interval(1.0, 4.0)}, 0.99)


def test_levels_are_numbers_again_after_a_file():
    document = json.loads(json.dumps({0.9: Interval(1.0, 4.0)}))
    assert intervals_from(document) == {0.9: Interval(1.0, 4.0)}


def test_a_seal_keeps_its_digest_through_a_file(seal):
    back = Seal.from_json(seal.to_json())
    assert back == seal and back.digest == seal.digest
    assert interval_at(back.targets[0].intervals, LEVEL) == (2.4, 2.6)


def test_every_verb_with_levels_has_the_default_of_the_library():
    import argparse

    for group, required in (
        (laws.fitting, []),
        (questions.questions, []),
        (questions.allocation, ["--flops", "1"]),
    ):
        parser = argparse.ArgumentParser()
        group(parser)
        assert parser.parse_args(required).level is None  # left to the library's LEVEL
        assert f"default: {LEVEL:g}" in " ".join(parser.format_help().split())


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ((2.437, 2.635), (2.4, 2.7)),
        ((2.4, 2.7), (2.4, 2.7)),  # what has two digits stays
        ((0.02901, 0.0299), (0.029, 0.03)),
        ((9.94, 10.1), (9.9, 11.0)),
        ((1.01e21, np.inf), (1e21, np.inf)),
    ],
)
def test_an_interval_of_two_digits_holds_the_interval_that_it_stands_for(ends, shown):
    assert outwards(Interval(*ends)) == pytest.approx(shown)
