"""Files as tables: .csv .tsv .txt .json .jsonl .parquet .xlsx, gzipped or not, by what is in them.

Cells stay as they are written; `scaling.tables.reading` says what they mean.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.columns import canonical_name
from scaling.errors import RecordError
from scaling.tables.headers import BLANKS, find_header
from scaling.tables.notes import DroppedRow, Note, NoteCode, quoted
from scaling.tables.numbers import decimal_commas, has_thousands_by_points
from scaling.words import counted

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = "a .csv, .tsv, .json, .jsonl, .parquet or .xlsx table"
BY_SEPARATOR = "decimal_by_separator"  # that a comma of a cell may be a decimal point
_LISTS = ("runs", "data", "records", "rows", "results", "experiments", "models")
_DEEPEST = 2  # {"data": {"runs": [...]}}
_LARGEST = 4 << 30  # bytes of a table once unpacked


@dataclass(frozen=True)
class RawTable:
    """A file's table to the letter; its index counts lines from the one below the header."""

    frame: "pd.DataFrame"
    separator: str = ","
    dropped: tuple[DroppedRow, ...] = ()
    notes: tuple[Note, ...] = ()


def read_file(path: str | Path) -> RawTable:
    """The table in a file. Raises RecordError, in one line, where there is none to read."""
    source = Path(path)
    if source.is_dir():
        raise RecordError(f"{source}: is a folder; give {ENDINGS} of runs")
    if not source.is_file():
        raise RecordError(f"{source}: no such file; give {ENDINGS} of runs")
    if source.suffix in (".yaml", ".yml"):
        raise RecordError(
            f"{source}: a config, not runs; those of its sweep are mlflow:NAME, with the name that "
            "it gives"
        )
    try:
        return _read(source)
    except (ValueError, OSError, EOFError, zlib.error, csv.Error, RecursionError) as error:
        lines = str(error).strip().splitlines()
        why = lines[0][:200] if lines else type(error).__name__
        raise RecordError(f"{source}: cannot be read as a table ({why})") from error


def _read(source: Path) -> RawTable:
    with source.open("rb") as stream:
        start = stream.read(8)
    if start == b"SQLite f":
        raise RecordError(
            f"{source}: a database, not a table; runs that MLflow keeps in it are "
            f"mlflow:EXPERIMENT, with MLFLOW_TRACKING_URI=sqlite:///{source}"
        )
    if start.startswith(b"PAR1"):
        return RawTable(flat_frame(_parquet(source)))
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(source) as packed:
            content = packed.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"unpacks to more than {_LARGEST >> 30} GB")
    elif start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return _excel(source, is_old=not start.startswith(b"PK"))
    else:
        content = source.read_bytes()
    if content.startswith(b"PAR1"):
        return RawTable(flat_frame(_parquet(io.BytesIO(content))))
    text, notes = _decoded(content)
    name = source.name.lower().removesuffix(".gz")
    body = text.lstrip()
    if name.endswith((".jsonl", ".ndjson")) or (body[:1] == "{" and _is_jsonl(body)):
        return _json_lines(body, notes)
    if name.endswith(".json") or body[:1] in ("[", "{"):
        return RawTable(_json(body), notes=notes)
    return _separated(text, notes)


def _decoded(content: bytes) -> tuple[str, tuple[Note, ...]]:
    """Text in UTF-8 or UTF-16, else in the code page of Windows, which is said."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), ()
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        text = "text that is not UTF-8 was read as Windows-1252"
        return content.decode("cp1252", "replace"), (Note(NoteCode.ASSUMED, text),)


def _parquet(source: Any) -> "pd.DataFrame":
    import pandas as pd
    from pyarrow.lib import ArrowException

    try:
        frame = pd.DataFrame(pd.read_parquet(source))
    except (ArrowException, KeyError) as error:
        raise ValueError(str(error)) from error
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index() if named else frame.reset_index(drop=True)


def _excel(source: Path, *, is_old: bool) -> RawTable:
    import zipfile

    import pandas as pd

    if is_old:
        raise ValueError("an Excel file of before 2007: save it as .xlsx")
    try:
        sheets = pd.read_excel(
            source, sheet_name=None, header=None, dtype=object, engine="openpyxl"
        )
    except ImportError as error:
        raise ValueError(
            "Excel files need openpyxl: pip install 'scaling-forecast[excel]', or save it as .csv"
        ) from error
    except (KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError("not an Excel file, or a broken one") from error
    filled = {name: sheet for name, sheet in sheets.items() if sheet.notna().to_numpy().any()}
    if not filled:
        raise ValueError("no sheet has rows")
    tables = [name for name, sheet in filled.items() if _has_numbers(sheet)]
    name = next(iter(tables or filled))
    frame = filled[name]
    others = ", ".join(f'"{other}"' for other in filled if other != name)
    text = f'the sheet "{name}" was read, not {others}'
    notes = (Note(NoteCode.CHOSEN, text),) if others else ()
    rows = frame.to_csv(sep="\t", header=False, index=False)
    return replace(_separated(rows, notes), separator=",")  # a comma in a cell parts no cells


def _has_numbers(sheet: "pd.DataFrame") -> bool:
    """Whether two columns of a sheet hold numbers below something else: it is no page of notes."""
    numbers = sheet.map(lambda cell: isinstance(cell, int | float) and cell == cell)
    return bool((numbers.sum() > 1).sum() > 1)


def _is_jsonl(body: str) -> bool:
    """Whether the first line is a whole JSON object and another follows."""
    first, _, rest = body.partition("\n")
    try:
        return isinstance(json.loads(first), dict) and rest.lstrip()[:1] == "{"
    except ValueError:
        return False


def _json_lines(body: str, notes: tuple[Note, ...]) -> RawTable:
    """One object a line; a line that is none is left out with its number."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    dropped = []
    for line, text in enumerate(body.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            if not isinstance(row, dict):
                raise ValueError
        except (ValueError, RecursionError):
            dropped.append(DroppedRow(f"line {line}", "a line that is no JSON object"))
            continue
        rows.append(row)
        lines.append(line)
    if not rows:
        raise ValueError("no line is a JSON object")
    frame = _flat_rows(rows)
    frame.index = [line - 2 for line in lines]  # its first line is a run, not a header
    return RawTable(frame, dropped=tuple(dropped), notes=notes)


def _json(body: str) -> "pd.DataFrame":
    """An array of records, an object that holds one, a record by name, or columns."""
    import pandas as pd

    document = json.loads(body)
    if isinstance(document, dict) and {"columns", "data"} <= document.keys():  # pandas's "split"
        return flat_frame(pd.DataFrame(document["data"], columns=document["columns"]))
    for _ in range(_DEEPEST):
        if not isinstance(document, dict):
            break
        named = [document[key] for key in _LISTS if _may_be_runs(document.get(key))]
        lists = [v for v in document.values() if isinstance(v, list) and v and _all_dicts(v)]
        if not named and len(lists) != 1:
            break
        document = (named or lists)[0]
    if isinstance(document, list) and document and _all_dicts(document):
        return _flat_rows(document)
    if isinstance(document, dict) and document:
        values = list(document.values())
        if _all_dicts(values):
            by_column = all(k.isdigit() for v in values for k in v)  # as pandas writes it
            if not by_column:
                rows = _flat_rows(values)
                rows.insert(0, "name", list(document))
                return rows
            return pd.DataFrame({k: pd.Series(v) for k, v in document.items()})
        if all(isinstance(v, list) for v in values) and len({len(v) for v in values}) == 1:
            return flat_frame(pd.DataFrame(document, dtype=object).infer_objects())
    if isinstance(document, list) and len(document) > 1 and isinstance(document[0], list):
        return flat_frame(pd.DataFrame(document[1:], columns=list(map(str, document[0]))))
    raise ValueError('no runs in it: give an array of records, or {"runs": [...]}')


def _may_be_runs(value: object) -> bool:
    """Whether what stands under "runs" and the like is more than a column of names."""
    if isinstance(value, list):
        return all(isinstance(item, dict | list) for item in value)
    return isinstance(value, dict)


def _all_dicts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _flat_rows(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    """Nested objects become columns with dotted names; so do lists of keys and values."""
    import pandas as pd

    rows = [{key: _keyed(value) for key, value in row.items()} for row in rows]
    if any(isinstance(value, dict) for row in rows[:1000] for value in row.values()):
        return flat_frame(pd.DataFrame(pd.json_normalize(rows)))
    return flat_frame(pd.DataFrame(rows))


def _keyed(value: Any) -> Any:
    """What a list of {"key": ..., "value": ...} tells, as MLflow's server writes it; anything else
    as it is, but for such lists in it."""
    if isinstance(value, dict):
        return {key: _keyed(inner) for key, inner in value.items()}
    is_list = isinstance(value, list) and value and _all_dicts(value)
    if is_list and all({"key", "value"} <= item.keys() for item in value):
        return {str(item["key"]): item["value"] for item in value}
    return value


def flat_frame(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Lists and other things that are no cells become their text."""
    for position in range(frame.shape[1]):
        values = frame.iloc[:, position]
        if values.dtype == object and any(_is_nested(value) for value in values):
            text = values.map(lambda value: str(value)[:200] if _is_nested(value) else value)
            frame = frame.copy(deep=False)
            frame.isetitem(position, text)
    return frame


def _is_nested(value: object) -> bool:
    return isinstance(value, tuple) or not isinstance(value, Hashable)


def _separated(text: str, notes: tuple[Note, ...]) -> RawTable:
    """Values between separators, which the header tells; rows that do not fit it are left out."""
    import pandas as pd

    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = find_header(lines)
    above, separator, header = found.line, found.separator, found.names
    body = "\n".join(lines[above:])
    ids = {name: str for name in header if canonical_name(name) == "run_id"}
    dropped: tuple[DroppedRow, ...] = ()
    try:
        if "\x00" in body:
            raise pd.errors.ParserError("NUL")
        frame = pd.read_csv(
            io.StringIO(body),
            sep=separator,
            names=header,
            header=0,
            engine="c",
            low_memory=False,
            dtype=ids,
            skipinitialspace=True,
            index_col=None,
        )
        if not isinstance(frame.index, pd.RangeIndex):
            raise pd.errors.ParserError("longer")
        if separator != ",":
            frame = _with_thousands_by_points(frame, body, separator, header)
    except (pd.errors.ParserError, OverflowError):
        frame, dropped = _row_by_row(body, separator, header)
    if above or any(not line.strip() for line in lines[above : above + len(frame)]):
        frame.index = _line_numbers(lines, above, frame)
    return RawTable(frame, separator, dropped, notes + _titles_told(lines[:above], separator))


def _with_thousands_by_points(
    frame: "pd.DataFrame", body: str, separator: str, header: list[str]
) -> "pd.DataFrame":
    """The table with columns as they are written, for who reads numbers, where 1.000 may be a
    thousand: other columns have decimal commas."""
    import pandas as pd

    if not any(decimal_commas(frame[c]) for c in frame if frame[c].dtype.kind not in "fiub"):
        return frame
    decimals = [name for name in frame if frame[name].dtype.kind == "f"]
    if not decimals:
        return frame
    written = pd.read_csv(
        io.StringIO(body),
        sep=separator,
        names=header,
        header=0,
        dtype=str,
        usecols=decimals,
        skipinitialspace=True,
        index_col=None,
    )
    found = [name for name in decimals if has_thousands_by_points(written[name])]
    return frame.assign(**{str(name): written[name].astype(object) for name in found})


def _titles_told(above: list[str], separator: str) -> tuple[Note, ...]:
    """What stands above a header and is neither a comment nor Excel's, if anything does."""
    titles = [line.strip(f'{separator}" \t') for line in above if not line.startswith("#")]
    titles = [title for title in titles if title and not title.lower().startswith("sep=")]
    if not titles:
        return ()
    text = f"the header is line {len(above) + 1}, below {quoted(titles, 1)}"
    return (Note(NoteCode.UNDERSTOOD, text),)


def read_text(path: str | Path) -> "pd.DataFrame":
    """A file of separated values with every cell as it is written. In its ``attrs``, under
    `BY_SEPARATOR`: whether no comma separates its columns. Raises ValueError or OSError."""
    import pandas as pd

    text, _ = _decoded(Path(path).read_bytes())
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = find_header(lines)
    frame = pd.read_csv(
        io.StringIO("\n".join(lines[found.line + 1 :])),
        sep=found.separator,
        names=found.names,
        header=None,
        index_col=None,
        dtype=str,
        keep_default_na=False,
    )
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("a row has more fields than the header")
    frame.attrs[BY_SEPARATOR] = found.separator not in ",|"
    return frame


def _row_by_row(
    body: str, separator: str, header: list[str]
) -> "tuple[pd.DataFrame, tuple[DroppedRow, ...]]":
    """The rows that fit the header; those that do not are left out, each with its line."""
    import pandas as pd

    if separator == BLANKS:
        raise ValueError("rows have more fields than the header; name every column")
    rows, lines, dropped, too_long = [], [], [], 0
    reader = csv.reader(io.StringIO(body), delimiter=separator, skipinitialspace=True)
    next(reader)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            dropped.append(DroppedRow(f"row {reader.line_num}", f"unreadable ({error})"))
            continue
        while len(cells) > len(header) and not cells[-1].strip():
            cells = cells[:-1]
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header) or any("\x00" in cell for cell in cells):
            too_long += len(cells) > len(header)
            why = "has more fields than the header" if len(cells) > len(header) else "is damaged"
            dropped.append(DroppedRow(f"row {reader.line_num}", why))
            continue
        rows.append(cells + [""] * (len(header) - len(cells)))
        lines.append(reader.line_num - 2)
    if not rows:
        if too_long:
            raise ValueError("rows have more fields than the header; name every column")
        raise ValueError(f"no row can be read ({counted(len(dropped), 'row')} left out)")
    text = pd.DataFrame(rows, columns=header, index=lines, dtype=object)
    return text.replace("", None), tuple(dropped)


def _line_numbers(lines: list[str], above: int, frame: "pd.DataFrame") -> "pd.Index":
    """The index that counts lines of the file, where some above or between rows hold no row."""
    import pandas as pd

    at = [i - 1 for i, line in enumerate(lines) if i > above and line.strip()]
    return pd.Index(at) if len(at) == len(frame) else frame.index
