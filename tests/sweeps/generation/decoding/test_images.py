"""Facts about images that models draw: what can be drawn, and how their labels are read."""

import numpy as np
import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.probes import ProbesConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.questions import questions
from sweeps.data.registry import load_corpus
from sweeps.generation.decoding.images import drawn_tokens, label_accuracy
from sweeps.generation.decoding.sampling import SamplingRule
from sweeps.generation.metrics.probes import probe
from sweeps.planning.plan import plan_sweep
from sweeps.training.stack import build_model

DATA = {"source": "images", "tokens": "grey", "max_epochs": 9}
RULE = SamplingRule()


def built(**changes):
    """An untrained model of digits, and what it would be trained on."""
    mapping = {"name": "a", "grid": {"width": 16, "tokens": 20_000}, "data": DATA}
    plan = plan_sweep(config_from_mapping(mapping | changes))
    config = plan.config
    return build_model(plan.runs[0]), load_corpus(config.data, config.model.context)


def test_only_tokens_of_images_are_drawn():
    model, corpus = built()
    labels = [[17 + digit] for digit in range(10)] * 30
    found = drawn_tokens(model, corpus.vocabulary, labels, rule=RULE, seed=1)
    assert found.shape == (300, 64)
    assert found.max() == 16  # an untrained model draws labels as often as levels
    again = drawn_tokens(model, corpus.vocabulary, labels, rule=RULE, seed=1)
    assert np.array_equal(found, again)


def test_an_encoder_that_reads_the_label_draws_too():
    model, corpus = built(model={"family": "encoder_decoder/1"}, objective="conditional")
    found = drawn_tokens(model, corpus.vocabulary, [[17], [18]], rule=RULE, seed=1)
    assert found.shape == (2, 64)


def test_a_classifier_reads_real_images_and_no_noise():
    model, corpus = built()
    drawn, held_back = label_accuracy(model, corpus, 5, RULE)
    assert len(drawn) == 50 and len(held_back) == 270
    assert held_back.mean() > 0.95
    assert drawn.mean() < 0.4  # one in ten by chance; six standard errors of 50


def test_images_that_are_copied_have_the_labels_that_were_asked_for(monkeypatch):
    model, corpus = built()
    rows = {int(row[0]): row[1:] for row in corpus.held_back}

    def copied(model, vocabulary, labels, *, rule, seed):
        return np.stack([rows[label] for (label,) in labels])

    monkeypatch.setattr("sweeps.generation.decoding.images.drawn_tokens", copied)
    drawn, _ = label_accuracy(model, corpus, 2, RULE)
    assert drawn.mean() >= 0.9


def test_the_probe_gives_columns_with_standard_errors():
    model, corpus = built()
    asked = questions(ProbesConfig(image_samples=3), corpus)
    torch.manual_seed(0)
    found = probe(model, corpus, asked)
    assert set(found) == {
        f"metric.{name}{part}"
        for name in ("drawn_label_accuracy", "held_back_label_accuracy")
        for part in ("", "_stderr")
    }
    assert found == probe(model, corpus, asked)  # whatever was drawn in between


def test_images_are_drawn_of_labels_alone():
    _, corpus = built(data=DATA | {"labels": "none"})
    with pytest.raises(ConfigError, match="choose data.source images with labels"):
        questions(ProbesConfig(image_samples=3), corpus)
    with pytest.raises(ConfigError, match="probes.image_temperature is about images, and none"):
        ProbesConfig(image_temperature=0.5)
    with pytest.raises(ConfigError, match="probes.image_samples is 0; it must be positive"):
        ProbesConfig(image_samples=0)
