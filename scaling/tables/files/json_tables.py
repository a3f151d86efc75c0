"""JSON as a table: an array of records, an object that holds one, a record a line, or columns."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scaling.tables.files.raw import RawTable, flat_frame
from scaling.tables.notes import DroppedRow, Note

if TYPE_CHECKING:
    import pandas as pd

_LISTS = ("runs", "data", "records", "rows", "results", "experiments", "models")
_DEEPEST = 2  # {"data": {"runs": [...]}}


def is_json_lines(body: str) -> bool:
    """Whether the first line is a whole JSON object and another follows."""
    first, _, rest = body.partition("\n")
    try:
        return isinstance(json.loads(first), dict) and rest.lstrip()[:1] == "{"
    except ValueError:
        return False


def json_lines(body: str, notes: tuple[Note, ...]) -> RawTable:
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


def json_table(body: str) -> "pd.DataFrame":
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
