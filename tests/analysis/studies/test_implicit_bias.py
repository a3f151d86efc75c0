"""Training goes where the theory says: the entropy, W* inside F, the margin's direction beyond."""

import json

import numpy as np
import pytest

from analysis import random_contexts, study_implicit_bias
from analysis.plots.implicit_bias import PANELS, save_implicit_bias_figure, save_plane_figure
from analysis.studies.conditions import decide
from analysis.studies.contexts import Contexts, contexts_in_the_plane
from analysis.studies.descent import adam, descend, gradient_descent, normalised_gradient_descent
from benchmarks.training.implicit_bias import paper_contexts
from scaling.errors import ConfigError
from scaling.limits import LimitCode


@pytest.fixture(scope="module")
def study():
    return study_implicit_bias(contexts_in_the_plane(), steps=3000)


def test_the_loss_comes_to_the_entropy_and_the_norm_grows(study):
    for end in study.last:
        path = [point for point in study.waypoints if point.optimiser == end.optimiser]
        assert end.excess_loss < 0.01 * path[0].excess_loss  # gradient descent: as 1 / steps
        assert (np.diff([point.norm for point in path[2:]]) > 0).all()


def test_the_direction_beyond_the_finite_part_turns_to_the_margins(study):
    """Adam's too, but not as near: the theorem is one of gradient descent."""
    for end in study.last:
        assert end.cosine_beyond > (0.9 if end.optimiser == "Adam" else 0.99)
        assert end.distance_in_f < 0.1


def test_each_optimiser_is_looked_at_from_its_first_step_to_its_last(study):
    assert {point.optimiser for point in study.waypoints if point.step == 1} == {
        point.optimiser for point in study.last if point.step == 3000
    }
    assert len(study.last) == 3


def test_contexts_without_a_direction_are_followed_by_their_loss_alone():
    contexts = random_contexts(contexts=12, dimensions=2, vocabulary=6, support=3, seed=3)
    study = study_implicit_bias(contexts, steps=10)
    assert not study.is_compatible and not study.is_separable
    assert {limit.code for limit in study.limits} == {LimitCode.NO_ANSWER}
    assert all(p.cosine is p.cosine_beyond is p.distance_in_f is None for p in study.waypoints)
    assert "not compatible, not separable" in str(study)
    assert study.plot().get_ylabel().startswith("Loss above entropy")
    with pytest.raises(ConfigError, match="this study has excess_loss"):
        study.plot(of="cosine_beyond")


def test_no_direction_is_claimed_where_no_logit_has_to_grow():
    contexts = Contexts(
        embeddings=np.eye(2), next_token=np.full((2, 3), 1 / 3), frequencies=np.array([0.5, 0.5])
    )
    study = study_implicit_bias(contexts, steps=5)
    assert all(point.cosine is None for point in study.waypoints)
    assert "no logit has to grow" in study.limits[0].text


def test_json_frame_and_text_hold_the_same(study):
    document = json.loads(study.to_json())
    assert document["entropy"] == pytest.approx(0.8811)
    frame = study.to_frame()
    assert frame["excess_loss"].tolist() == [p["excess_loss"] for p in document["waypoints"]]
    assert f"{study.last[0].cosine_beyond:.4f}" in str(study)


def test_optimisers_take_the_steps_that_they_are_named_for():
    contexts = contexts_in_the_plane()
    first = contexts.gradient(np.zeros((5, 2)))

    def after_one(optimiser):
        return next(iter(descend(contexts, optimiser, at=[1])))[1]

    assert after_one(gradient_descent(0.5)) == pytest.approx(-0.5 * first)
    assert np.linalg.norm(after_one(normalised_gradient_descent(0.01))) == pytest.approx(0.01)
    moved = np.abs(after_one(adam(0.01)))[np.abs(first) > 1e-6]
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_no_step_is_no_study():
    with pytest.raises(ConfigError, match="steps: 0"):
        study_implicit_bias(contexts_in_the_plane(), steps=0)


def test_weights_to_start_from_are_where_training_starts():
    contexts = contexts_in_the_plane()
    start = np.ones((5, 2))
    study = study_implicit_bias(
        contexts, steps=1, optimisers=[normalised_gradient_descent(1e-9)], start=start
    )
    assert study.last[0].norm == pytest.approx(np.sqrt(10))
    with pytest.raises(ConfigError, match="these contexts take"):
        study_implicit_bias(contexts, steps=1, start=start.T)


def test_the_figures_of_the_paper_have_a_panel_each_for_what_it_shows(tmp_path):
    contexts = contexts_in_the_plane()
    study = study_implicit_bias(contexts, steps=20)
    labels = [study.plot(of=name).get_ylabel() for name in PANELS]
    assert [label.split()[0] for label in labels] == ["Loss", "Norm", "Cosine", "Distance"]
    raw_and_corrected = study.plot(of="cosine_beyond").lines
    assert len(raw_and_corrected) == 6 and len(study.plot(of="norm").lines) == 3
    save_implicit_bias_figure(study, tmp_path / "steps.png")
    save_plane_figure(contexts, decide(contexts), tmp_path / "plane.png")
    with pytest.raises(ConfigError, match="contexts in 3 dimensions: those of 2 can be drawn"):
        other = random_contexts(contexts=2, dimensions=3, vocabulary=3, support=2, seed=0)
        save_plane_figure(other, decide(other), tmp_path / "other.png")


def test_a_condition_that_fails_has_no_panel_in_the_plane(tmp_path):
    contexts = random_contexts(contexts=12, dimensions=2, vocabulary=6, support=3, seed=3)
    save_plane_figure(contexts, decide(contexts), tmp_path / "plane.svg")
    assert "Rows of" not in (tmp_path / "plane.svg").read_text()


@pytest.mark.slow
def test_the_papers_second_experiment_in_the_median_of_twenty_seeds():
    """m 50, d 60, V 10, supports of 6, 5,000 sequences. The part on F: .0046 in the median, at most
    .006 for 17 seeds of 20; it is worse where a token that came once has a context to itself."""
    ends = [
        study_implicit_bias(
            paper_contexts(seed), steps=10_000, optimisers=[normalised_gradient_descent(0.01)]
        ).last[0]
        for seed in range(20)
    ]
    assert np.median([end.excess_loss for end in ends]) < 5e-4
    assert min(end.cosine_beyond for end in ends) > 0.96
    assert np.median([end.distance_in_f for end in ends]) < 0.006


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_direction_rises_throughout_a_hundred_thousand_steps_of_gradient_descent(seed):
    study = study_implicit_bias(
        paper_contexts(seed), steps=100_000, optimisers=[gradient_descent(0.5)]
    )
    assert (np.diff([point.cosine_beyond for point in study.waypoints]) > 0).all()
    assert study.last[0].cosine_beyond > 0.97
    assert study.last[0].distance_in_f < 0.006
