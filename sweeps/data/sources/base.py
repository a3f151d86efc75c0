"""What every source of training data delivers: the seam between this folder and training.

A source delivers a Corpus: facts, a fixed validation set, and batches. Batches are not drawn but
computed: what a step reads is a pure function of the seed and the step, so a resumed run needs its
step number and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sweeps.data.batch import Batch

if TYPE_CHECKING:
    import torch

    from sweeps.data.documents.summary import PairsSummary, TextSummary
    from sweeps.data.tokens.vocabulary import Vocabulary

#: `train_tokens` of a source that never repeats itself.
UNLIMITED_TOKENS = sys.maxsize


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """What a run's identity and record keep of its data. A fact that is None says nothing."""

    data_hash: str
    """Of all text, in whatever order or folder the files lie, and of how it is split."""
    eval_hash: str
    """Of the validation sequences: losses on two of them are not comparable."""
    tokenizer: str
    tokenizer_hash: str
    vocab_size: int
    """Logits of the model; where `used_vocab_size` is smaller, the rest is padding."""
    train_tokens: int
    """Distinct tokens to train on: whole windows; UNLIMITED_TOKENS for a generated source."""
    validation_sequences: int
    bytes_per_token: float | None
    """Bytes of the validation targets over their number, so that bits per byte is exact; none where
    tokens stand for no text."""
    used_vocab_size: int | None = None
    """Tokens that can occur; the model gives the others no probability. None: all."""
    entropy: float | None = None
    """Nats per token below which no model's validation loss can lie, where that is known; padding
    is no token."""
    sequence_entropy: float | None = None
    """Nats a sequence, where sequences are whole: entropy times sequence_targets."""
    sequence_targets: float | None = None
    """Targets of a sequence that count, on the average of all that can come; of pairs, on that of
    the validation set."""
    source_tokens: int | None = None
    """Tokens that each sequence begins with and that are given, where the corpus has such."""
    token_unit: str | None = None
    """What a token is that no loss of other tokens compares with, such as a dimension of an image;
    None: a token."""
    pair_room: int | None = None
    """Of pairs: how many of a block's tokens are kept for a source and its separator; the others
    are for its target."""
    reconstruction_error: float | None = None
    """Share of the variance of the validation images' pixels that their codes lose."""
    codebook_use: float | None = None
    """Share of the codebook that occurs among their codes."""
    codebook_perplexity: float | None = None
    """exp of the entropy of their codes."""

    @property
    def codebook_facts(self) -> dict[str, float | None]:
        """The columns of the records table on the codes of images."""
        names = ("reconstruction_error", "codebook_use", "codebook_perplexity")
        return {name: getattr(self, name) for name in names}

    @property
    def entropy_facts(self) -> dict[str, float | None]:
        """The columns of the records table on the entropy."""
        names = ("entropy", "sequence_entropy", "sequence_targets")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Corpus(ABC):
    """Batches to train on and a fixed validation set."""

    facts: CorpusFacts
    context: int
    left_out: tuple[str, ...] = ()
    """Documents that are no part of it: of text the file and byte that is not UTF-8."""
    left_out_since: str = "not UTF-8"
    """Why."""
    notes: tuple[str, ...] = ()
    """Lines for people: what it is made of, where documents do not say so."""
    text: TextSummary | None = None
    """Its documents, counted; None where tokens came from elsewhere."""
    pair_summary: PairsSummary | None = None
    """Its sources and targets, counted; None where it has none."""
    vocabulary: Vocabulary | None = None
    """What its tokens stand for; None: they have numbers alone."""
    _prepared: dict[tuple[int, int, int], np.ndarray | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def own_tokens(self) -> float | None:
        """Tokens of a block of context + 1 that are no padding, on the average; None: all."""
        return None

    @property
    def knows_truth(self) -> bool:
        """Whether `truth` gives anything."""
        return False

    def truth(self, inputs: np.ndarray) -> np.ndarray:
        """(sequences, length, tokens that can occur) The source's own probabilities of the token
        after each place of rows of inputs that it can make; NaN where they are not known from the
        row, or nothing counts. Asked only of a source that `knows_truth`."""
        raise NotImplementedError(f"{type(self).__name__} knows no truth")

    def training_text(self, most: int) -> np.ndarray | None:
        """(tokens,) int64: what there is to train on, one token after the other, the first `most`
        of it; None of a source that has no such text."""
        return None

    @property
    @abstractmethod
    def validation(self) -> Batch:
        """(sequences, context) What every model is measured on."""

    @abstractmethod
    def batches(
        self, seed: int, first: int, last: int, sequences: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """(steps, sequences, context) What the steps first to last - 1 read.

        The run's sequences are numbered through, and step s reads those from s * sequences on, so
        neither the cut into calls nor the device changes a token.
        """

    def batches_of_seeds(
        self,
        seeds: Sequence[int],
        first: int,
        last: int,
        sequences: int,
        device: torch.device | str = "cpu",
    ) -> list[Batch]:
        """`batches` of several seeds, in their order."""
        return [self.batches(seed, first, last, sequences, device) for seed in seeds]

    def host_part(self, seed: int, first: int, last: int) -> np.ndarray | None:
        """What the host computes of the run's sequences first to last - 1, whatever the device;
        None: nothing."""
        return None

    def prepare(self, seed: int, first: int, last: int) -> None:
        """Have that ready for whoever reads those sequences next."""
        self._prepared[seed, first, last] = self.host_part(seed, first, last)

    def forget_prepared(self) -> None:
        """Drop what nobody has read."""
        self._prepared.clear()

    def _own_part(self, seed: int, first: int, last: int) -> np.ndarray:
        """`host_part` of a source that has one, ready or computed now."""
        found = self._prepared.pop((seed, first, last), None)
        if found is None:
            found = self.host_part(seed, first, last)
        assert found is not None, "asked of sources of which the host computes something"
        return found

    def batch(
        self, seed: int, step: int, sequences: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """(sequences, context) What one step reads."""
        return self.batches(seed, step, step + 1, sequences, device).unbind()[0]


@dataclass(frozen=True, kw_only=True)
class WindowCorpus(Corpus):
    """A corpus of windows: each token is the target of those before it."""

    held_back: np.ndarray
    """(sequences, context + 1) The windows of the validation set."""

    @property
    def validation(self) -> Batch:
        """See Corpus."""
        import torch

        return Batch.of_windows(torch.from_numpy(self.held_back).long())

    def batches(
        self, seed: int, first: int, last: int, sequences: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """See Corpus."""
        found = self.windows_read(seed, first * sequences, last * sequences, device)
        return Batch.of_windows(found.view(last - first, sequences, self.context + 1))

    @abstractmethod
    def windows_read(
        self, seed: int, first: int, last: int, device: torch.device | str
    ) -> torch.Tensor:
        """(windows, context + 1) int64: the run's sequences first to last - 1."""


@dataclass(frozen=True, kw_only=True)
class StreamCorpus(WindowCorpus):
    """Text held in memory, on the training device too, as one stream of tokens."""

    train: np.ndarray
    """(tokens,) The training documents, one after the other."""
    _resident: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def windows(self) -> int:
        """Windows of `context` targets that the training stream holds without overlap."""
        return (len(self.train) - 1) // self.context

    def training_text(self, most: int) -> np.ndarray:
        """See Corpus."""
        return self.train[:most].astype(np.int64)

    def host_part(self, seed: int, first: int, last: int) -> np.ndarray:
        """See Corpus: which windows."""
        return WindowOrder(self.windows, seed).positions(first, last)

    def windows_read(
        self, seed: int, first: int, last: int, device: torch.device | str
    ) -> torch.Tensor:
        """See WindowCorpus; each epoch is a permutation of the windows."""
        import torch

        key = str(device)
        if key not in self._resident:
            self._resident[key] = torch.from_numpy(signed(self.train)).to(device)
        windows = self._own_part(seed, first, last)
        starts = torch.from_numpy(windows).to(device) * self.context
        index = starts[:, None] + torch.arange(self.context + 1, device=device)
        return widened(self._resident[key][index], self.train.dtype)


@dataclass(frozen=True, kw_only=True)
class BlockCorpus(Corpus):
    """A sentence, pair or image a sequence, of which not every token is asked for."""

    held_back: np.ndarray
    """(blocks, context + 1) int64: those to measure on."""

    @property
    def validation(self) -> Batch:
        """See Corpus."""
        import torch

        return self._asked(torch.from_numpy(self.held_back))

    def batches(
        self, seed: int, first: int, last: int, sequences: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """See Corpus."""
        import torch

        rows = torch.from_numpy(self._own_part(seed, first * sequences, last * sequences))
        return self._asked(rows.view(last - first, sequences, self.context + 1)).to(device)

    def host_part(self, seed: int, first: int, last: int) -> np.ndarray:
        """See Corpus: all of it."""
        return self.rows_read(seed, first, last)

    @abstractmethod
    def rows_read(self, seed: int, first: int, last: int) -> np.ndarray:
        """(blocks, context + 1) int64: the run's blocks first to last - 1."""

    @abstractmethod
    def weights(self, windows: Batch) -> torch.Tensor:
        """Of each target, of the windows' size: 1 where it is asked for, else 0."""

    def _asked(self, rows: torch.Tensor) -> Batch:
        windows = Batch.of_windows(rows)
        return Batch(windows.inputs, windows.targets, self.weights(windows).float())


def signed(tokens: np.ndarray) -> np.ndarray:
    """A copy whose bits torch can index on every device: it cannot where words are unsigned."""
    kinds = {np.dtype(np.uint16): np.int16, np.dtype(np.uint32): np.int32}
    return np.array(tokens).view(kinds.get(tokens.dtype, tokens.dtype))


def widened(tokens: torch.Tensor, kind: np.dtype) -> torch.Tensor:
    """The tokens as int64, where `signed` had changed their sign."""
    return tokens.long() & int(np.iinfo(kind).max) if kind.kind == "u" else tokens.long()


def spaced_windows(stream: np.ndarray, context: int, count: int) -> np.ndarray:
    """Up to `count` windows of context + 1 tokens, evenly spaced, none overlapping in targets."""
    available = (len(stream) - 1) // context
    starts = np.arange(min(count, available)) * available // min(count, available) * context
    windows: np.ndarray = stream[starts[:, None] + np.arange(context + 1)]
    return windows


def hash_of(*arrays: np.ndarray) -> str:
    """Identity of the arrays: shapes and contents."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.asarray(array.shape, dtype=np.int64).tobytes())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class WindowOrder:
    """Which training windows are read, and when: a permutation for each epoch, from the seed alone.

    The sequences of a run are numbered through; step s of a run with B sequences a step reads those
    from s B to (s + 1) B. A resumed run therefore needs its step number and nothing else.
    """

    windows: int
    seed: int

    def positions(self, first: int, last: int) -> np.ndarray:
        """The window numbers of the run's sequences first to last - 1."""
        numbers = np.arange(first, last)
        epochs, places = numbers // self.windows, numbers % self.windows
        found = np.empty_like(numbers)
        for epoch in range(epochs[0], epochs[-1] + 1):
            now = epochs == epoch
            found[now] = _permutation(self.windows, self.seed, epoch)[places[now]]
        return found


@functools.lru_cache(maxsize=64)  # a stack reads in as many orders as it has seeds
def _permutation(windows: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(windows)
