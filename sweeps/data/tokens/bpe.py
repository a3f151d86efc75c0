"""Byte-level BPE: trained, read and written with the `tokenizers` package.

Byte-level (the alphabet of GPT-2: every byte is a character), so any text is encoded without loss
and each token stands for a known number of bytes. Text is never normalised.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import CorpusError
from sweeps.data.documents.atomic import write_atomically
from sweeps.data.documents.files import stream_documents

END_OF_DOCUMENT = "<|endoftext|>"
#: Matrices of such a width are fast on every GPU.
LOGITS_MULTIPLE = 64
_ALPHABET = 256
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class BpeTokenizer:
    """A byte-level BPE, known by the hash of its tokenizer.json."""

    text: str
    """The tokenizer.json."""

    @property
    def name(self) -> str:
        """`bpe-` and the number of tokens."""
        return f"bpe-{self.vocab_size}"

    @functools.cached_property
    def hash(self) -> str:
        """Of the vocabulary, the merges and all else that the file says."""
        canonical = json.dumps(json.loads(self.text), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def vocab_size(self) -> int:
        """Tokens that can occur: alphabet, merges, and the end of a document."""
        return len(self.token_bytes)

    @property
    def logits(self) -> int:
        """`vocab_size` rounded up to a multiple of 64; the model masks what is beyond it."""
        return -(-self.vocab_size // LOGITS_MULTIPLE) * LOGITS_MULTIPLE

    @property
    def end_token(self) -> int:
        """The token that ends every document."""
        return int(self._engine.token_to_id(END_OF_DOCUMENT))

    @functools.cached_property
    def token_bytes(self) -> np.ndarray:
        """(vocab_size,) Bytes of each token: a character of the byte alphabet is one."""
        vocabulary = self._engine.get_vocab(with_added_tokens=True)
        lengths = np.zeros(max(vocabulary.values()) + 1, dtype=np.int64)
        for token, number in vocabulary.items():
            lengths[number] = 1 if token == END_OF_DOCUMENT else len(token)
        return lengths

    @property
    def token_type(self) -> np.dtype:
        """uint16 where it suffices."""
        return np.dtype(np.uint16 if self.vocab_size <= 1 << 16 else np.uint32)

    @functools.cached_property
    def _engine(self) -> Any:
        from tokenizers import Tokenizer

        engine = Tokenizer.from_str(self.text)
        engine.encode_special_tokens = True  # text that spells a special token stays text
        return engine

    def encode_documents(self, documents: Sequence[bytes]) -> list[np.ndarray]:
        """Tokens of each document and its end."""
        texts = [document.decode("utf-8") for document in documents]
        encoded = self._engine.encode_batch_fast(texts, add_special_tokens=False)
        end = self.end_token
        return [np.array([*item.ids, end], dtype=self.token_type) for item in encoded]

    def encode(self, text: str) -> list[int]:
        """Tokens of a text without the end of a document."""
        return list(self._engine.encode(text, add_special_tokens=False).ids)

    def bytes_of(self, token: int) -> bytes:
        """What a token stands for; not the one that ends a document."""
        return bytes(_BYTE_OF[character] for character in self._engine.id_to_token(token))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, ends of documents left out."""
        return str(self._engine.decode(list(tokens), skip_special_tokens=True))


def _byte_alphabet() -> dict[str, int]:
    """The byte of each character: printable ones of Latin-1 are themselves, the others follow from
    256 on, in order."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(_ALPHABET) if byte not in shown]
    found = {chr(byte): byte for byte in shown}
    return found | {chr(_ALPHABET + place): byte for place, byte in enumerate(hidden)}


_BYTE_OF = _byte_alphabet()


def read_bpe(path: str | Path) -> BpeTokenizer:
    """The tokenizer of a tokenizer.json.

    Raises CorpusError for a file that is none, or is not a byte-level BPE with an end of document.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        document = json.loads(text)
        kind = document["model"]["type"]
        steps = document["pre_tokenizer"] or {}
        levels = [step.get("type") for step in steps.get("pretokenizers", [steps])]
    except OSError as error:
        raise CorpusError(
            f"{path}: {error.strerror or error}; train one with `scaling tokenize`"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: not a tokenizer.json; train one anew") from error
    if kind != "BPE" or "ByteLevel" not in levels or document.get("normalizer"):
        raise CorpusError(
            f"{path}: a {kind} that is not byte-level without normaliser; bits per byte would not "
            "be exact"
        )
    tokenizer = BpeTokenizer(text)
    if tokenizer._engine.token_to_id(END_OF_DOCUMENT) is None:
        raise CorpusError(f"{path}: no token {END_OF_DOCUMENT} to end a document with; add one")
    return tokenizer


def train_bpe(
    files: Sequence[str], vocab_size: int, path: str | Path, left_out: list[str] | None = None
) -> BpeTokenizer:
    """Train a byte-level BPE on text (globs as in data.files) and write it as a tokenizer.json.

    `vocab_size` counts the 256 bytes, the merges and the end of a document; a text too short for
    so many merges gives a smaller one. The same text gives the same file. Raises CorpusError for a
    size below 257 and for the text itself.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocab_size < _ALPHABET + 1:
        raise CorpusError(
            f"vocabulary of {vocab_size}: byte-level BPE has {_ALPHABET} bytes and an end of "
            f"document; give {_ALPHABET + 1} or more"
        )
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(_texts(files, left_out), trainer)
    write_atomically(path, engine.to_str(pretty=True).encode())
    return read_bpe(path)


def _texts(files: Sequence[str], left_out: list[str] | None) -> Iterator[str]:
    found = False
    for document in stream_documents(files, _PIECE_BYTES, left_out):
        found = True
        yield document.content.decode("utf-8")
    if not found:
        raise CorpusError(f"{', '.join(files) or 'standard library'}: no text inside; give some")
