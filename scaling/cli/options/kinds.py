"""What an option gives: numbers, seeds, paths; and options that may be given repeatedly."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from scaling.tables.cells.numbers import number

#: A group of options: adds them to a verb.
Options = Callable[[argparse.ArgumentParser], None]
Amount = TypeVar("Amount")


def amount(reader: Callable[[str], Amount], several: str = "") -> Callable[[str], Amount]:
    """The reader as the type of an option: its ValueError is a mistake of whoever types. Where an
    option takes ``several``, an example of them is shown to whoever parts them by commas."""

    def given(text: str) -> Amount:
        try:
            return reader(text)
        except ValueError as error:
            hint = f"; separate several by blanks: {several}" if several and "," in text else ""
            raise argparse.ArgumentTypeError(f"{error}{hint}") from error

    return given


given_number = amount(number, several="1e21 1e22")


def whole(text: str) -> int:
    """The whole number that an option gives."""
    value = given_number(text)
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number')
    return int(value)


def seed(text: str) -> int:
    """The seed that an option gives."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 0')
    return int(text)


#: Endings that say what is in a file; others, as of a name with dots, say nothing.
_ENDINGS = (
    *(".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".txt", ".yaml", ".yml"),
    *(".html", ".md", ".pdf", ".png", ".svg", ".jpg"),
)


def file_ending(*endings: str, is_needed: bool = False) -> Callable[[str], str]:
    """A path whose ending is one of these, if it has one, or in any case; without any, a folder's.
    What is found here is found before a verb works for minutes."""

    def checked(text: str) -> str:
        ending = Path(text).suffix.lower()
        if is_needed and Path(text).is_dir():
            raise argparse.ArgumentTypeError(f'"{text}" is a folder; name a file in it')
        if is_needed and not ending:
            raise argparse.ArgumentTypeError(
                f'"{text}" has no ending; write {" or ".join(endings)}'
            )
        if (is_needed or ending in _ENDINGS) and ending not in endings:
            what = f"write {' or '.join(endings)}" if endings else "it is a folder"
            raise argparse.ArgumentTypeError(f'"{text}" ends in {ending}; {what}')
        return text

    return checked


def repeatable(command: argparse.ArgumentParser, flag: str, metavar: str, text: str) -> None:
    """An option that may be given several times: a list, empty where it is not given."""
    text = f"{text}; repeatable"
    command.add_argument(flag, action="append", default=[], metavar=metavar, help=text)
