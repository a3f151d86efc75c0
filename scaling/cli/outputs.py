"""Where a verb's result goes: a file, and standard output as text or as one JSON document."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.errors import ConfigError

if TYPE_CHECKING:
    from pandas import DataFrame

Arguments = argparse.Namespace


def answer(document: str, text: Callable[[], str], arguments: Arguments) -> None:
    """Save the JSON document where -o says, and print it or its text."""
    save(document, arguments)
    show(document, text, arguments)


def save(document: str, arguments: Arguments) -> None:
    """Write the JSON document where -o says, if it does."""
    if arguments.output:
        target = Path(arguments.output)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(document + "\n")
        except OSError as error:
            raise ConfigError(f"{target}: cannot be written ({error.strerror})") from error


def save_table(table: "DataFrame", arguments: Arguments) -> None:
    """Write a table as CSV where -o says, or to standard output."""
    try:
        if arguments.output:
            Path(arguments.output).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(arguments.output or sys.stdout, index=False)
    except OSError as error:
        raise ConfigError(f"{arguments.output}: cannot be written ({error.strerror})") from error


def show(document: str, text: Callable[[], str], arguments: Arguments) -> None:
    """Print the JSON document, or what a person reads."""
    print(document if arguments.json else text())
