"""Does training find the optimum of the linear model, which a convex solver finds exactly?

    python -m benchmarks.training.linear_optimum [-o linear_optimum.json]

The linear model is a softmax of a matrix times the mean of its prefix's embeddings: in the mean of
one-hot tokens its loss is convex. Every prefix that a source can make is listed with its
probability and with that of each next token, so both losses are over the whole population: that of
the trained model, and the least one of the model class, by BFGS with exact gradients. The embedding
is as wide as the vocabulary at least, so that it forbids nothing.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from scaling.arrays import FloatArray
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import Corpus
from sweeps.models.stacked import StackModel
from sweeps.planning.plan import plan_sweep
from sweeps.training.plain_loop import train_plainly
from sweeps.training.stack import build_model

#: Name, settings of the data, context, training tokens.
SOURCES: tuple[tuple[str, dict[str, Any], int, float], ...] = (
    ("bigram limit: markov, order 1", {"source": "markov", "order": 1, "symbols": 8}, 1, 4e5),
    ("markov, order 1", {"source": "markov", "order": 1, "symbols": 4}, 4, 4e5),
    ("markov, order 2", {"source": "markov", "order": 2, "symbols": 4}, 4, 4e5),
    ("bigram tasks", {"source": "bigram-tasks", "symbols": 4, "tasks": 4}, 4, 4e5),
    (
        "contexts that are not separable",
        {"source": "sparse-contexts", "symbols": 8, "contexts": 8, "separable": False},
        2,
        8e5,
    ),
    (
        "separable contexts",
        {"source": "sparse-contexts", "symbols": 8, "contexts": 8, "separable": True},
        2,
        8e5,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Population:
    """Every prefix that has a next token, by its last place."""

    prefixes: tuple[np.ndarray, ...]  # of length 1, 2 ...: (prefixes, length)
    means: FloatArray  # (all prefixes, tokens) shares of each token in it
    chances: FloatArray  # (all prefixes,) how often it comes, over all targets that count
    following: FloatArray  # (all prefixes, tokens) probabilities of the next token

    @property
    def entropy(self) -> float:
        """Nats a target of the best possible model."""
        return self.loss(np.log(np.where(self.following > 0, self.following, 1.0)))

    def loss(self, log_probabilities: FloatArray) -> float:
        """Nats a target of a model that says so."""
        nats = -(self.following * np.where(self.following > 0, log_probabilities, 0.0)).sum(axis=1)
        return float(self.chances @ nats)


def population(corpus: Corpus) -> Population:
    """All that a source without end of sentences can make, prefix by prefix."""
    rows, chance = _first_tokens(corpus)
    tokens = corpus.facts.vocab_size
    prefixes, means, chances, following = [], [], [], []
    for place in range(corpus.context):
        ahead = corpus.truth(rows)[:, -1]
        asked = np.isfinite(ahead).all(axis=1)
        if asked.any():
            prefixes.append(rows[asked])
            means.append(np.eye(tokens)[rows[asked]].mean(axis=1))
            chances.append(chance[asked])
            following.append(ahead[asked])
        if place + 1 < corpus.context:
            rows, chance = _longer(corpus, rows, chance, ahead)
    weights = np.concatenate(chances)
    return Population(
        prefixes=tuple(prefixes),
        means=np.concatenate(means),
        chances=weights / weights.sum(),
        following=np.concatenate(following),
    )


def _first_tokens(corpus: Corpus) -> tuple[np.ndarray, FloatArray]:
    """(tokens, 1) and (tokens,): what a sequence begins with, counted in the validation set where
    no chain says it."""
    from sweeps.data.sources.generated.corpus import GeneratedCorpus
    from sweeps.data.sources.generated.markov_chains import MarkovChain
    from sweeps.data.sources.generated.sparse_contexts import SparseContexts

    if isinstance(corpus, SparseContexts):
        first, counts = np.unique(corpus.pairs[:, 0], return_counts=True)
        return first[:, None], counts / counts.sum()
    assert isinstance(corpus, GeneratedCorpus), "sentences end, and are not listed here"
    chain = corpus.chain
    starts = chain.starts / chain.starts.sum()
    if isinstance(chain, MarkovChain):
        starts = starts.reshape(chain.symbols, -1).sum(axis=1)
    first = chain.prefix_token(np.arange(len(chain.starts)), 0)
    return np.unique(first)[:, None], starts


def _longer(
    corpus: Corpus, rows: np.ndarray, chance: FloatArray, ahead: FloatArray
) -> tuple[np.ndarray, FloatArray]:
    """The prefixes with each token that can follow; the second of a pair follows the first."""
    from sweeps.data.sources.generated.sparse_contexts import SparseContexts

    if isinstance(corpus, SparseContexts):
        return corpus.pairs, np.full(len(corpus.pairs), 1 / len(corpus.pairs))
    which, token = np.nonzero(ahead > 0)
    longer = np.concatenate([rows[which], token[:, None]], axis=1)
    return longer, chance[which] * ahead[which, token]


def convex_optimum(whole: Population) -> float:
    """The least loss of logits that are linear in the mean of one-hot tokens."""
    tokens = whole.means.shape[1]

    def loss(table: FloatArray) -> tuple[float, FloatArray]:
        log_p = log_softmax(whole.means @ table.reshape(tokens, tokens), axis=1)
        gap = whole.chances[:, None] * (np.exp(log_p) - whole.following)
        return whole.loss(log_p), (whole.means.T @ gap).ravel()

    options = {"gtol": 1e-8, "maxiter": 5000}
    found = minimize(loss, np.zeros(tokens**2), jac=True, method="BFGS", options=options)
    return float(found.fun)


@torch.no_grad()
def population_loss(model: StackModel, whole: Population) -> float:
    """Nats a target of a trained model, a stack of one, over the whole population."""
    parts = []
    for rows in whole.prefixes:
        logits = model(torch.from_numpy(rows)[None])[0].unflatten(0, rows.shape)[:, -1]
        parts.append(logits.double().log_softmax(-1).numpy())
    return whole.loss(np.concatenate(parts))


def measured(name: str, data: dict[str, Any], context: int, tokens: float) -> dict[str, Any]:
    """One source: entropy, optimum of the model class, and what training came to."""
    settings = {
        "name": "linear",
        "grid": {"width": 32, "tokens": tokens},
        "model": {"family": "linear_lm/1", "context": context},
        "data": {**data, "validation_windows": 64},
        "recipe": {"overrides": {"base_batch_tokens": 8192 * context, "z_loss": 0}},
        "launch": {"device": "cpu"},
    }
    config = config_from_mapping(settings)
    (run,) = plan_sweep(config).runs
    corpus = load_corpus(config.data, context)
    whole = population(corpus)
    trained = build_model(run)
    trained.hold(train_plainly([run], corpus).weights)
    entropy = corpus.facts.entropy
    assert entropy is not None and abs(whole.entropy - entropy) < 1e-9, "the list is whole"
    return {
        "source": name,
        "context": context,
        "tokens": run.tokens,
        "entropy": entropy,
        "optimum": convex_optimum(whole),
        "loss": population_loss(trained, whole),
    }


def line(row: dict[str, Any]) -> str:
    """A source in a line."""
    above = row["loss"] - row["optimum"]
    return (
        f"{row['source']:32} context {row['context']}  entropy {row['entropy']:.5f}  optimum "
        f"{row['optimum']:.5f}  trained {row['loss']:.5f}, {above:+.1e} above the optimum"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a source; write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = []
    for source in SOURCES:
        rows.append(measured(*source))
        print(line(rows[-1]), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
