"""What tokens stand for: from text to a run's tokens and back, kept beside its weights as JSON.

A tokenizer turns documents into training tokens; a vocabulary is what is left of it once a model is
trained. Where tokens stand for no text they have names: those of a grammar's symbols, or numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scaling.errors import ConfigError
from scaling.tables.notes import printable, quoted
from sweeps.data.tokens.image_vocabulary import ImageVocabulary
from sweeps.data.tokens.tokenizer import DOCUMENT_END, TOKENIZERS, ByteTokenizer, Tokenizer


class Vocabulary(Protocol):
    """The tokens that can occur."""

    @property
    def end(self) -> int | None:
        """The token after which a document or sentence is over; None: there is none."""

    @property
    def stands_for_text(self) -> bool:
        """Whether tokens stand for bytes of a text, so that bits per byte mean something."""

    def encode(self, content: bytes, *, begins: bool = True) -> list[int]:
        """The tokens of a text or of symbols parted by blanks; `begins`: nothing comes before.
        Raises ConfigError for what has none."""

    def spell(self, token: int) -> bytes:
        """What a token stands for: nothing where nobody knows, of a symbol its name and a
        blank."""

    def to_document(self) -> dict[str, Any]:
        """For `vocabulary_from`."""


@dataclass(frozen=True)
class ByteVocabulary:
    """Of the tokenizers whose tokens are bytes."""

    tokenizer: ByteTokenizer
    stands_for_text: bool = True

    @property
    def end(self) -> int | None:
        """See Vocabulary; none where the byte that ends a document is also a symbol of texts."""
        token = self.tokenizer.table[DOCUMENT_END[0]]
        return token if self.tokenizer.table.count(token) == 1 else None

    def encode(self, content: bytes, *, begins: bool = True) -> list[int]:
        """See Vocabulary."""
        return [int(token) for token in self.tokenizer.encode(content)]

    def spell(self, token: int) -> bytes:
        """See Vocabulary; of bytes that were made one symbol, the one that is kept."""
        return self._bytes.get(token, b"")

    @functools.cached_property
    def _bytes(self) -> dict[int, bytes]:
        order = [*range(256)[::-1], ord("\n")]  # what was merged into newline is newline
        return {self.tokenizer.table[byte]: bytes([byte]) for byte in order}

    def to_document(self) -> dict[str, Any]:
        """See Vocabulary."""
        return {"kind": "bytes", "name": self.tokenizer.name}


@dataclass(frozen=True)
class BpeVocabulary:
    """Of a byte-level BPE."""

    text: str
    """The tokenizer.json."""
    stands_for_text: bool = True

    @functools.cached_property
    def _tokenizer(self) -> Any:
        from sweeps.data.tokens.bpe import BpeTokenizer  # the package is slow to import

        return BpeTokenizer(self.text)

    @property
    def end(self) -> int | None:
        """See Vocabulary."""
        return int(self._tokenizer.end_token)

    def encode(self, content: bytes, *, begins: bool = True) -> list[int]:
        """See Vocabulary."""
        return list(self._tokenizer.encode(_as_text(content)))

    def spell(self, token: int) -> bytes:
        """See Vocabulary; the end of a document is the byte that ends one."""
        if token >= self._tokenizer.vocab_size:
            return b""
        return DOCUMENT_END if token == self.end else bytes(self._tokenizer.bytes_of(token))

    def to_document(self) -> dict[str, Any]:
        """See Vocabulary."""
        return {"kind": "bpe", "text": self.text}


@dataclass(frozen=True)
class SymbolVocabulary:
    """Of sources without text: each token has a name."""

    names: tuple[str, ...]
    start: int | None = None
    """The token that every sentence begins with; None: there is none."""
    end: int | None = None
    stands_for_text: bool = False

    @classmethod
    def numbers(cls, count: int) -> SymbolVocabulary:
        """Tokens that are called by their numbers."""
        return cls(tuple(map(str, range(count))))

    def encode(self, content: bytes, *, begins: bool = True) -> list[int]:
        """See Vocabulary. A sentence's start may be left out, and so may blanks between symbols of
        one character each."""
        found = [token for word in _as_text(content).split() for token in self._tokens(word)]
        if begins and self.start is not None and found[:1] != [self.start]:
            found.insert(0, self.start)
        return found

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {name: token for token, name in enumerate(self.names)}

    def _tokens(self, word: str) -> list[int]:
        if word in self._places:
            return [self._places[word]]
        if not all(letter in self._places for letter in word) or word.isdecimal():
            raise ConfigError(
                f'"{printable(word)}" is none of the run\'s {len(self.names)} tokens; there are: '
                f"{quoted(self.names, 8)}"
            )
        return [self._places[letter] for letter in word]

    def spell(self, token: int) -> bytes:
        """See Vocabulary."""
        return f"{self.names[token]} ".encode() if token < len(self.names) else b""

    def to_document(self) -> dict[str, Any]:
        """See Vocabulary."""
        return {"kind": "symbols", "names": self.names, "start": self.start, "end": self.end}


@dataclass(frozen=True)
class CharacterVocabulary:
    """Characters, each a token."""

    characters: str
    """In the order of their tokens."""
    end: int | None = None
    stands_for_text: bool = True

    @classmethod
    def of(cls, texts: Iterable[str]) -> CharacterVocabulary:
        """Of the characters that occur."""
        return cls("".join(sorted(set().union(*texts))))

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {character: token for token, character in enumerate(self.characters)}

    def encode(self, content: bytes, *, begins: bool = True) -> list[int]:
        """See Vocabulary."""
        text = _as_text(content)
        try:
            return [self._places[character] for character in text]
        except KeyError as error:
            raise ConfigError(
                f'"{printable(error.args[0])}" is none of the run\'s characters; there are: '
                f"{printable(self.characters, most=200)}"
            ) from error

    def spell(self, token: int) -> bytes:
        """See Vocabulary."""
        return self.characters[token : token + 1].encode()

    def to_document(self) -> dict[str, Any]:
        """See Vocabulary."""
        return {"kind": "characters", "characters": self.characters}


@dataclass(frozen=True)
class PairVocabulary:
    """Of pairs: the tokens of another vocabulary, and behind them a separator between source and
    target, spelled as a tab, an end of the target, and padding."""

    words: Vocabulary
    size: int
    """Tokens of the other vocabulary."""
    stands_for_text: bool = False

    @property
    def separator(self) -> int:
        """Ends a source."""
        return self.size

    @property
    def end(self) -> int:
        """Ends a target."""
        return self.size + 1

    @property
    def padding(self) -> int:
        """Fills a block."""
        return self.size + 2

    def encode(self, content: bytes, *, begins: bool = True) -> list[int]:
        """See Vocabulary: of what begins a source and its separator, else a target."""
        if b"\t" in content:
            raise ConfigError("a tab parts a source and its target; give the source alone")
        return [*self.words.encode(content), *([self.separator] if begins else [])]

    def spell(self, token: int) -> bytes:
        """See Vocabulary."""
        if token < self.size:
            return self.words.spell(token)
        return {self.separator: b"\t", self.end: b"\n"}.get(token, b"")

    def to_document(self) -> dict[str, Any]:
        """See Vocabulary."""
        return {"kind": "pairs", "words": self.words.to_document(), "size": self.size}


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """What the tokens of a tokenizer stand for."""
    if isinstance(tokenizer, ByteTokenizer):
        return ByteVocabulary(tokenizer)
    from sweeps.data.tokens.bpe import BpeTokenizer

    assert isinstance(tokenizer, BpeTokenizer), "a tokenizer is one of two kinds"
    return BpeVocabulary(tokenizer.text)


def vocabulary_from(document: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of a JSON document; ValueError, KeyError or TypeError where it is none."""
    if document["kind"] == "bytes":
        return ByteVocabulary(TOKENIZERS[document["name"]])
    if document["kind"] == "bpe":
        found = BpeVocabulary(str(document["text"]))
        try:
            found.spell(0)
        except Exception as error:  # the package raises no other
            raise ValueError(f"a tokenizer.json that is none ({error})") from error
        return found
    if document["kind"] == "characters":
        return CharacterVocabulary(str(document["characters"]))
    if document["kind"] == "pairs":
        return PairVocabulary(vocabulary_from(document["words"]), int(document["size"]))
    if document["kind"] == "symbols":
        names, places = tuple(map(str, document["names"])), (document["start"], document["end"])
        if any(place is not None and not 0 <= place < len(names) for place in places):
            raise ValueError("a start or end that is none of its tokens")
        return SymbolVocabulary(names, *places)
    if document["kind"] == "images":
        return ImageVocabulary.from_document(document)
    raise ValueError(f"vocabulary of kind {document['kind']}")


def spelled(vocabulary: Vocabulary, tokens: Sequence[int]) -> str:
    """The text of tokens; bytes that make no character are shown as the replacement character."""
    content = b"".join(map(vocabulary.spell, tokens))
    return content.decode("utf-8", "replace")


def _as_text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"byte {error.start} of the text is not UTF-8, which the run's tokens need; recode it"
        ) from error
