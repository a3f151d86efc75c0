"""Generated sources: free and without end, never repeated, and no model may beat their entropy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import CorpusError
from sweeps.config.data import BigramTasksData, GeneratedData, MarkovData
from sweeps.data.batch import Batch
from sweeps.data.sources.base import UNLIMITED_TOKENS, CorpusFacts, WindowCorpus, hash_of
from sweeps.data.sources.generated.markov_chains import Chain, bigram_tasks, markov_chain
from sweeps.data.sources.generated.walks import Tables

if TYPE_CHECKING:
    import torch

_TRAINING, _VALIDATION = 0, 1
_STANDARD_ERRORS = 3.0


@dataclass(frozen=True, kw_only=True)
class GeneratedCorpus(WindowCorpus):
    """Sequences of a chain, each computed from its number and the run's seed."""

    chain: Chain
    _tables: dict[str, Tables] = field(default_factory=dict, repr=False, compare=False)

    @property
    def knows_truth(self) -> bool:
        """See Corpus."""
        return True

    def truth(self, inputs: np.ndarray) -> np.ndarray:
        """See Corpus."""
        return self.chain.next_tokens(inputs)

    def windows_read(
        self, seed: int, first: int, last: int, device: torch.device | str
    ) -> torch.Tensor:
        """See WindowCorpus; computed on the device."""
        return self._walked([seed], first, last, device)[0]

    def batches_of_seeds(
        self,
        seeds: Sequence[int],
        first: int,
        last: int,
        sequences: int,
        device: torch.device | str = "cpu",
    ) -> list[Batch]:
        """See Corpus: one walk for all, since on a GPU its kernels cost more than its tokens."""
        found = self._walked(seeds, first * sequences, last * sequences, device)
        cut = found.view(len(seeds), last - first, sequences, self.context + 1)
        return [Batch.of_windows(one) for one in cut]

    def _walked(
        self, seeds: Sequence[int], first: int, last: int, device: torch.device | str
    ) -> torch.Tensor:
        """(seeds, windows, context + 1)"""
        import torch

        key = str(device)
        if key not in self._tables:
            there = (torch.from_numpy(table).to(device) for table in self.chain.tables)
            self._tables[key] = Tables(*there)
        numbers, tables = torch.arange(first, last, device=device), self._tables[key]
        return self.chain.sequences_on(numbers, self.context + 1, seeds, _TRAINING, tables)


def load_markov(config: MarkovData, context: int) -> GeneratedCorpus:
    """Order-k Markov sequences. Raises CorpusError for a table too large to hold."""
    chain = markov_chain(config.symbols, config.order, config.concentration, config.seed)
    return _corpus(chain, config, context)


def load_bigram_tasks(config: BigramTasksData, context: int) -> GeneratedCorpus:
    """Many bigram tasks. Raises CorpusError for tables too large to hold."""
    chain = bigram_tasks(
        config.symbols, config.tasks, config.zipf, config.concentration, config.seed
    )
    return _corpus(chain, config, context)


def _corpus(chain: Chain, config: GeneratedData, context: int) -> GeneratedCorpus:
    """The validation set is the source's alone: its seed, and a domain of its own, in which no
    training sequence lies."""
    if context < chain.prefix_length:
        raise CorpusError(
            f"model.context {context} is shorter than the {chain.prefix_length} tokens that a "
            "sequence begins with; give a longer context or a lower data.order"
        )
    numbers = np.arange(config.validation_windows)
    validation = chain.sequences(numbers, context + 1, config.seed, _VALIDATION)
    facts = CorpusFacts(
        data_hash=chain.hash,
        eval_hash=hash_of(validation),
        tokenizer="symbols",
        tokenizer_hash=hashlib.sha256(f"symbols {chain.vocab_size}".encode()).hexdigest()[:16],
        vocab_size=chain.vocab_size,
        train_tokens=UNLIMITED_TOKENS,
        validation_sequences=len(validation),
        bytes_per_token=None,
        entropy=chain.entropy(context),
    )
    return GeneratedCorpus(facts=facts, held_back=validation, context=context, chain=chain)


def entropy_leak(loss: float, stderr: float, entropy: float | None) -> str | None:
    """Why a validation loss is too good to be true; None where it is not.

    No model beats the entropy of its source but by luck of the sample: a loss more than three
    standard errors below it means that targets leak into the inputs, or that one of the two numbers
    is wrong. loss, stderr, entropy: nats per token. An unknown entropy (None) is never beaten; a
    standard error that is not finite counts as 0.
    """
    if entropy is None:
        return None
    slack = _STANDARD_ERRORS * stderr if np.isfinite(stderr) else 0.0
    if loss >= entropy - slack:
        return None
    return (
        f"validation loss {loss:.5f} is below the source's entropy {entropy:.5f} by more than "
        f"{_STANDARD_ERRORS:g} standard errors of {stderr:.5f}: something leaks; check the "
        "attention mask and the shift of targets"
    )
