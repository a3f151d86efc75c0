"""What the tokens of an image and its label stand for, kept beside a model's weights.

A sequence is the label's tokens and then the image's. The image's come first in the vocabulary, so
that those below `image_tokens` are all that can follow a label.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scaling.errors import ConfigError
from scaling.tables.notes import printable, quoted

_PADDING = "<none>"  # before a label of fewer words than the longest
START = "<image>"  # the one label of images without


@dataclass(frozen=True, kw_only=True)
class ImageVocabulary:
    """See Vocabulary."""

    height: int
    """Pixels."""
    width: int
    levels: int
    """Grey levels of a pixel."""
    rows: int
    """Of the grid of tokens."""
    columns: int
    image_tokens: int
    """Tokens that an image can be made of: numbers from 0."""
    label_names: tuple[str, ...]
    """Of the tokens that follow them."""
    label_tokens: int
    """How many of these each sequence begins with."""
    is_words: bool
    """Whether a label is several tokens, one a word."""
    is_dark_on_light: bool
    """Whether level 0 is black."""
    decoder: str | None = None
    """What turns a grid of codes into pixels: codebook and decoder as a safetensors file in base64;
    None: a token is the grey level of a pixel."""
    stands_for_text: bool = False
    end: int | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether images are conditional on anything."""
        return self.label_names != (START,)

    def encode(self, content: bytes, *, begins: bool = True) -> list[int]:
        """The tokens of a label, where a sequence begins, else of image tokens by number, parted
        by blanks. Raises ConfigError for what is neither."""
        text = content.decode("utf-8", "replace")
        return self.label(text) if begins else [self._number(word) for word in text.split()]

    def label(self, text: str) -> list[int]:
        """(label_tokens,) The tokens of a label; of images without labels nothing but their start.

        Raises ConfigError for a label that no image has.
        """
        text = " ".join(text.split())
        if not self.is_labelled:
            if text:
                raise ConfigError(
                    f'"{printable(text)}": the run\'s images have no labels; leave the prompt out'
                )
            return [self.image_tokens]
        words = text.split() if self.is_words else [text]
        places = self._places
        unknown = [word for word in words if word not in places or word == _PADDING]
        if unknown or not words or len(words) > self.label_tokens:
            names = tuple(name for name in self.label_names if name != _PADDING)
            kind = f"at most {self.label_tokens} words of" if self.is_words else "one of"
            said = printable(unknown[0] if unknown else text)
            raise ConfigError(
                f'"{said}" is no label of the run\'s images; give {kind} {quoted(names, 40)}'
            )
        missing = self.label_tokens - len(words)
        return [places[word] for word in (*(_PADDING,) * missing, *words)]

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {name: self.image_tokens + place for place, name in enumerate(self.label_names)}

    def _number(self, word: str) -> int:
        if not word.isdecimal() or int(word) >= self.image_tokens:
            raise ConfigError(
                f'"{printable(word)}" is no token of an image: they are the numbers from 0 to '
                f"{self.image_tokens - 1}"
            )
        return int(word)

    def spell(self, token: int) -> bytes:
        """See Vocabulary; nothing of what fills up a label, or begins an image without one."""
        if token < self.image_tokens:
            return f"{token} ".encode()
        place = token - self.image_tokens
        if place >= len(self.label_names) or self.label_names[place] in (_PADDING, START):
            return b""
        return f"{self.label_names[place]} ".encode()

    def to_document(self) -> dict[str, Any]:
        """See Vocabulary."""
        stated = asdict(self)
        return {"kind": "images", **{name: stated[name] for name in _STATED}}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ImageVocabulary:
        """From what `to_document` gave; ValueError, KeyError or TypeError where it is none."""
        stated = {name: document[name] for name in _STATED}
        stated["label_names"] = tuple(map(str, stated["label_names"]))
        return cls(**stated)


_STATED = (
    *("height", "width", "levels", "rows", "columns", "image_tokens", "label_names"),
    *("label_tokens", "is_words", "is_dark_on_light", "decoder"),
)


def label_names(labels: tuple[str, ...], *, is_words: bool) -> tuple[tuple[str, ...], int]:
    """The names of the label tokens of images, and how many of them a sequence begins with."""
    if not labels:
        return (START,), 1
    if not is_words:
        return tuple(sorted(set(labels))), 1
    words = {word for label in labels for word in label.split()}
    return (_PADDING, *sorted(words)), max(len(label.split()) for label in labels)
