"""What a text is made of: how many documents, how large, and which of them are copies."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.data.documents.readers import Document


@dataclass(frozen=True, kw_only=True)
class TextSummary:
    """The documents of a text, counted. A copy is a document that equals an earlier one but for
    white space at its ends; training would take it for fresh data."""

    documents: int
    bytes: int
    copies: int
    copied_bytes: int
    first_copy: str = ""
    """Which document is a copy of which; empty where none is."""

    @classmethod
    def of(cls, documents: Sequence[Document]) -> "TextSummary":
        """Count these documents."""
        seen: dict[bytes, str] = {}
        copies, copied_bytes, first = 0, 0, ""
        for document in documents:
            key = hashlib.sha256(document.content.strip()).digest()
            if (earlier := seen.setdefault(key, document.name)) is not document.name:
                copies += 1
                copied_bytes += len(document.content)
                first = first or f"{document.name}, a copy of {earlier}"
        return cls(
            documents=len(documents),
            bytes=sum(len(document.content) for document in documents),
            copies=copies,
            copied_bytes=copied_bytes,
            first_copy=first,
        )


@dataclass(frozen=True, kw_only=True)
class PairsSummary:
    """Sources and targets, counted; tokens of a source are counted with its separator, of a target
    with its end."""

    training: int
    validation: int
    """Pairs that are measured."""
    left_out: int
    """Pairs that are neither, since they are longer than a block of context + 1 tokens has room."""
    first_left_out: str
    """Where the first of these stands, and its tokens; empty where there are none."""
    source_tokens: int
    """Room for a source."""
    target_tokens: int
    """Room for a target."""
    mean_source_tokens: float
    """Of those that are measured."""
    mean_target_tokens: float
