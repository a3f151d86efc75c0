"""Text to train on: the running Python's standard library, or the user's own files."""

import ast
import glob
import json
import os
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.errors import CorpusError

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


@dataclass(frozen=True)
class Document:
    """One piece of text that is trained on, or held back, as a whole."""

    name: str
    content: bytes


def read_documents(patterns: Sequence[str] = ()) -> tuple[Document, ...]:
    """The documents of the files that match the globs, or of the standard library without globs.

    Raises CorpusError for a glob without files, bytes that are not UTF-8 (with file and offset),
    JSONL lines without a "text" string, and text that is empty altogether.
    """
    found = _user_documents(patterns) if patterns else _standard_library_documents()
    documents = tuple(document for document in found if document.content.strip())
    if not documents:
        where = ", ".join(patterns) or sysconfig.get_paths()["stdlib"]
        raise CorpusError(f"{where}: no text inside; give data.files with some")
    return documents


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


def _user_documents(patterns: Sequence[str]) -> Iterator[Document]:
    seen = set()
    for pattern in patterns:
        expanded = str(Path(pattern).expanduser())
        paths = [
            path for path in sorted(glob.glob(expanded, recursive=True)) if Path(path).is_file()
        ]
        if not paths:
            raise CorpusError(f"{pattern}: no such file; mend data.files")
        for path in paths:
            if path not in seen:
                seen.add(path)
                yield from _file_documents(path)


def _file_documents(path: str) -> Iterator[Document]:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; mend data.files") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: byte {error.start} (0x{content[error.start]:02x}) is not UTF-8; "
            "convert the file to UTF-8"
        ) from error
    if not path.endswith(".jsonl"):
        yield Document(path, content)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Document(f"{path}:{number}", _jsonl_text(path, number, line))


def _jsonl_text(path: str, number: int, line: str) -> bytes:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{path} line {number}: not JSON ({error}); mend the line") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise CorpusError(f'{path} line {number}: no "text" string; every line needs one')
    try:
        return str(row["text"]).encode()
    except UnicodeEncodeError as error:  # a lone surrogate escape
        raise CorpusError(f"{path} line {number}: text is not Unicode; mend the line") from error
