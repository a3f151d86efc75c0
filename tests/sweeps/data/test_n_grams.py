"""Facts about counted contexts: what numpy counts in bulk is what a reader counts by hand."""

import math
from collections import Counter

import numpy as np
import pytest

from sweeps.data.n_grams import interpolated_nats, n_grams, whole_prefixes

DRAW = np.random.default_rng(3)
SEEN = DRAW.integers(0, 4, 60)
ROWS = DRAW.integers(0, 5, (7, 6))  # a token that the text lacks too


def followers(context):
    """Every token of SEEN that follows a context, with repeats."""
    size = len(context)
    return [
        int(SEEN[i + size]) for i in range(len(SEEN) - size) if tuple(SEEN[i : i + size]) == context
    ]


def places():
    return [(row, place) for row in range(len(ROWS)) for place in range(ROWS.shape[1])]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_n_grams_count_what_follows_each_context(before):
    found = n_grams(SEEN, ROWS, 2)[before]
    for row, place in places():
        after = followers(tuple(ROWS[row, max(0, place - before) : place]))
        assert found.contexts[row, place] == len(after)
        assert found.kinds[row, place] == len(set(after))
        assert found.tokens[row, place] == after.count(ROWS[row, place])


def test_whole_prefixes_count_what_follows_everything_before():
    found = whole_prefixes(SEEN, ROWS)
    for row, place in places():
        after = followers(tuple(ROWS[row, :place]))
        assert found.contexts[row, place] == len(after)
        assert found.tokens[row, place] == after.count(ROWS[row, place])


def test_nats_are_of_shares_and_infinite_where_there_is_none():
    (found,) = n_grams(np.array([0, 0, 0, 1]), np.array([[0, 1, 2]]), 0)
    assert found.nats[0].tolist() == pytest.approx([math.log(4 / 3), math.log(4), math.inf])


def test_an_interpolated_share_is_that_of_witten_and_bell():
    def share(context, token):
        lower = 1 / 5 if not context else share(context[1:], token)
        after = Counter(followers(context))
        kinds, all_times = len(after), sum(after.values())
        if not all_times:
            return share(context[1:], token)
        return (after[token] + kinds * lower) / (all_times + kinds)

    for before, nats in enumerate(interpolated_nats(n_grams(SEEN, ROWS, 2), 5)):
        for row, place in places():
            context = tuple(ROWS[row, max(0, place - before) : place])
            assert math.exp(-nats[row, place]) == pytest.approx(share(context, ROWS[row, place]))


def test_interpolated_shares_of_all_tokens_add_up_to_one():
    rows = np.array([[3, 1, token] for token in range(5)])
    for nats in interpolated_nats(n_grams(SEEN, rows, 2), 5):
        assert np.exp(-nats[:, 2]).sum() == pytest.approx(1)


def test_texts_shorter_than_a_context_count_nothing():
    found = n_grams(np.array([1]), np.array([[1, 1]]), 2)
    assert [one.contexts.tolist() for one in found] == [[[1, 1]], [[1, 0]], [[1, 0]]]
    assert whole_prefixes(np.array([1]), np.array([[1, 1]])).contexts.tolist() == [[1, 0]]
