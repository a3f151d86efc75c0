"""Where runs come from: a file, a data frame, a sweep in the run store. All become records."""

import os
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from scaling.errors import RecordError
from scaling.records import Records, read_records, records_from_table
from scaling.store.connection.tracking_uri import without_credentials
from scaling.tables.reading import Reading

Source: TypeAlias = Records | pd.DataFrame | str | os.PathLike[str]
"""What every question takes for its runs."""
STORED = "mlflow:"


def records_from(
    source: Source,
    *,
    columns: Mapping[str, str] | None = None,
    where: str | Sequence[str] = (),
    reading: Reading | None = None,
) -> Records:
    """The runs of a file (`scaling.tables.files` says which), a data frame, ``mlflow:EXPERIMENT``.

    All are read alike: columns in common spellings are understood, or mapped by ``columns`` (ours
    -> theirs); ``where`` ("params > 1M") keeps rows; ``reading`` says what else the table does
    not. What takes no part is in ``dropped`` with its reason. Records come back as they are,
    filtered by ``where``. Raises RecordError where the table cannot be read, and StoreError where
    the run store has no such sweep.
    """
    if isinstance(source, Records):
        if columns or reading:
            raise RecordError(f"{source.source}: read already; name columns where they are read")
        return source.where(where)
    if isinstance(source, pd.DataFrame):
        return records_from_table(
            source, source="DataFrame", columns=columns, where=where, reading=reading
        )
    name = os.fspath(source)
    if "://" in name:
        uri = without_credentials(name)
        raise RecordError(
            f"{uri}: an address, not a table; runs that MLflow keeps there are {STORED}EXPERIMENT, "
            f"with MLFLOW_TRACKING_URI={uri}; save a table as a file first"
        )
    if not name.startswith(STORED):
        return read_records(name, columns=columns, where=where, reading=reading)
    from scaling.store.run_store import RunStore

    how = (reading or Reading()).with_columns(columns)
    return RunStore.find(name.removeprefix(STORED)).read_records(where=where, reading=how)
