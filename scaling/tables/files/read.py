"""Files as tables: .csv .tsv .txt .json .jsonl .parquet .xlsx, gzipped or not, by what is in them.

Cells stay as they are written; `scaling.tables.reading` says what they mean.
"""

import csv
import gzip
import io
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.errors import RecordError
from scaling.tables.files.json_tables import is_json_lines, json_lines, json_table
from scaling.tables.files.raw import RawTable, decoded, flat_frame
from scaling.tables.files.separated import separated
from scaling.tables.notes import Note, NoteCode

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = "a .csv, .tsv, .json, .jsonl, .parquet or .xlsx table"
_LARGEST = 4 << 30  # bytes of a table once unpacked


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
    text, notes = decoded(content)
    name = source.name.lower().removesuffix(".gz")
    body = text.lstrip()
    if name.endswith((".jsonl", ".ndjson")) or (body[:1] == "{" and is_json_lines(body)):
        return json_lines(body, notes)
    if name.endswith(".json") or body[:1] in ("[", "{"):
        return RawTable(json_table(body), notes=notes)
    return separated(text, notes)


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
    return replace(separated(rows, notes), separator=",")  # a comma in a cell parts no cells


def _has_numbers(sheet: "pd.DataFrame") -> bool:
    """Whether two columns of a sheet hold numbers below something else: it is no page of notes."""
    numbers = sheet.map(lambda cell: isinstance(cell, int | float) and cell == cell)
    return bool((numbers.sum() > 1).sum() > 1)
