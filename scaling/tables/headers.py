"""Where a file of separated values begins: its header, and what people put above it."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from scaling.tables.numbers import number
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
    plain = [i for i in filled if lines[i].lstrip()[:1] != "#"]
    if not plain:
        raise ValueError("it is empty")
    plain = plain[_titles([lines[i] for i in plain[: _TITLES + 2]], told) :]
    while _is_above_comment(lines, plain, told):
        plain = plain[1:]
    at = plain[0]
    separator, names = _split(lines[at], told)
    above = [i for i in filled if i < at]
    if above and (commented := _commented(lines[above[-1]], lines[at], told)):
        at, (separator, names) = above[-1], commented
    return Header(at, separator, _told_apart(names))


def _commented(comment: str, row: str, told: str | None) -> tuple[str, list[str]] | None:
    """The separator and the names, where a comment names the columns of the row of numbers below
    it; None where it does not."""
    best = None
    for separator in (told,) if told else (*_SEPARATORS, BLANKS):
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
            and all(sum(map(bool, _cells(line, separator))) < filled for line in lines[:at])
            and not any(map(_is_number, names))
            and any(map(_is_number, _cells(lines[at + 1], separator)))
        ):
            return at
    return 0


def _is_above_comment(lines: Sequence[str], plain: Sequence[int], told: str | None) -> bool:
    """Whether a comment, and more columns of numbers, follow the first of these lines: then the
    comment may be the header."""
    if len(plain) < 2 or not any(line.strip() for line in lines[plain[0] + 1 : plain[1]]):
        return False
    separator, cells = _split(lines[plain[1]], told)
    first = _cells(lines[plain[0]], separator)
    return separator != BLANKS and len(first) < len(cells) and any(map(_is_number, cells))


def _split(line: str, told: str | None = None) -> tuple[str, list[str]]:
    """The separator with which a header has most names, and those names."""
    found = [(_cells(line, s), s) for s in ((told,) if told else _SEPARATORS)]
    names, separator = max(found, key=lambda one: len(one[0]))
    if len(names) == 1 and len(line.split()) > 1 and '"' not in line:
        return BLANKS, line.split()
    return separator, names


def _cells(line: str, separator: str) -> list[str]:
    if separator == BLANKS:
        return line.split()
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
