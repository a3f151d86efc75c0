"""Contexts are distributions, and their loss is the cross-entropy of a linear model."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from analysis.studies.contexts import Contexts, contexts_of_tokens, random_contexts
from scaling.errors import FitError


@pytest.fixture
def contexts():
    return random_contexts(contexts=5, dimensions=3, vocabulary=4, support=2, seed=0)


def test_the_gradient_is_the_losses_derivative(contexts):
    def loss(w):
        return contexts.excess_loss(w.reshape(4, 3))

    def gradient(w):
        return contexts.gradient(w.reshape(4, 3)).ravel()

    assert check_grad(loss, gradient, np.linspace(-1, 1, 12)) < 1e-6


def test_excess_loss_is_cross_entropy_above_entropy(contexts):
    weights = np.zeros((4, 3))
    assert contexts.excess_loss(weights) + contexts.entropy == pytest.approx(np.log(4))


def test_a_step_of_one_over_the_smoothness_never_raises_the_loss(contexts):
    weights, step = np.zeros((4, 3)), 1 / contexts.smoothness
    losses = []
    for _ in range(50):
        losses.append(contexts.excess_loss(weights))
        weights -= step * contexts.gradient(weights)
    assert (np.diff(losses) < 0).all()


def test_the_probabilities_of_a_training_set_are_shares_of_its_counts():
    found = random_contexts(
        contexts=4, dimensions=3, vocabulary=5, support=3, seed=1, sequences=4 * 20 + 2
    )
    often = found.frequencies * 82
    assert often == pytest.approx([21, 21, 20, 20])
    counts = found.next_token * often[:, None]
    assert counts == pytest.approx(counts.round())
    assert (found.support.sum(axis=1) == 3).all()


def test_counts_come_to_the_probabilities_as_the_training_set_grows():
    """1e8 sequences: a share of 2e7 of them is within 5 standard deviations, 6e-4."""
    same = {"contexts": 5, "dimensions": 3, "vocabulary": 4, "support": 2, "seed": 0}
    counted = random_contexts(**same, sequences=100_000_000)
    whole = random_contexts(**same)
    assert counted.next_token == pytest.approx(whole.next_token, abs=6e-4)
    assert (counted.embeddings == whole.embeddings).all()


def test_a_training_set_too_small_for_its_supports_is_refused():
    with pytest.raises(FitError, match="11 sequences; 4 contexts that 3 tokens follow take 12"):
        random_contexts(contexts=4, dimensions=3, vocabulary=5, support=3, seed=1, sequences=11)


def test_positions_of_one_context_are_counted_together():
    embeddings = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    found = contexts_of_tokens(embeddings, ["the", "the", "a"], [0, 1, 1])
    assert found.embeddings.tolist() == [[2.0, 0.0], [0.0, 1.0]]
    assert found.next_token.tolist() == [[0.5, 0.5], [0.0, 1.0]]
    assert found.frequencies == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"next_token": np.ones((2, 2))}, "must add up to one"),
        ({"next_token": np.eye(3)}, "give one of each a context"),
        ({"frequencies": np.array([1.0, 0.0])}, "frequencies must be positive"),
        ({"embeddings": np.full((2, 2), np.nan)}, "embeddings holds a value that is no finite"),
        ({"embeddings": np.zeros(2)}, "give embeddings"),
    ],
)
def test_what_is_no_distribution_is_refused(change, message):
    whole = {
        "embeddings": np.eye(2),
        "next_token": np.eye(2),
        "frequencies": np.array([0.5, 0.5]),
    }
    with pytest.raises(FitError, match=message):
        Contexts(**{**whole, **change})


def test_a_support_beyond_the_vocabulary_is_refused():
    with pytest.raises(FitError, match="a support of 5 of 4 tokens"):
        random_contexts(contexts=1, dimensions=1, vocabulary=4, support=5, seed=0)
