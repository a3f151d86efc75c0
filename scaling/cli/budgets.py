"""Budgets as people give them: so many FLOP, or so many times what the largest run took (10x)."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.cli.outputs import say
from scaling.errors import ConfigError
from scaling.tables.numbers import number

if TYPE_CHECKING:
    from scaling.records import Records

_TIMES = re.compile("(?P<factor>.+?)\\s*[xX\u00d7]")


@dataclass(frozen=True)
class Multiple:
    """A budget as a multiple of the compute of the largest run that fits may use."""

    factor: float


def given_number(text: str) -> float:
    """The number that an option gives. Raises argparse.ArgumentTypeError for what is none."""
    try:
        return number(text)
    except ValueError as error:
        hint = "; separate several by blanks: 1e21 1e22" if "," in text else ""
        raise argparse.ArgumentTypeError(f"{error}{hint}") from error


def budget(text: str) -> float | Multiple:
    """The budget that an option gives. Raises argparse.ArgumentTypeError for what is none."""
    times = _TIMES.fullmatch(text.strip())
    return Multiple(given_number(times["factor"])) if times else given_number(text)


def in_flops(budgets: Sequence[float | Multiple], records: "Records") -> list[float]:
    """The budgets in FLOP; what a multiple comes to is said. Raises ConfigError where no run
    tells, and RecordError as `analysis.tuning.screening.screen` does."""
    if not any(isinstance(asked, Multiple) for asked in budgets):
        return [asked for asked in budgets if not isinstance(asked, Multiple)]
    from analysis.tuning.screening import screen

    used = screen(records).with_values("train_flops")
    if not len(used):
        raise ConfigError(f"{records.source}: no usable run, of which a budget is a multiple")
    largest, found = float(used.column("train_flops").max()), []
    for asked in budgets:
        flops = asked.factor * largest if isinstance(asked, Multiple) else asked
        if isinstance(asked, Multiple):
            say(f"{asked.factor:g}x the largest run, of {largest:.4g} FLOP: {flops:.4g} FLOP")
        found.append(flops)
    return found
