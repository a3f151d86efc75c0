"""Where runs come from: a file, a data frame, a sweep in the run store. All become records."""

import os
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from scaling.errors import RecordError
from scaling.records import Records, read_records, records_from_table

Source: TypeAlias = Records | pd.DataFrame | str | os.PathLike[str]
"""What every question takes for its runs."""
STORED = "mlflow:"


def records_from(
    source: Source, *, columns: Mapping[str, str] | None = None, where: Sequence[str] = ()
) -> Records:
    """The runs of a CSV, Parquet or JSONL file, of a data frame, or of ``mlflow:EXPERIMENT``.

    All are read alike: columns in common spellings are understood, or mapped by ``columns`` (ours
    -> theirs); ``where`` ("params > 1e6") keeps rows. What takes no part is in ``dropped`` with
    its reason. Records come back as they are, filtered by ``where``. Raises RecordError where the
    table cannot be read, and StoreError where the run store has no such sweep.
    """
    if isinstance(source, Records):
        if columns:
            raise RecordError(f"{source.source}: read already; name columns where they are read")
        for condition in where:
            source = source.where(condition)
        return source
    if isinstance(source, pd.DataFrame):
        return records_from_table(source, source="DataFrame", columns=columns, where=where)
    name = os.fspath(source)
    if not name.startswith(STORED):
        return read_records(name, columns=columns, where=where)
    from scaling.store.run_store import RunStore

    stored = RunStore.find(name.removeprefix(STORED)).read_records().table
    return records_from_table(stored, source=name, columns=columns, where=where)
