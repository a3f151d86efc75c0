"""A table to the letter: its rows as they stand in a file, and what was noted on the way."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.tables.notes import DroppedRow, Note, NoteCode

if TYPE_CHECKING:
    import pandas as pd

BY_SEPARATOR = "decimal_by_separator"  # that a comma of a cell may be a decimal point


@dataclass(frozen=True)
class RawTable:
    """A file's table to the letter; its index counts lines from the one below the header."""

    frame: "pd.DataFrame"
    separator: str = ","
    dropped: tuple[DroppedRow, ...] = ()
    notes: tuple[Note, ...] = ()


def flat_frame(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Lists and other things that are no cells become their text."""
    for position in range(frame.shape[1]):
        values = frame.iloc[:, position]
        if values.dtype == object and any(_is_nested(value) for value in values):
            text = values.map(lambda value: str(value)[:200] if _is_nested(value) else value)
            frame = frame.copy(deep=False)
            frame.isetitem(position, text)
    return frame


def _is_nested(value: object) -> bool:
    return isinstance(value, tuple) or not isinstance(value, Hashable)


def decoded(content: bytes) -> tuple[str, tuple[Note, ...]]:
    """Text in UTF-8 or UTF-16, else in the code page of Windows, which is said."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), ()
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        text = "text that is not UTF-8 was read as Windows-1252"
        return content.decode("cp1252", "replace"), (Note(NoteCode.ASSUMED, text),)
