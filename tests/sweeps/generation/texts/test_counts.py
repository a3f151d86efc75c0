"""Facts about texts scored by counts of another."""

import math
from itertools import product

import numpy as np
import pytest

from sweeps.generation.texts.counts import scores_of

SEEN = np.array([0, 1, 0, 1, 0, 2])


def scored(text, given=1):
    return scores_of(SEEN, np.array([text]), given, "run")


def test_shares_are_those_of_the_counted_text():
    unigram, bigram, trigram, whole = scored((1, 0, 2))
    assert unigram.nats_per_token == pytest.approx(-math.log(3 / 6 * 1 / 6) / 2)
    assert bigram.nats_per_token == pytest.approx(-math.log(1 * 1 / 3) / 2)
    assert trigram.nats_per_token == pytest.approx(-math.log(1 * 1 / 2) / 2)
    assert whole.nats_per_token == trigram.nats_per_token


def test_what_never_came_is_infinite_and_counted():
    _, bigram, trigram, whole = scored((2, 0, 0, 1))
    assert bigram.nats_per_token == trigram.nats_per_token == math.inf
    assert (bigram.unseen_contexts, bigram.unseen_tokens) == (1, 1)  # nothing follows 2, nor 0 0
    assert (whole.unseen_contexts, whole.unseen_tokens) == (3, 0)
    assert whole.lacking == "3 of 3 contexts unseen" and whole.to_dict()["nats_per_token"] is None


@pytest.mark.parametrize("way", range(4))
def test_probabilities_after_a_context_that_came_add_up_to_one(way):
    total = sum(
        math.exp(-one.nats_per_token)
        for text in product((0, 1), (0, 1, 2))
        if text[0] == 1 and (one := scored(text)[way]).nats_per_token < math.inf
    )
    assert total == pytest.approx(1)
