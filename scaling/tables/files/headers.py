"""Where a file of separated values begins: its header, and what people put above it."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from scaling.tables.cells.numbers import number
from scaling.tables.spellings import meaning_of

BLANKS = r"\s+"  # the separator of a table whose columns are set apart by blanks
_SEPARATORS = (",", ";", "\t", "|")
_LOOK = 40  # lines in which a header is looked for
_TITLES = 6  # lines that may stand above a header without being comments
_EXCEL = re.compile(r"\s*\"?sep=(.)\"?[,;\t|]*\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """The line that names the columns, counted from 0; no two names are alike."""

    line: int
    separator: str
    names: list[str]


def find_header(lines: Sequence[str]) -> Header:
    """The header of a file: below comments (#), titles and Excel's "sep=", or itself a comment
    above rows of numbers, as numpy writes it. Raises ValueError for an empty file, and where two
    columns that mean something to us have one name.
    """
    filled = [i for i, line in enumerate(lines[: _LOOK * 10]) if line.strip()][:_LOOK]
    told = None
    if filled and (excel := _EXCEL.fullmatch(lines[filled[0]])):
        told, filled = excel[1], filled[1:]
    plain = [i for i in filled if not _is_comment(lines[i])]
    if not plain:
        raise ValueError("it is empty")
    if commented := _commented_header(lines, filled, told):
        return commented
    at = plain[_titles([lines[i] for i in plain[: _TITLES + 2]], told)]
    separator, names = _split(lines[at], told)
    return Header(at, separator, _told_apart(names))


def _commented(comment: str, row: str, told: str | None) -> tuple[str, list[str]] | None:
    """The separator and the names, where a comment names the columns of the row of numbers below
    it; None where it does not."""
    best = None
    for separator in (told,) if told else (*_SEPARATORS, BLANKS):
        if separator == BLANKS and best:
            break
        names = _cells(comment.lstrip().removeprefix("#"), separator)
        cells = _cells(row, separator)
        fits = len(names) == len(cells) > (len(best[1]) if best else 1)
        if fits and any(map(_is_number, cells)) and not any(map(_is_number, names)):
            best = separator, [names[0] or "#", *names[1:]]
    return best


def _titles(lines: Sequence[str], told: str | None) -> int:
    """How many of these lines stand above the header: it names more columns than any of them, and
    numbers follow it."""
    for at in range(1, len(lines) - 1):
        separator, names = _split(lines[at], told)
        filled = sum(map(bool, names))
        if (
            separator != BLANKS
            and all(_filled(line, separator) < filled for line in lines[:at])
            and not any(map(_is_number, names))
            and any(map(_is_number, _cells(lines[at + 1], separator)))
        ):
            return at
    return 0


def _commented_header(
    lines: Sequence[str], filled: Sequence[int], told: str | None
) -> Header | None:
    """The comment that names the columns of the row of numbers below it, if there is one and
    nothing above it is as wide: of several, the one with most names between separators."""
    best = None
    for at in filled:
        below = next((i for i in filled if i > at and not _is_comment(lines[i])), None)
        if not _is_comment(lines[at]) or below is None:
            continue
        found = _commented(lines[at], lines[below], told)
        above = [lines[i] for i in filled if i < at and not _is_comment(lines[i])]
        if found and all(_filled(line, found[0]) < len(found[1]) for line in above):
            rank = found[0] != BLANKS, len(found[1])  # of sentences some have as many words
            best = max(best or (rank, at, found), (rank, at, found), key=lambda one: one[0])
    return Header(best[1], best[2][0], _told_apart(best[2][1])) if best else None


def _is_comment(line: str) -> bool:
    return line.lstrip()[:1] == "#"


def _filled(line: str, separator: str) -> int:
    """How many cells of a line hold something."""
    return sum(map(bool, _cells(line, separator)))


def _split(line: str, told: str | None = None) -> tuple[str, list[str]]:
    """The separator with which a header has most names, and those names."""
    found = [(_cells(line, s), s) for s in ((told,) if told else _SEPARATORS)]
    names, separator = max(found, key=lambda one: len(one[0]))
    if len(names) == 1 and len(_cells(line, BLANKS)) > 1 and '"' not in line:
        return BLANKS, _cells(line, BLANKS)
    return separator, names


def _cells(line: str, separator: str) -> list[str]:
    if separator == BLANKS:
        return re.split("[ \t]+", line.strip(" \t"))  # a number may hold a narrow no-break space
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, be its commas decimal points or not."""
    for decimal_comma in (False, True):
        with suppress(ValueError, OverflowError):
            number(cell.strip("\"'"), decimal_comma)
            return True
    return False


def _told_apart(names: list[str]) -> list[str]:
    """The names, those after the first of one name with a number behind it."""
    counts: dict[str, int] = {}
    apart = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > 1 and meaning_of(name):
            raise ValueError(f'two columns are named "{name}"; rename one')
        apart.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return apart
