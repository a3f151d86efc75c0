"""Tables to files: .csv, .parquet or .jsonl, by the ending."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd


def write_table(table: "pd.DataFrame", path: str | Path) -> None:
    """Write a table in the form that the path ends in; floats keep every digit. Raises RecordError
    for another ending, and where the file cannot be written."""
    target = Path(path)
    writers: dict[str, Callable[[], object]] = {
        ".csv": lambda: table.to_csv(target, index=False),
        ".parquet": lambda: table.to_parquet(target, index=False),
        ".jsonl": lambda: table.to_json(target, orient="records", lines=True, double_precision=15),
    }
    if target.suffix not in writers:
        raise RecordError(f"{target}: unknown ending; write to .csv, .parquet or .jsonl")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        writers[target.suffix]()
    except OSError as error:
        raise RecordError(f"{target}: cannot be written ({error.strerror})") from error
