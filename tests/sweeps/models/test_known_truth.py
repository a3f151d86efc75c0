"""On a Markov chain the best loss of every objective is known; trained models come near it."""

import numpy as np
import pytest

from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.plan import plan_sweep
from sweeps.training.batches import validation_of
from sweeps.training.plain_loop import train_plainly

pytestmark = pytest.mark.slow  # some seconds each


def trained(tokens, width, context, **changes):
    """(plan, corpus, mean loss, its standard error) of one small model."""
    mapping = {
        "name": "truth",
        "grid": {"width": width, "tokens": tokens},
        "model": {"context": context, "head_size": 8} | changes.pop("model", {}),
        "data": {"source": "markov", "order": 1, "symbols": 4, "validation_windows": 2000},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"device": "cpu"},
    }
    config = config_from_mapping(mapping | changes)
    plan, corpus = plan_sweep(config).runs[0], load_corpus(config.data, context)
    losses = train_plainly([plan], corpus).sequence_losses[0]
    return plan, corpus, float(losses.mean()), float(losses.std() / len(losses) ** 0.5)


def losses_at_best(chain, batch):
    """Nats of each hidden token under the chain, given all tokens that are not hidden: the
    forward-backward algorithm."""
    rows = chain.rows / chain.rows.sum(axis=1, keepdims=True)
    hidden, targets = batch.weights.numpy() > 0, batch.targets.numpy()
    seen = np.where(hidden[..., None], 1.0, np.eye(len(rows))[targets])
    before, after = np.empty_like(seen), np.ones_like(seen)
    before[:, 0] = chain.starts / chain.starts.sum()
    for place in range(1, seen.shape[1]):
        before[:, place] = (before[:, place - 1] * seen[:, place - 1]) @ rows
    for place in reversed(range(seen.shape[1] - 1)):
        after[:, place] = (after[:, place + 1] * seen[:, place + 1]) @ rows.T
    chances = before * after / (before * after).sum(axis=-1, keepdims=True)
    chosen = np.take_along_axis(chances, targets[..., None], axis=-1)[..., 0]
    return -np.log(chosen[hidden])


def test_hidden_tokens_are_told_from_both_sides_and_never_better_than_the_chain_allows():
    targets = {"mask_share": 0.25}
    plan, corpus, loss, error = trained(400_000, 32, 8, objective="masked", targets=targets)
    least = losses_at_best(corpus.chain, validation_of(corpus, plan.asks)).mean()
    # .85, where the next token has 1.01 at best: whoever is below that has seen both sides.
    assert least - 3 * error < loss < corpus.facts.entropy - 3 * error


def test_what_the_source_alone_tells_is_learned_by_cross_attention():
    # One token of target, which depends on the source's last: unseen it has 1.36, at best 1.01.
    _, corpus, loss, error = trained(
        120_000,
        16,
        4,
        model={"family": "encoder_decoder/1"},
        objective="conditional",
        targets={"source_tokens": 4},
    )
    entropy = corpus.facts.entropy
    assert entropy - 3 * error < loss < entropy + 0.05
