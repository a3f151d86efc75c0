"""Text to train on: the running Python's standard library, or the user's own files."""

import ast
import glob
import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from scaling.errors import CorpusError
from scaling.tables.notes import printable
from sweeps.data.documents.readers import Document, file_documents, is_readable

#: Not library text: tests, tools with texts of their own, other people's packages.
SKIPPED_FOLDERS = frozenset(
    (
        "test",
        "tests",
        "idlelib",
        "idle_test",
        "turtledemo",
        "ensurepip",
        "site-packages",
        "dist-packages",
        "__pycache__",
        "pydoc_data",
    )
)


#: Files that one pattern may match: beyond, reading them one by one is no way to train.
MOST_FILES = 100_000


def read_documents(
    patterns: Sequence[str] = (), left_out: list[str] | None = None
) -> tuple[Document, ...]:
    """The documents of the files that match the globs, or of the standard library without globs.

    Raises CorpusError for a glob without files, bytes that are not UTF-8 (with file and offset),
    JSONL lines or Parquet rows without a "text" string, and text that is empty altogether. With a
    list `left_out`, documents that are not UTF-8 are named there instead, and passed over.
    """
    documents = tuple(stream_documents(patterns, left_out=left_out))
    if not documents:
        where = ", ".join(patterns) or sysconfig.get_paths()["stdlib"]
        raise CorpusError(f"{where}: no text inside; give data.files with some")
    return documents


def stream_documents(
    patterns: Sequence[str] = (),
    piece_bytes: int | None = None,
    left_out: list[str] | None = None,
) -> Iterator[Document]:
    """The same, one at a time; with `piece_bytes`, long text files come in pieces of that size."""
    found = _standard_library_documents()
    if patterns:
        found = _user_documents(patterns, piece_bytes, left_out)
    return (document for document in found if document.content.strip())


def _standard_library_documents() -> Iterator[Document]:
    """Source files, and the language reference that `help()` shows, topic by topic.

    The reference is one file of prose. As one document it would fill most of a validation set or
    be absent from it; its topics are documents of their own.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(set(inner) - SKIPPED_FOLDERS)  # not even entered: some are huge
        for name in sorted(names):
            if name.endswith(".py"):
                path = Path(folder, name)
                yield Document(path.relative_to(root).as_posix(), path.read_bytes())
    topics = root / "pydoc_data" / "topics.py"
    if topics.exists():
        for statement in ast.parse(topics.read_bytes()).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
                for topic, text in ast.literal_eval(statement.value).items():
                    yield Document(f"topics/{topic}", text.encode())


def _user_documents(
    patterns: Sequence[str], piece_bytes: int | None, left_out: list[str] | None
) -> Iterator[Document]:
    for path in find_files(patterns):
        yield from file_documents(path, piece_bytes, left_out)


def find_files(patterns: Sequence[str]) -> list[str]:
    """The files, and the folders that `datasets` saved, in the order of the globs, each once.

    Raises CorpusError for a glob that matches nothing, or more than MOST_FILES files and folders.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        expanded = str(Path(pattern).expanduser())
        paths = [path for path in matching(expanded, pattern) if is_readable(Path(path))]
        if not paths:
            if Path(expanded).is_dir():
                inside = f"{pattern.rstrip('/')}/**/*{_usual_ending(Path(expanded))}"
                raise CorpusError(f"{printable(pattern, most=400)}: is a folder; write {inside}")
            raise CorpusError(f"{printable(pattern, most=400)}: no such file; mend data.files")
        found.update(dict.fromkeys(sorted(paths)))
    return list(found)


def _usual_ending(folder: Path) -> str:
    """The ending that most of a folder's files have; .txt where it holds none."""
    files = islice((path for path in folder.rglob("*") if path.is_file()), 1000)
    found = Counter(path.suffix for path in files).most_common(1)
    return found[0][0] if found else ".txt"


def matching(expanded: str, pattern: str) -> list[str]:
    """What a glob matches, in no order; beyond MOST_FILES a CorpusError names it as written."""
    try:
        paths = list(islice(glob.iglob(expanded, recursive=True), MOST_FILES + 1))
    except (ValueError, re.error, RecursionError) as error:  # a NUL byte, an endless pattern
        raise CorpusError(
            f"{printable(pattern, most=400)}: no pattern of files ({error})"
        ) from error
    if len(paths) > MOST_FILES:
        raise CorpusError(
            f"{printable(pattern, most=400)}: matches more than {MOST_FILES:,} files; name fewer, "
            "or make shards of them with scaling tokenize"
        )
    return paths
