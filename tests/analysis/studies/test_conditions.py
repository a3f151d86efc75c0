"""Compatibility and separability are decided, and each decision carries its proof."""

import numpy as np
import pytest
from scipy.optimize import nnls

from analysis.studies.conditions import decide
from analysis.studies.contexts import Contexts, contexts_in_the_plane, random_contexts
from benchmarks.training.implicit_bias import agreement, separable_by_linear_program


def _random(seed, *, contexts, dimensions, vocabulary=6, support=3):
    return random_contexts(
        contexts=contexts, dimensions=dimensions, vocabulary=vocabulary, support=support, seed=seed
    )


def _differences(contexts, weights):
    """Logit of each token less that of its context's first supported one."""
    logits = contexts.embeddings @ weights.T
    first = contexts.support.argmax(axis=1)
    return logits - np.take_along_axis(logits, first[:, None], axis=1)


def test_the_two_solutions_do_what_they_are_for():
    contexts = _random(1, contexts=8, dimensions=10)
    found = decide(contexts)
    inside, outside = contexts.support, ~contexts.support
    log = np.log(np.where(inside, contexts.next_token, 1.0))
    ratios = log - np.take_along_axis(log, inside.argmax(axis=1)[:, None], axis=1)
    assert _differences(contexts, found.compatible_weights)[inside] == pytest.approx(
        ratios[inside], abs=1e-9
    )
    margins = _differences(contexts, found.separating_weights)
    assert margins[inside] == pytest.approx(0.0, abs=1e-9)
    assert margins[outside].max() == pytest.approx(-1.0, abs=1e-9)
    across = (found.compatible_weights * found.separating_weights).sum()
    assert across == pytest.approx(0.0, abs=1e-9)


def test_no_other_separating_weights_are_smaller():
    """Karush, Kuhn and Tucker: they are a non-negative mixture of the margins that they touch."""
    contexts = _random(2, contexts=6, dimensions=6)
    found = decide(contexts)
    span = found.span
    weights = span.vector(found.separating_weights)
    free = span.bases[1]
    touched = span.outside[span.outside @ weights < 1 + 1e-9]
    mixture, missed = nnls(free.T @ touched.T, free.T @ weights)
    assert missed < 1e-9 * np.linalg.norm(weights)
    assert 0 < len(touched) < len(span.outside)
    assert mixture.sum() == pytest.approx(weights @ weights)


@pytest.mark.parametrize("seed", range(6))
def test_as_many_dimensions_as_contexts_reach_the_entropy(seed):
    assert decide(_random(seed, contexts=7, dimensions=7)).reaches_entropy


def test_too_few_dimensions_are_refused_with_a_combination_that_contradicts_itself():
    contexts = _random(3, contexts=12, dimensions=2)
    found = decide(contexts)
    assert not found.is_compatible and not found.is_separable
    span = found.span
    assert found.incompatible_by @ span.inside == pytest.approx(0.0, abs=1e-7)
    assert found.incompatible_by @ span.log_ratios == pytest.approx(1.0)
    free = span.bases[1]
    assert (found.inseparable_by >= 0).all()
    assert found.inseparable_by.sum() == pytest.approx(1.0)
    assert found.inseparable_by @ span.outside @ free == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_separability_is_decided_right_on_two_hundred_instances_on_both_sides_of_d_equal_m():
    counts = agreement(200)
    assert counts["agree"] == 200 and counts["disagree"] == 0
    assert min(counts["separable"], counts["not separable"]) > 50


@pytest.mark.parametrize("seed", range(12))
def test_separability_is_what_a_linear_program_in_the_weights_finds(seed):
    contexts = _random(seed, contexts=6, dimensions=2 + seed % 4, vocabulary=5, support=2)
    assert decide(contexts).is_separable == separable_by_linear_program(contexts)


def test_one_token_a_context_is_the_classic_margin():
    """All supports of one token: F is empty, the entropy zero, and W^mm the support vectors'."""
    contexts = Contexts(
        embeddings=np.array([[1.0], [-1.0]]),
        next_token=np.eye(2),
        frequencies=np.array([0.5, 0.5]),
    )
    found = decide(contexts)
    assert contexts.entropy == 0
    assert not found.compatible_weights.any()
    assert found.separating_weights == pytest.approx(np.array([[0.5], [-0.5]]))


def test_contexts_that_any_token_follows_need_no_direction():
    contexts = Contexts(
        embeddings=np.eye(2), next_token=np.full((2, 3), 1 / 3), frequencies=np.array([0.5, 0.5])
    )
    found = decide(contexts)
    assert found.reaches_entropy
    assert not found.separating_weights.any()


def test_the_plane_of_the_paper_has_its_entropy_and_both_conditions():
    contexts = contexts_in_the_plane()
    assert contexts.entropy == pytest.approx(0.8811, abs=1e-9)
    assert contexts.support.sum(axis=0).tolist() == [2, 2, 1, 2, 2]
    assert decide(contexts).reaches_entropy


def test_the_rows_of_the_planes_margin_lie_as_the_papers_caption_says():
    """Figure 1: the row of the token that follows A alone parts A from the other contexts, each
    other row lies in the cone of its two contexts, and the wider that cone the longer the row."""
    contexts = contexts_in_the_plane()
    rows = decide(contexts).separating_weights
    alone = contexts.embeddings @ rows[2]
    assert alone[0] > 0 > max(alone[1:])
    lengths, angles = [], []
    for token in (0, 3, 1):
        cone = contexts.embeddings[contexts.support[:, token]]
        assert (np.linalg.solve(cone.T, rows[token]) > 0).all()
        lengths.append(np.linalg.norm(rows[token]))
        angles.append(np.arccos(cone[0] @ cone[1]))
    assert np.degrees(angles) == pytest.approx([100, 120, 140])
    assert lengths == sorted(lengths)


def test_tokens_of_one_support_pattern_differ_in_the_finite_part_alone():
    """Figure 2 of the paper: the margin knows supports, the finite part probabilities."""
    found = decide(contexts_in_the_plane())
    assert found.separating_weights[3] == pytest.approx(found.separating_weights[4])
    assert np.abs(found.compatible_weights[3] - found.compatible_weights[4]).max() > 0.1
    other = decide(contexts_in_the_plane(seed=1))
    assert other.separating_weights == pytest.approx(found.separating_weights)
