"""Few contexts, each followed by few symbols: what a linear next-token model separates, or not.

A context is a pair of tokens, and a linear model sees the mean of their embeddings. Where no token
of one context is in another, embeddings of enough dimensions are independent, and the model can
reach the entropy as closely as one likes (Thrampoulidis 2024, arXiv:2402.18551, Lemma 1). In a
square of two first and two second tokens the contexts of the one diagonal add up to those of the
other, h11 + h22 = h12 + h21, whatever the embeddings. With symbols U after the one and V after the
other, weights that prefer every u to every v on the first diagonal by a margin prefer it on the
second: no weights separate them (Def. 2 there), and the loss stays above the entropy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import CorpusError
from sweeps.config.data import SparseContextsData
from sweeps.data.batch import Batch
from sweeps.data.sources.base import UNLIMITED_TOKENS, Corpus, CorpusFacts, hash_of
from sweeps.data.sources.generated.markov_chains import entropy_of, whole_weights
from sweeps.data.sources.philox import philox, seed_key

if TYPE_CHECKING:
    import torch

_TRAINING, _VALIDATION = 0, 1
_TOTAL = 1 << 32


@dataclass(frozen=True, kw_only=True)
class SparseContexts(Corpus):
    """Two tokens, and the symbol after them, which alone is asked for."""

    pairs: np.ndarray
    """(contexts, 2) int64 tokens of each context; those of symbols lie before them."""
    weights: np.ndarray
    """(contexts, symbols) int64 of the symbol after each context, over 2**32; 0 outside its
    support."""
    seed: int

    @property
    def probabilities(self) -> np.ndarray:
        """(contexts, symbols) Of the symbol after each context."""
        shares: np.ndarray = self.weights / _TOTAL
        return shares

    @property
    def knows_truth(self) -> bool:
        """See Corpus."""
        return True

    def truth(self, inputs: np.ndarray) -> np.ndarray:
        """See Corpus; the first place asks for nothing."""
        known = np.full((*inputs.shape, self.facts.vocab_size), np.nan)
        if inputs.shape[1] == self.pairs.shape[1]:
            contexts = (inputs[:, None] == self.pairs).all(axis=-1).argmax(axis=1)
            known[:, -1] = 0.0
            known[:, -1, : self.weights.shape[1]] = self.probabilities[contexts]
        return known

    @property
    def validation(self) -> Batch:
        """See Corpus."""
        import torch

        count = self.facts.validation_sequences
        return _asked(torch.from_numpy(self.rows(0, count, self.seed, _VALIDATION)))

    def batches(
        self, seed: int, first: int, last: int, sequences: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """See Corpus."""
        import torch

        rows = self._own_part(seed, first * sequences, last * sequences)
        return _asked(torch.from_numpy(rows).view(last - first, sequences, 3)).to(device)

    def host_part(self, seed: int, first: int, last: int) -> np.ndarray:
        """See Corpus: all of it."""
        return self.rows(first, last, seed, _TRAINING)

    def rows(self, first: int, last: int, seed: int, domain: int) -> np.ndarray:
        """(sequences, 3) int64: context and symbol of the seed's sequences first to last - 1."""
        return _drawn(self.pairs, self.weights, np.arange(first, last), seed, domain)


def _drawn(
    pairs: np.ndarray, weights: np.ndarray, numbers: np.ndarray, seed: int, domain: int
) -> np.ndarray:
    zero = 0 * numbers
    counter = (numbers & (_TOTAL - 1), numbers >> 32, zero, zero + domain)
    which, what, *_ = philox(counter, seed_key(seed))
    context = which * len(pairs) >> 32
    sums = np.cumsum(weights, axis=1) + np.arange(len(weights))[:, None] * _TOTAL
    found = np.searchsorted(sums.ravel(), context * _TOTAL + what, side="right")
    symbol = found - context * weights.shape[1]
    return np.concatenate([pairs[context], symbol[:, None]], axis=1)


def _asked(rows: torch.Tensor) -> Batch:
    """The second place asks for the symbol; the first asks for nothing."""
    import torch

    batch = Batch.of_windows(rows)
    weights = torch.zeros(batch.targets.shape)
    weights[..., -1] = 1.0
    return Batch(batch.inputs, batch.targets, weights)


def load_sparse_contexts(config: SparseContextsData, context: int) -> SparseContexts:
    """Contexts of two tokens. Raises CorpusError for another model.context."""
    if context != 2:
        raise CorpusError(
            f"model.context is {context}; contexts of data.source sparse-contexts have two tokens: "
            "give model.context 2"
        )
    draw = np.random.default_rng(config.seed)
    weights = np.zeros((config.contexts, config.symbols), dtype=np.int64)
    for number in range(config.contexts):
        if config.separable or number % 4 == 0:
            order = draw.permutation(config.symbols)
        side = 0 if config.separable or number % 4 in (0, 3) else config.support
        chosen = order[side : side + config.support]
        shares = draw.gamma(config.concentration, size=(1, config.support)) + 1e-3
        weights[number, chosen] = whole_weights(shares / shares.sum(), _TOTAL)[0]
    numbers = np.arange(config.contexts)
    if config.separable:
        pairs = np.stack([2 * numbers, 2 * numbers + 1], axis=1)
    else:
        square, place = numbers // 4, numbers % 4
        pairs = np.stack([4 * square + place // 2, 4 * square + 2 + place % 2], axis=1)
    pairs = pairs + config.symbols
    vocabulary = int(pairs.max()) + 1
    rows = _drawn(pairs, weights, np.arange(config.validation_windows), config.seed, _VALIDATION)
    entropy = float(entropy_of(weights / _TOTAL).mean())
    facts = CorpusFacts(
        data_hash=hash_of(pairs, weights),
        eval_hash=hash_of(rows),
        tokenizer="symbols",
        tokenizer_hash=hashlib.sha256(f"symbols {vocabulary}".encode()).hexdigest()[:16],
        vocab_size=vocabulary,
        train_tokens=UNLIMITED_TOKENS,
        validation_sequences=config.validation_windows,
        bytes_per_token=None,
        entropy=entropy,
        sequence_entropy=entropy,
        sequence_targets=1.0,
    )
    return SparseContexts(
        facts=facts, context=context, pairs=pairs, weights=weights, seed=config.seed
    )
