"""From bytes to tokens. A tokenizer is a study constant: losses of two are not comparable."""

import hashlib
from dataclasses import dataclass

import numpy as np


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

    def encode(self, content: bytes) -> np.ndarray:
        """Tokens of the bytes, as uint8."""
        return np.frombuffer(content.translate(self.table), dtype=np.uint8)


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
