"""Documents of a file, one after the other: text, JSONL, Parquet, and Hugging Face folders.

All of them are read in pieces, so a file may be larger than memory. Folders that
`datasets.save_to_disk` wrote are Arrow streams beside a list of their names; pyarrow reads them, so
that package is not needed.
"""

import codecs
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.errors import CorpusError

_FIELD = "text"
_ROWS = 1024  # of a Parquet file at once


@dataclass(frozen=True)
class Document:
    """One piece of text that is trained on, or held back, as a whole."""

    name: str
    content: bytes


def is_readable(path: Path) -> bool:
    """Whether the path is a file, or a folder that `datasets` saved."""
    return path.is_file() or _is_saved(path)


def file_documents(
    path: str, piece_bytes: int | None = None, left_out: list[str] | None = None
) -> Iterator[Document]:
    """The documents of one file or saved folder.

    A text file is one document, or, with `piece_bytes`, several of about that size, cut behind a
    line. Raises CorpusError for what cannot be read, naming the byte, line or row; with a list
    `left_out`, documents that are not UTF-8 are named there instead, and passed over.
    """
    try:
        if Path(path).is_dir():
            yield from _saved_documents(Path(path))
        elif path.endswith(".jsonl"):
            yield from _jsonl_documents(path, left_out)
        elif path.endswith(".parquet"):
            yield from _parquet_documents(path)
        else:
            yield from _text_documents(path, piece_bytes, left_out)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}; mend data.files") from error


def _text_documents(
    path: str, piece_bytes: int | None, left_out: list[str] | None
) -> Iterator[Document]:
    if piece_bytes is None:
        content = Path(path).read_bytes()
        if _is_text(path, content, 0, left_out):
            yield Document(path, content)
        return
    offset, rest = 0, b""
    with open(path, "rb") as file:
        while block := file.read(piece_bytes):
            rest += block
            end = rest.rfind(b"\n") + 1 if len(block) == piece_bytes else len(rest)
            if end or len(rest) >= 2 * piece_bytes:
                piece = rest[: end or _whole_characters(rest)]
                if _is_text(path, piece, offset, left_out):
                    yield Document(f"{path}[{offset}]", piece)
                offset, rest = offset + len(piece), rest[len(piece) :]
    if rest and _is_text(path, rest, offset, left_out):
        yield Document(f"{path}[{offset}]", rest)


def _whole_characters(content: bytes) -> int:
    """Bytes up to the last character that is whole, for text without a line end."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(content)
    return len(content) - len(decoder.getstate()[0])


def _is_text(path: str, content: bytes, offset: int, left_out: list[str] | None) -> bool:
    """Whether it is UTF-8; what is not is noted where a list is at hand, else refused."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"{path}: byte {offset + error.start} (0x{content[error.start]:02x})"
        if left_out is None:
            raise CorpusError(
                f"{where} is not UTF-8; convert the file to UTF-8, or leave such documents out: "
                "data.undecodable skip, or scaling tokenize --skip-undecodable"
            ) from error
        left_out.append(where)
        return False
    return True


def _jsonl_documents(path: str, left_out: list[str] | None) -> Iterator[Document]:
    offset = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            is_text = _is_text(path, line, offset, left_out)
            offset += len(line)
            if is_text and line.strip():
                yield Document(f"{path}:{number}", _jsonl_text(path, number, line))


def _jsonl_text(path: str, number: int, line: bytes) -> bytes:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{path} line {number}: not JSON ({error}); mend the line") from error
    if not isinstance(row, dict) or not isinstance(row.get(_FIELD), str):
        raise CorpusError(f'{path} line {number}: no "text" string; every line needs one')
    try:
        return str(row[_FIELD]).encode()
    except UnicodeEncodeError as error:  # a lone surrogate escape
        raise CorpusError(f"{path} line {number}: text is not Unicode; mend the line") from error


def _parquet_documents(path: str) -> Iterator[Document]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_column(path, file.schema_arrow)
            batches = file.iter_batches(batch_size=_ROWS, columns=[_FIELD])
            yield from _column_documents(path, batches)
    except pyarrow.ArrowInvalid as error:
        raise CorpusError(f"{path}: not a whole Parquet file ({_first_line(error)})") from error


def _is_saved(folder: Path) -> bool:
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def _saved_documents(folder: Path) -> Iterator[Document]:
    import pyarrow
    import pyarrow.ipc

    for path in _saved_files(folder):
        try:
            with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as stream:
                _check_column(str(path), stream.schema)
                yield from _column_documents(str(path), stream)
        except FileNotFoundError:
            raise
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise CorpusError(f"{path}: not a whole Arrow file ({_first_line(error)})") from error


def _saved_files(folder: Path) -> list[Path]:
    """The Arrow files of a saved data set; of several splits, those of the one named train."""
    try:
        if (folder / "state.json").is_file():
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            return [folder / entry["filename"] for entry in state["_data_files"]]
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{folder}: not as `datasets` saves a folder; save it again") from error
    if "train" not in splits:
        raise CorpusError(f"{folder}: no split named train; name one of {', '.join(splits)} in it")
    return _saved_files(folder / "train")


def _check_column(path: str, schema: Any) -> None:
    import pyarrow

    index = schema.get_field_index(_FIELD)
    kind = schema.field(index).type if index >= 0 else None
    if kind not in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()):
        has = ", ".join(schema.names)
        raise CorpusError(f'{path}: no "text" column of strings, but {has}; rename one')


def _column_documents(path: str, batches: Iterable[Any]) -> Iterator[Document]:
    row = 0
    for batch in batches:
        for text in batch.column(batch.schema.get_field_index(_FIELD)):
            row += 1
            if not text.is_valid:
                raise CorpusError(f"{path} row {row}: text is null; drop the row")
            yield Document(f"{path}:{row}", text.as_py().encode())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
