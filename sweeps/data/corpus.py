"""Tokens to train on and a fixed validation set, whatever the source: the seam of this folder.

A source delivers a Corpus; training knows nothing else of it. Batches are not drawn but computed:
which windows a step reads is a pure function of the seed and the step.
"""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from scaling.errors import CorpusError
from sweeps.config import DataConfig
from sweeps.data.text import Document, read_documents
from sweeps.data.tokenizer import TOKENIZERS, ByteTokenizer

DOCUMENT_END = b"\0"
#: A document with a larger share of the text than this is cut, so that one file can be split.
_LARGEST_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """What a run's identity and record keep of its data."""

    data_hash: str
    """Of all text, in whatever order or folder the files lie, and of how it is split."""
    eval_hash: str
    """Of the validation sequences: losses on two of them are not comparable."""
    tokenizer: str
    tokenizer_hash: str
    vocab_size: int
    train_tokens: int
    """Distinct tokens to train on: whole windows."""
    validation_sequences: int
    bytes_per_token: float


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Tokens in memory: a training stream, and the validation sequences."""

    facts: CorpusFacts
    train: np.ndarray
    """(tokens,) The training documents, one after the other."""
    validation: np.ndarray
    """(sequences, context + 1) Inputs and, shifted by one, targets."""
    context: int

    @property
    def windows(self) -> int:
        """Windows of `context` targets that the training stream holds without overlap."""
        return (len(self.train) - 1) // self.context


@functools.lru_cache(maxsize=2)
def load_corpus(config: DataConfig, context: int) -> Corpus:
    """Read, split, tokenize and hash the text that the config names.

    Raises CorpusError where there is no text, or too little of it for one window on either side.
    """
    tokenizer = TOKENIZERS[config.tokenizer]
    documents = read_documents(config.files)
    training, held_back = split_documents(documents, config.validation_share)
    train = _stream(training, tokenizer)
    validation_stream = _stream(held_back, tokenizer)
    for part, stream in (("training", train), ("validation", validation_stream)):
        if len(stream) <= context:
            where = ", ".join(config.files) or "the standard library"
            raise CorpusError(
                f"{where}: {len(stream)} tokens of {part} text are less than one context of "
                f"{context} and its target; give more text in data.files or a shorter model.context"
            )
    validation = _spaced_windows(validation_stream, context, config.validation_windows)
    facts = CorpusFacts(
        data_hash=_hash(train, validation_stream),
        eval_hash=_hash(validation),
        tokenizer=tokenizer.name,
        tokenizer_hash=tokenizer.hash,
        vocab_size=tokenizer.vocab_size,
        train_tokens=(len(train) - 1) // context * context,
        validation_sequences=len(validation),
        bytes_per_token=1.0,
    )
    return Corpus(facts=facts, train=train, validation=validation, context=context)


def split_documents(
    documents: tuple[Document, ...], validation_share: float
) -> tuple[list[Document], list[Document]]:
    """Training and validation documents: those of lowest content hash are held back.

    Content alone decides, so a file keeps its side when others come and go, and order and folder do
    not matter. A document of more than a twentieth of the text is cut into pieces first.
    """
    total = sum(len(document.content) for document in documents)
    pieces = [piece for document in documents for piece in _pieces(document, total)]
    pieces.sort(key=lambda piece: hashlib.sha256(piece.content).digest())
    held_back: list[Document] = []
    size = 0
    for piece in pieces:
        if size >= validation_share * total:
            break
        held_back.append(piece)
        size += len(piece.content)
    return pieces[len(held_back) :], held_back


def _pieces(document: Document, total: int) -> list[Document]:
    length = len(document.content)
    if length <= _LARGEST_SHARE * total:
        return [document]
    size = max(1, total // 100)
    return [
        Document(f"{document.name}[{start}]", document.content[start : start + size])
        for start in range(0, length, size)
    ]


def _stream(documents: list[Document], tokenizer: ByteTokenizer) -> np.ndarray:
    return tokenizer.encode(b"".join(document.content + DOCUMENT_END for document in documents))


def _spaced_windows(stream: np.ndarray, context: int, count: int) -> np.ndarray:
    """Up to `count` windows of context + 1 tokens, evenly spaced, none overlapping in targets."""
    available = (len(stream) - 1) // context
    starts = np.arange(min(count, available)) * available // min(count, available) * context
    windows: np.ndarray = stream[starts[:, None] + np.arange(context + 1)]
    return windows


def _hash(*arrays: np.ndarray) -> str:
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


@functools.lru_cache(maxsize=4)
def _permutation(windows: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(windows)
