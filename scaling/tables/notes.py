"""What a reader understood, filled in, chose between or left out, as values: code and sentence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from scaling.display import Section
from scaling.limits import Limit, LimitCode, first_of

#: Examples that a sentence gives of what happened to many rows.
EXAMPLES = 2


class NoteCode(StrEnum):
    """What kind of thing a reader says of a table."""

    UNDERSTOOD = "understood"
    """A spelling of columns or numbers was read as something else than it is to the letter."""
    FILLED_IN = "filled in"
    """A column that the table lacks was computed from others by a convention."""
    CHOSEN = "chosen"
    """Several columns or rows could have counted; the text says which did."""
    ASSUMED = "assumed"
    """What the table does not say was taken for granted."""
    STATUS = "status"
    """Which column says where each run stands, and how many stand where."""
    LEFT_OUT = "left out"
    """Cells, or rows of some word, took no part."""
    ROWS = "rows left out"
    """Rows took no part, for the reasons in the text."""


@dataclass(frozen=True)
class Note:
    """One thing that a reader says of a table."""

    code: NoteCode
    text: str
    """A sentence for people, without a full stop; it may change at any time."""


def notes_beside(notes: Iterable[Note], limits: Iterable[Limit]) -> Section:
    """What a reader says of a table, to be shown below an answer with these limits: they tell
    which rows took no part, the reader's own among them."""
    is_told = first_of(LimitCode.LEFT_OUT, limits) is not None
    return Section("read as", [n.text for n in notes if not (is_told and n.code is NoteCode.ROWS)])


def notes_from(documents: Iterable[Mapping[str, str]]) -> tuple[Note, ...]:
    """The notes of a JSON document. Raises ValueError for an unknown code."""
    return tuple(Note(NoteCode(one["code"]), one["text"]) for one in documents)


@dataclass(frozen=True)
class DroppedRow:
    """A row that a file holds and no table does."""

    row: str
    reason: str


def quoted(words: Iterable[object], most: int = 6) -> str:
    """Words in quotation marks, the first of them where they are many."""
    listed = [f'"{printable(word)}"' for word in words]
    return ", ".join(listed[:most]) + (
        f" and {len(listed) - most} more" if len(listed) > most else ""
    )


def rows_named(labels: Iterable[int], most: int = 6) -> str:
    """Rows by their lines in the file (the header is line 1), the first where they are many."""
    lines = [f"{int(label) + 2}" for label in labels]
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    return f"row{'' if len(lines) == 1 else 's'} {', '.join(lines[:most])}{more}"


def plain(text: str) -> str:
    """Text of many lines as it may reach a terminal: control characters are shown, not obeyed."""
    if text.replace("\n", "").replace("\t", "").isprintable():  # megabytes in an instant
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def printable(word: object, most: int = 60) -> str:
    """Text of a table as it may reach a terminal: no control characters, and not endless."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(word)[: most + 1])
    return text if len(text) <= most else f"{text[: most - 3]}..."
