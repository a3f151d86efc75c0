"""Files of pairs: a source and its target, parted by a tab or in two files whose lines agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from scaling.errors import CorpusError
from scaling.words import counted
from sweeps.data.documents.files import find_files


@dataclass(frozen=True, slots=True)
class TextPair:
    """A source and its target, and where they were read."""

    source: str
    target: str
    place: str


def read_pairs(files: Sequence[str], target_files: Sequence[str] = ()) -> list[TextPair]:
    """The pairs of the files that match the globs, in order.

    Raises CorpusError, naming file and line, for bytes that are not UTF-8, an empty file, a line
    without its tab or with several, an empty side, and files of which one has more lines.
    """
    sources = find_files(files)
    if not target_files:
        return [pair for path in sources for pair in _tabbed(path)]
    targets = find_files(target_files)
    if len(sources) != len(targets):
        raise CorpusError(
            f"data.files match {counted(len(sources), 'file')} and data.target_files "
            f"{len(targets)}; give as many, in the same order"
        )
    both = zip(sources, targets, strict=True)
    return [pair for source, target in both for pair in _aligned(source, target)]


def _tabbed(path: str) -> Iterator[TextPair]:
    for number, line in enumerate(_lines(path), start=1):
        place = f"{path}, line {number}"
        source, *rest = line.split("\t")
        if len(rest) != 1:
            has = f"{len(rest)} tabs" if rest else "no tab"
            raise CorpusError(f"{place}: {has}; a line is a source, one tab, and its target")
        yield _checked(source, rest[0], place)


def _aligned(source_path: str, target_path: str) -> Iterator[TextPair]:
    sources, targets = _lines(source_path), _lines(target_path)
    if len(sources) != len(targets):
        longer = source_path if len(sources) > len(targets) else target_path
        raise CorpusError(
            f"{source_path} has {counted(len(sources), 'line')} and {target_path} {len(targets)}: "
            f"line {min(len(sources), len(targets)) + 1} of {longer} has no counterpart; line n of "
            "one is the translation of line n of the other"
        )
    for number, (source, target) in enumerate(zip_longest(sources, targets), start=1):
        place = f"{source_path}, line {number}"
        for path, line in ((source_path, source), (target_path, target)):
            if "\t" in line:
                raise CorpusError(
                    f"{path}, line {number}: a tab, which parts source and target in one file; "
                    "take it out, or leave data.target_files out"
                )
        yield _checked(source, target, place)


def _checked(source: str, target: str, place: str) -> TextPair:
    empty = [name for name, text in (("source", source), ("target", target)) if not text.strip()]
    if empty:
        sides = "source and target are" if len(empty) == 2 else f"the {empty[0]} is"
        raise CorpusError(f"{place}: {sides} empty; fill it, or take the line out")
    return TextPair(source, target, place)


def _lines(path: str) -> list[str]:
    """The lines of a file, whichever way they end."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}; mend data.files") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            f"{path}, line {line}: byte {error.start} is not UTF-8; recode the file"
        ) from error
    if not text.strip():
        raise CorpusError(f"{path}: empty; it has a pair a line")
    lines = text.removesuffix("\n").split("\n")
    return [line.removesuffix("\r") for line in lines]
