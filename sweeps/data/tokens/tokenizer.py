"""From bytes to tokens. A tokenizer is a study constant: losses of two are not comparable."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

#: Ends every document in the stream; a tokenizer with a token of its own for it counts it as the
#: one byte that it is here, so that bits per byte of two tokenizers measure the same bytes.
DOCUMENT_END = b"\0"


class Tokenizer(Protocol):
    """What a source asks of a tokenizer."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def hash(self) -> str:
        """Identity of the mapping."""

    @property
    def vocab_size(self) -> int:
        """Tokens that can occur."""

    @property
    def logits(self) -> int:
        """Logits of a model for it: `vocab_size`, or more where padding makes matrices faster."""

    @property
    def token_bytes(self) -> np.ndarray:
        """(vocab_size,) Bytes that each token stands for; the end of a document counts one."""

    def encode_documents(self, documents: Sequence[bytes]) -> list[np.ndarray]:
        """Tokens of each document, its end included."""


@dataclass(frozen=True, kw_only=True)
class ByteTokenizer:
    """Every byte is one token, after a table that may merge bytes into one symbol."""

    name: str
    vocab_size: int
    table: bytes
    """The token of each of the 256 bytes."""

    @property
    def hash(self) -> str:
        """Identity of the mapping."""
        return hashlib.sha256(self.name.encode() + self.table).hexdigest()[:16]

    @property
    def logits(self) -> int:
        """As many as there are symbols."""
        return self.vocab_size

    @property
    def token_bytes(self) -> np.ndarray:
        """One byte each."""
        return np.ones(self.vocab_size, dtype=np.int64)

    def encode(self, content: bytes) -> np.ndarray:
        """Tokens of the bytes, as uint8."""
        return np.frombuffer(content.translate(self.table), dtype=np.uint8)

    def encode_documents(self, documents: Sequence[bytes]) -> list[np.ndarray]:
        """Tokens of each document and of the byte that ends it."""
        return [self.encode(document + DOCUMENT_END) for document in documents]


def _ascii_96_table() -> bytes:
    """Printable ASCII in order; newline last; every other byte becomes newline."""
    newline = 95
    return bytes(byte - 32 if 32 <= byte < 127 else newline for byte in range(256))


TOKENIZERS = {
    tokenizer.name: tokenizer
    for tokenizer in (
        ByteTokenizer(name="bytes", vocab_size=256, table=bytes(range(256))),
        ByteTokenizer(name="ascii-96", vocab_size=96, table=_ascii_96_table()),
    )
}


def find_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name, or of the tokenizer.json at that path.

    Raises CorpusError for a file that is none.
    """
    if name in TOKENIZERS:
        return TOKENIZERS[name]
    from sweeps.data.tokens.bpe import read_bpe  # the tokenizers package is slow to import

    return read_bpe(name)
