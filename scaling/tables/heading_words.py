"""The words that the name of a column is made of."""

import re
import unicodedata
from functools import lru_cache


@lru_cache(maxsize=10_000)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in small letters without accents: "valLoss", "val/loss" and "val loss"
    are the same."""
    if not name.isascii():
        name = "".join(
            c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)
        )
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    return tuple(word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word)


def any_of(words: str) -> frozenset[str]:
    """A set of words, written with blanks between them."""
    return frozenset(words.split())


ASIDE = " (not used)"


def put_aside(column: str) -> str:
    """The name of a column that would be taken for another one under its own."""
    return f"{column}{ASIDE}"
