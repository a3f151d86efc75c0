"""What counting the training text gives where a run's loss was measured: columns `baseline.NAME`.

The same validation windows, the same targets, each given the tokens before it in its window; nats a
target, as the run's loss. `scaling.extra_columns.references` says what each is.
"""

import functools

import numpy as np
import torch

from scaling.arrays import FloatArray, IntArray
from scaling.extra_columns.references import BASELINE, COUNTED, NEVER, SCORED, UNSEEN
from sweeps.config.data import DataConfig
from sweeps.config.rules.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.data.n_grams import Followed, interpolated_nats, n_grams, whole_prefixes
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import Corpus, WindowCorpus
from sweeps.objectives.base import Objective
from sweeps.objectives.registry import find_objective

#: Training tokens that are counted, from the first; more would take gigabytes.
MOST_COUNTED = 1 << 24
_NAMES = ("unigram", "bigram", "trigram")


@functools.lru_cache(maxsize=2)
def baselines_of(
    data: DataConfig, context: int, objective: str, targets: TargetsConfig | None
) -> dict[str, float]:
    """`baselines` of the corpus that a config names, kept for the runs that follow."""
    corpus = load_corpus(data, context)
    symbols = corpus.facts.used_vocab_size or corpus.facts.vocab_size
    return baselines(corpus, find_objective(objective).configured(targets, symbols))


def baselines(corpus: Corpus, objective: Objective) -> dict[str, float]:
    """The columns of runs on a corpus by an objective: none of a source that has no text to count,
    and of an objective that sees both sides. A loss that is infinite is left out, and the columns
    beside it say how much never came."""
    seen = corpus.training_text(MOST_COUNTED)
    if seen is None or not isinstance(corpus, WindowCorpus) or objective.view == "both":
        return {}
    rows = corpus.held_back.astype(np.int64)
    weights = _weights(objective, rows)
    grams = n_grams(seen, rows, len(_NAMES) - 1)
    tokens = corpus.facts.used_vocab_size or corpus.facts.vocab_size
    found: dict[str, float] = {COUNTED: len(seen), SCORED: int((weights > 0).sum())}
    for name, counted in zip(_NAMES, grams, strict=True):
        found |= _as_counted(name, counted, weights)
    found |= _as_counted("empirical", whole_prefixes(seen, rows), weights)
    for name, nats in zip(_NAMES[1:], interpolated_nats(grams, tokens)[1:], strict=True):
        found[f"{BASELINE}{name}_interpolated"] = _mean(nats, weights)
    return found


def _weights(objective: Objective, rows: IntArray) -> FloatArray:
    """(rows, context + 1) How much each token of the windows counts in the objective's loss."""
    windows = Batch.of_windows(torch.from_numpy(rows)[None])
    asked = objective.asked(windows, 0, 0)
    found = np.zeros(rows.shape)
    found[:, 1:] = 1.0 if asked.weights is None else asked.weights[0].double().numpy()
    return found


def _as_counted(name: str, counted: Followed, weights: FloatArray) -> dict[str, float]:
    """A loss where it is finite, and else how much never came."""
    asked = weights > 0
    unseen = int((asked & (counted.contexts == 0)).sum())
    never = int((asked & (counted.contexts > 0) & (counted.tokens == 0)).sum())
    if unseen or never:
        return {f"{BASELINE}{name}{UNSEEN}": unseen, f"{BASELINE}{name}{NEVER}": never}
    return {f"{BASELINE}{name}": _mean(counted.nats, weights)}


def _mean(nats: FloatArray, weights: FloatArray) -> float:
    asked = weights > 0
    return float(np.average(nats[asked], weights=weights[asked]))
