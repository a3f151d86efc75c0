"""Facts about broken tables: an answer that a check by hand confirms, or one line."""

import pytest

from benchmarks.broken_tables import VERBS, broken_table, measure


def test_thirty_broken_tables_are_fitted_or_refused_in_one_line():
    assert measure(30, seed=0, verbs=("fit",)) == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_hundred_broken_tables_end_well_in_every_verb(verb):
    assert measure(100, seed=0, verbs=(verb,)) == []


def test_the_same_seed_breaks_a_table_in_the_same_way():
    assert broken_table(7) == broken_table(7)
