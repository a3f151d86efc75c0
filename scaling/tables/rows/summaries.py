"""Rows that sum up the other rows of a table, such as its totals: they are no runs."""

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scaling.tables.cells.numbers import comma_styles, read_numbers
from scaling.tables.files.raw import RawTable
from scaling.tables.heading_words import any_of
from scaling.tables.notes import DroppedRow, Note, NoteCode, printable, rows_named
from scaling.tables.rows.runs import without_blank_rows

if TYPE_CHECKING:
    import pandas as pd

_WORDS = any_of(
    "total totals totale sum sums subtotal mean means average averages avg median gesamt summe "
    "insgesamt mittel mittelwert durchschnitt somme moyenne mediane suma media promedio"
)
_BESIDE = any_of("grand sub overall all of runs rows the")  # "grand total", "mean of all runs"
_ENDS = 5  # rows at the end, looked at whatever they hold
_MOST_SUMMARIES = 0.5  # of the rows: with more, the words name something else
_FEW_BLANKS = 2  # rows without a value that all others have: runs and a line of totals
_FEW_RUNS = 3  # with fewer above, a sum or a mean may be met by chance
_BY_HAND = 10_000  # rows: people put nameless means below no larger table
_MANY = 3  # columns that vary and hold the mean: no run does by chance
_VARIES = 1.1
_ROUNDING = 1e-3  # of a sum or a mean, as people round them


def runs_alone(raw: RawTable, by_separator: bool) -> RawTable:
    """The table without its blank rows, and without those that sum up others; both are told."""
    frame, notes = without_blank_rows(raw.frame), raw.notes
    if blank := raw.frame.index.difference(frame.index).tolist():
        notes = (*notes, Note(NoteCode.UNDERSTOOD, f"skipped as blank: {rows_named(blank)}"))
    summaries = summary_rows(frame, by_separator)
    gone = []
    for i, called in summaries.items():
        row = f"row {int(frame.index[i]) + 2}"
        name = f'{row} "{called}"' if called else row
        gone.append(DroppedRow(row, f"{name} sums up others"))
    frame = frame.drop(index=frame.index[list(summaries)])
    return replace(raw, frame=frame, notes=notes, dropped=(*raw.dropped, *gone))


def summary_rows(frame: "pd.DataFrame", by_separator: bool) -> dict[int, str]:
    """The rows of a raw table that sum up others: position -> what it is called, "" if it is not.

    One called a total, mean or median is such a row where it lacks what all others have, or its
    numbers are those of the rows above; one that lacks what all others have, and is called
    nothing, where its numbers are all sums or all means of the rows above.
    """
    if frame.empty or not frame.columns.is_unique:
        return {}
    filled = {str(name): _filled(values) for name, values in frame.items()}
    named = _named(frame, filled)
    if len(named) > _MOST_SUMMARIES * len(frame):
        return {}
    runs = np.ones(len(frame), dtype=bool)
    runs[list(named)] = False
    full = [has for has in filled.values() if _is_full(has[runs])]
    lacking = {i for has in full for i in named if not has[i]}
    found = {i: named[i] for i in sorted(lacking)}
    nameless = {int(i) for has in full for i in np.flatnonzero(~has & runs)}
    last = {len(frame) - 1} - nameless - set(named) if len(frame) <= _BY_HAND else set()
    doubtful = sorted(nameless | last | (set(named) - lacking))
    if doubtful:
        numbers = _numbers(frame, doubtful, by_separator)
        runs[doubtful] = False
        for i in doubtful:
            least = _MANY if i in last else 2
            if _sums_up(numbers, runs, i, with_median=i in named, least=least):
                found[i] = named.get(i, "")
    return found


def _filled(values: "pd.Series") -> "np.ndarray":
    return np.asarray(values.notna() & (values.astype(object) != ""), dtype=bool)


def _named(frame: "pd.DataFrame", filled: dict[str, "np.ndarray"]) -> dict[int, str]:
    """The rows with a cell that is a word for a summary, among those that lack a value which
    most others have, and the last ones."""
    looked = np.zeros(len(frame), dtype=bool)
    looked[-_ENDS:] = True
    for has in filled.values():
        if has.mean() >= _MOST_SUMMARIES:
            looked |= ~has
    found: dict[int, str] = {}
    for at in range(frame.shape[1]):
        values = frame.iloc[:, at]
        if values.dtype.kind in "fiubM":
            continue
        at_hand = np.flatnonzero(looked)
        for i, cell in zip(at_hand, values.to_numpy(dtype=object)[at_hand], strict=True):
            if isinstance(cell, str) and _is_summary(cell):
                found.setdefault(int(i), printable(cell.strip()))
    return found


def _is_summary(cell: str) -> bool:
    if len(cell) > 40:
        return False
    text = unicodedata.normalize("NFKD", cell.lower()).encode("ascii", "ignore").decode()
    words = set(re.findall("[a-z]+", text))
    return bool(words & _WORDS) and words <= _WORDS | _BESIDE


def _is_full(has: "np.ndarray") -> bool:
    """Whether all rows, but for few of them, have a value."""
    blanks = len(has) - int(has.sum())
    return blanks <= _FEW_BLANKS and blanks < (1 - _MOST_SUMMARIES) * len(has)


def _numbers(frame: "pd.DataFrame", rows: list[int], by_separator: bool) -> "np.ndarray":
    """The columns (rows, columns) that have a number in some of these rows; NaN where a cell is
    none."""
    commas = comma_styles(frame, by_separator)
    columns = [np.full(len(frame), np.nan)]
    for name, values in frame.items():
        comma = commas.get(str(name), False)
        if read_numbers(values.iloc[rows], comma)[0].notna().any():
            columns.append(np.asarray(read_numbers(values, comma)[0], dtype=np.float64))
    return np.column_stack(columns)


def _sums_up(
    numbers: "np.ndarray", runs: "np.ndarray", i: int, *, with_median: bool, least: int
) -> bool:
    """Whether all numbers of a row are the sums or all are the means of the runs above it (or the
    medians, which a run may be by chance), ``least`` of them of columns that vary."""
    above = numbers[:i][runs[:i]]
    held = np.isfinite(numbers[i]) & np.isfinite(above).any(axis=0)
    if len(above) < _FEW_RUNS or held.sum() < least:
        return False
    of_runs, cells = above[:, held], numbers[i, held]
    with np.errstate(all="ignore"):  # cells may be of any size
        vary = np.nanmax(of_runs, axis=0) > _VARIES * np.nanmin(of_runs, axis=0)
        if least > 2 and vary.sum() < least:
            return False
        kinds = [np.nansum(of_runs, axis=0), np.nanmean(of_runs, axis=0)]
        kinds += [np.nanmedian(of_runs, axis=0)] if with_median else []
        return any(np.allclose(cells, kind, rtol=_ROUNDING, atol=0) for kind in kinds)
