"""What a viewer has chosen: all of it in the address of the page, so that a link carries it.

Each choice is a query parameter with a type; what is absent has its default, and a value that
cannot be is told in a line and passed over. Nothing is shared between viewers, and a page opened
from a link shows what its sender saw.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from scaling.errors import ConfigError
from scaling.tables.cells.numbers import number
from scaling.tables.notes import printable

LONGEST = 2000  # characters of a value that an address may carry


@dataclass(frozen=True, kw_only=True)
class Field:
    """One choice: its query parameter, how its text is read, and its value where nobody chose."""

    name: str
    read: Callable[[str], Any]
    """The value of a text. Raises ValueError, whose message says what it must be."""
    default: Any = None
    write: Callable[[Any], str] = str
    many: bool = False
    """Whether it may be given several times; its value is then a tuple."""

    def texts_of(self, value: Any) -> list[str]:
        """How the address writes a value; nothing for the default."""
        if value == self.default or value is None:
            return []
        return [self.write(one) for one in value] if self.many else [self.write(value)]


def text_field(name: str) -> Field:
    """Any text; none by default."""
    return Field(name=name, read=str, default="")


def choice_field(name: str, options: Iterable[Any], default: Any) -> Field:
    """One of these."""
    known = {str(option): option for option in options}

    def read(text: str) -> Any:
        if text not in known:
            raise ValueError(f"choose one of: {', '.join(known)}")
        return known[text]

    return Field(name=name, read=read, default=default)


def number_field(
    name: str, low: float, high: float, default: float | None = None, *, whole: bool = False
) -> Field:
    """A number from ``low`` to ``high``, written as on the command line: 1e21, 70B."""

    def read(text: str) -> float:
        value = number(text)
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"give a number from {low:g} to {high:g}")
        if whole and value != round(value):
            raise ValueError("give a whole number")
        return int(value) if whole else value

    return Field(name=name, read=read, default=default, write=lambda value: f"{value:.10g}")


def flag_field(name: str, default: bool = False) -> Field:
    """Yes or no."""

    def read(text: str) -> bool:
        if text not in ("0", "1"):
            raise ValueError("give 1 or 0")
        return text == "1"

    return Field(name=name, read=read, default=default, write=lambda value: str(int(value)))


def several_field(name: str) -> Field:
    """Any number of texts."""
    return Field(name=name, read=str, default=(), many=True)


@dataclass(frozen=True, kw_only=True)
class State(Mapping[str, Any]):
    """What is chosen, by name; with a line for each value that could not be."""

    fields: Mapping[str, Field]
    chosen: Mapping[str, Any]
    complaints: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.chosen[name]

    def __iter__(self) -> Any:
        return iter(self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def query(self) -> str:
        """The part of an address after the question mark that carries all of it."""
        return self.query_with()

    def query_with(self, **changed: Any) -> str:
        """The same with other values for some."""
        chosen = {**self.chosen, **changed}
        pairs = [
            (name, text)
            for name, field in self.fields.items()
            for text in field.texts_of(chosen[name])
        ]
        return urlencode(pairs)


def read_state(fields: Sequence[Field], given: Mapping[str, Sequence[str]]) -> State:
    """What these query parameters choose; each that cannot be leaves its default, and a line."""
    values, complaints = {}, []
    for field in fields:
        texts = [text[:LONGEST] for text in given.get(field.name, ())]
        try:
            read = tuple(field.read(text) for text in texts)
        except (ValueError, ConfigError) as error:
            shown = printable(", ".join(texts))
            complaints.append(f'{field.name} "{shown}" in the address is passed over: {error}')
            read = ()
        values[field.name] = (read if field.many else read[-1]) if read else field.default
    by_name = {field.name: field for field in fields}
    return State(fields=by_name, chosen=values, complaints=tuple(complaints))


def address() -> dict[str, list[str]]:
    """The query parameters of this viewer's page."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def choose(field: Field, value: Any) -> None:
    """Write a choice into the address."""
    texts = field.texts_of(value)
    if texts:
        st.query_params[field.name] = texts if field.many else texts[0]
    elif field.name in st.query_params:
        del st.query_params[field.name]
