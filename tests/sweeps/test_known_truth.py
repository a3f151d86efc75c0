"""Every source whose truth is known says so in one way, and every record of it holds the numbers
that compare a loss with that truth."""

import numpy as np
import pytest

from scaling.columns import NATS_PER_TOKEN
from scaling.errors import ConfigError
from sweeps.config.data import SOURCES, StoredData
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.objectives.registry import OBJECTIVES
from sweeps.planning.plan import plan_sweep
from sweeps.running.task import Task
from sweeps.running.worker import train_task
from tests.sweeps.training.test_sources_train import OneRun

#: Of each source whose truth is known: its settings here, and a context.
KNOWN = {
    "markov": ({"symbols": 8, "order": 1}, 16),
    "bigram-tasks": ({"symbols": 8, "tasks": 4}, 16),
    "sparse-contexts": ({"symbols": 8, "contexts": 4}, 2),
    "grammar": ({"rules": ["S -> a S b [0.4]", "S -> c [0.6]"]}, 16),
    "anbn": ({"q": 0.6}, 16),
}


#: Sources whose first places see less than what later ones depend on.
DEEPER = {"markov": {"symbols": 4, "order": 3}}


def config_of(source, deeper=False, **more):
    settings, context = KNOWN[source]
    settings = DEEPER[source] if deeper else settings
    return config_from_mapping(
        {
            "name": "truth",
            "grid": {"width": 8, "tokens": 3000},
            "model": {"context": context, "head_size": 8},
            "data": {"source": source, "validation_windows": 2000, **settings},
            "recipe": {"name": "cpt-adamw-tiny/1"},
            "launch": {"device": "cpu"},
            **more,
        }
    )


def test_every_source_that_is_generated_is_tried_here():
    generated = {name for name, kind in SOURCES.items() if not issubclass(kind, StoredData)}
    assert generated == set(KNOWN)  # of what lies in files nobody knows the entropy


@pytest.mark.parametrize(
    ("source", "deeper"), [*((name, False) for name in KNOWN), *((name, True) for name in DEEPER)]
)
def test_the_entropy_is_what_the_sources_own_probabilities_cost(source, deeper):
    corpus = load_corpus(config_of(source, deeper).data, KNOWN[source][1])
    held = corpus.validation
    truth = corpus.truth(held.inputs.numpy())
    known = np.isfinite(truth).all(axis=-1)
    counts = held.weights.numpy() > 0 if held.weights is not None else np.ones_like(known)
    assert (known == counts).all()
    of_target = np.take_along_axis(truth, held.targets.numpy()[..., None], axis=-1)[..., 0]
    nats = -np.log(np.where(known, of_target, 1.0)).sum(axis=1)
    targets = known.sum(axis=1)
    mean, entropy = nats.sum() / targets.sum(), corpus.facts.entropy
    of_ratio = (nats - mean * targets) / targets.mean()
    # three standard errors over 2,000 sequences that are the same each time
    assert abs(mean - entropy) < 3 * of_ratio.std() / np.sqrt(len(nats))
    if corpus.facts.sequence_targets is not None:
        per_sequence = corpus.facts.sequence_entropy / corpus.facts.sequence_targets
        assert per_sequence == pytest.approx(entropy)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("source", KNOWN)
def test_a_record_has_entropy_excess_and_count_of_targets_together_or_none(source, objective):
    try:
        plan = plan_sweep(config_of(source, objective=objective))
    except ConfigError as refused:
        assert "choose another of the two" in str(refused)
        return
    (run,), store = plan.runs, OneRun()
    train_task(Task.of_one(run, plan.config.data, plan.config.launch, store), lambda event: None)
    found = store.record
    if run.loss_kind not in NATS_PER_TOKEN:  # nobody has computed what such a loss cannot beat
        assert not {"entropy", "excess_loss", "sequence_entropy"} & found.keys()
        return
    assert found["entropy"] == run.data.entropy
    assert found["excess_loss"] == found["loss"] - found["entropy"]
    counted = found.get("target_tokens") or found["sequence_targets"]
    assert counted > 0
    if "sequence_targets" in found:
        per_token = found["sequence_entropy"] / found["sequence_targets"]
        assert per_token == pytest.approx(found["entropy"])
