"""A table of text as a file: its form, its encoding, and damage to its bytes."""

import gzip
import io
import json
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.faults.broken_tables.damage import (
    ENDS_WELL,
    REFUSED,
    RIGHT,
    RIGHT_OR_REFUSED,
)
from benchmarks.faults.broken_tables.spellings import Spelt


def _csv(spelt: Spelt) -> str:
    return spelt.text.to_csv(index=False, sep=spelt.separator)


def _values(spelt: Spelt) -> list[dict[str, object]]:
    """Rows with numbers as numbers, where a cell is one to the letter, as a program writes them."""
    return [
        {str(name): _value(cell) for name, cell in zip(spelt.text.columns, row, strict=True)}
        for row in spelt.text.itertuples(index=False, name=None)
    ]


def _value(cell: object) -> object:
    if cell == "":
        return None
    try:
        value = json.loads(str(cell))
    except ValueError:
        return cell
    return value if isinstance(value, int | float) and len(str(cell)) < 300 else cell


def _nested(row: dict[str, object]) -> dict[str, object]:
    """Dotted names as objects within objects, as exports have them."""
    found: dict[str, object] = {}
    for name, value in row.items():
        first, _, rest = name.partition(".")
        inner = found.get(first)
        if rest and (inner is None or isinstance(inner, dict)) and first not in row:
            found[first] = {**(inner or {}), rest: value}  # type: ignore[dict-item]
        else:
            found[name] = value
    return found


def _json_array(spelt: Spelt) -> bytes:
    return json.dumps([_nested(row) for row in _values(spelt)]).encode()


def _json_runs(spelt: Spelt) -> bytes:
    return json.dumps({"project": "x", "runs": _values(spelt)}, indent=1).encode()


def _json_columns(spelt: Spelt) -> bytes:
    rows = _values(spelt)
    names = list(rows[0]) if rows else list(map(str, spelt.text.columns))
    return json.dumps({name: [row[name] for row in rows] for name in names}).encode()


def _json_lines(spelt: Spelt) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in _values(spelt)).encode()


def _split(spelt: Spelt) -> bytes:
    frame = pd.DataFrame(_values(spelt))
    return frame.reset_index(drop=True).to_json(orient="split").encode()


def _parquet(spelt: Spelt) -> bytes:
    buffer = io.BytesIO()
    spelt.text.reset_index(drop=True).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _excel(spelt: Spelt, *above: str) -> bytes:
    from openpyxl import Workbook  # type: ignore[import-untyped]
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # type: ignore[import-untyped]

    book = Workbook()
    sheet = book.active
    rows: list[list[object]] = [[title] for title in above]
    rows += [list(map(str, spelt.text.columns)), *(list(row.values()) for row in _values(spelt))]
    for row in rows:
        sheet.append(
            [ILLEGAL_CHARACTERS_RE.sub("", c)[:32000] if isinstance(c, str) else c for c in row]
        )
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _quoted(spelt: Spelt) -> bytes:
    return spelt.text.to_csv(index=False, sep=spelt.separator, quoting=1).encode()


def _markdown(spelt: Spelt) -> bytes:
    rows = [list(map(str, spelt.text.columns)), ["---"] * len(spelt.text.columns)]
    rows += [list(map(str, row)) for row in spelt.text.itertuples(index=False, name=None)]
    cells = [[cell.replace("|", "/").replace('"', "") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells).encode()


def _windows(spelt: Spelt) -> bytes:
    return ("\ufeff" + _csv(spelt).replace("\n", "\r\n")).encode()


#: Forms of a file: its ending and what is in it.
FORMS: dict[str, tuple[str, Callable[[Spelt], bytes]]] = {
    "csv": (".csv", lambda spelt: _csv(spelt).encode()),
    "quoted csv": (".csv", _quoted),
    "csv with BOM and CRLF": (".csv", _windows),
    "csv with CR": (".csv", lambda spelt: _csv(spelt).replace("\n", "\r").encode()),
    "csv in UTF-16": (".csv", lambda spelt: _csv(spelt).encode("utf-16")),
    "csv in Latin-1": (
        ".csv",
        lambda spelt: ("# caf\xe9\n" + _csv(spelt)).encode("cp1252", "replace"),
    ),
    "csv.gz": (".csv.gz", lambda spelt: gzip.compress(_csv(spelt).encode(), mtime=0)),
    "txt": (".txt", lambda spelt: _csv(spelt).encode()),
    "a comment above": (".csv", lambda spelt: ("# by a script\n#\n\n" + _csv(spelt)).encode()),
    "a title above": (".csv", lambda spelt: ("Scaling runs of March\n\n" + _csv(spelt)).encode()),
    "Excel's sep=": (".csv", lambda spelt: f"sep={spelt.separator}\n{_csv(spelt)}".encode()),
    "json array": (".json", _json_array),
    "json runs": (".json", _json_runs),
    "json columns": (".json", _json_columns),
    "json split": (".json", _split),
    "jsonl": (".jsonl", _json_lines),
    "jsonl.gz": (".jsonl.gz", lambda spelt: gzip.compress(_json_lines(spelt), mtime=0)),
    "json lines in .json": (".json", _json_lines),
    "parquet": (".parquet", _parquet),
    "markdown": (".md", _markdown),
    "xlsx": (".xlsx", _excel),
    "xlsx with a title": (".xlsx", lambda spelt: _excel(spelt, "Runs of March", "by hand")),
}


def _long_rows(content: bytes, rng: np.random.Generator) -> bytes:
    return content.rstrip(b"\r\n") + b"\n1,1,1,1,1;1;1;1;1;1;1\t1\t1\t1\t1|1|1|1|1|1\n"


def _nul(content: bytes, rng: np.random.Generator) -> bytes:
    half = len(content) // 2
    return content[:half] + b"\x00" * 40 + content[half:]


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(len(content) * rng.uniform(0.05, 0.9))]


def _garbage(content: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(2000)


def _flipped(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(len(changed), size=4) if changed else ():
        changed[int(at)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


BYTES: dict[str, tuple[str, Callable[[bytes, np.random.Generator], bytes]]] = {
    "a row too long": (RIGHT_OR_REFUSED, _long_rows),
    "NUL bytes": (ENDS_WELL, _nul),
    "cut short": (ENDS_WELL, _cut),
    "flipped bits": (ENDS_WELL, _flipped),
    "random bytes": (REFUSED, _garbage),
    "an empty file": (REFUSED, lambda content, rng: b""),
    "a folder": (REFUSED, lambda content, rng: b""),
    "no damage": (RIGHT, lambda content, rng: content),
}
