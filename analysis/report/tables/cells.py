"""What every table of the report is made of: its head and rows, and how a cell is written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.intervals import in_decimals
from analysis.report.words.summary import NOT_SUPPORTED
from analysis.text.numbers import count_in_words, flops_in_words, rough_in_words
from scaling.columns import loss_unit
from scaling.records import Records

NO_INTERVAL = "\u2013"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A head and rows of text; ``marked`` are the rows that deserve a look."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: tuple[int, ...] = ()
    note: str = ""


def loss_head(records: Records) -> str:
    """The head of a column of losses."""
    unit = loss_unit(records.loss_kind).strip("()")
    return f"Loss ({unit})" if unit else "Loss"


HEADS = {"params": "Parameters N", "tokens": "Tokens D", "train_flops": "Compute C (FLOP)"}


def or_dash(value: Any, write: Callable[[Any], str]) -> str:
    """The value as written, or a dash for what is not known."""
    return "\u2013" if value is None else write(value)


def size_cell(value: float, column: str) -> str:
    """A size, horizon or budget as a cell of a table."""
    if not np.isfinite(value):
        return "\u2013"
    return flops_in_words(value, 3) if column == "train_flops" else count_in_words(value)


def predicted_cells(median: float | None, interval: tuple[float, float]) -> tuple[str, str]:
    """A predicted loss and its interval as cells; an order of magnitude where it has no median."""
    if median is None:
        return NOT_SUPPORTED, " to ".join(rough_in_words(end) for end in interval)
    written, low, high = in_decimals(median, interval)
    return written, f"{low} to {high}"
