"""What the run store knows of a sweep's runs beside their rows: when each began, and its losses.

A table has this in its columns ``started_at`` and ``ended_at``, if anywhere.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, datetime
from functools import cached_property

import numpy as np
import pandas as pd

from scaling.records import Records
from scaling.store.connection.mlflow_client import connect, one_line_errors, pages
from scaling.store.import_runs import IMPORTED
from scaling.store.one_run.run_state import KIND, RUN_ID
from scaling.store.run_store import RunStore
from scaling.store.tags.readable import record_text

_LOSS = "final.loss"
_YEAR_2001 = 1e9  # seconds since 1970; a number below is no time of a run
_SECONDS_END = 1e11  # from here on it counts milliseconds


@dataclass(frozen=True)
class RunTimes:
    """When a run was trained, by the clock of whoever noted it; None where nobody did."""

    began: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True)
class StoredRuns:
    """The runs of one sweep in the store."""

    store: RunStore

    @cached_property
    def times(self) -> dict[str, RunTimes]:
        """The times of every run by its id: from the start of its first try, deleted tries too.

        A run that was imported from a table is left out: the store knows when it was imported.
        """
        found: dict[str, RunTimes] = {}
        for run_id, start, end in [*self._tries(), *self._others()]:
            known = found.get(run_id, RunTimes())
            began, ended = _time(start), _time(end)
            found[run_id] = RunTimes(
                min(filter(None, (known.began, began)), default=None),
                max(filter(None, (known.ended, ended)), default=None),
            )
        return found

    def losses(self, run_ids: Iterable[str]) -> dict[str, tuple[float, ...]]:
        """Every final loss that the store was told of these runs, the first one first."""
        points = self.store.curves(_LOSS, run_ids=set(run_ids))
        return {str(run): tuple(rows[_LOSS]) for run, rows in points.groupby("run_id")}

    def with_times(self, records: Records) -> Records:
        """The runs with ``started_at`` and ``ended_at``, UTC, where their table does not say and
        the store does."""
        told = [self.times.get(run, RunTimes()) for run in records.row_names]
        table = records.table
        for name, times in (
            ("started_at", [one.began for one in told]),
            ("ended_at", [one.ended for one in told]),
        ):
            known = [t.isoformat(timespec="milliseconds") if t else None for t in times]
            stored = pd.Series(known, index=table.index, dtype=object)
            own = table[name].astype(object) if name in table else stored
            if (filled := own.where(own.notna(), stored)).notna().any():
                table = table.assign(**{name: filled})
        return replace(records, table=table)

    def _tries(self) -> list[tuple[str, int, int | None]]:
        """(run id, start, end) of every try that is there, in milliseconds."""
        return [
            (one.tags[RUN_ID], one.start, one.end)
            for one in self.store.tries()
            if RUN_ID in one.tags and not _is_imported(one.tags)
        ]

    def _others(self) -> list[tuple[str, int, int | None]]:
        """The same of deleted tries, and of runs that the toolkit did not write."""
        client, found = connect(self.store.tracking_uri), []
        with one_line_errors(self.store.tracking_uri):
            runs = list(pages(client, self.store.experiment_id, deleted=True))
            if not self.store.facts():
                runs += list(pages(client, self.store.experiment_id))
        for run in runs:
            tags, info = run.data.tags, run.info
            if KIND not in tags and not _is_imported(tags):
                found.append((tags.get(RUN_ID, info.run_id), info.start_time, info.end_time))
        return found


def times_in(records: Records) -> dict[str, RunTimes]:
    """The times of each run as a table says them, by the name of its row."""
    columns = [_column(records, name) for name in ("started_at", "ended_at")]
    return {
        name: RunTimes(began, ended)
        for name, began, ended in zip(records.row_names, *columns, strict=True)
    }


def _column(records: Records, name: str) -> list[datetime | None]:
    """Times of any common form (ISO 8601, seconds or milliseconds since 1970); without a zone they
    are UTC. What is no time is None."""
    if name not in records:
        return [None] * len(records)
    text = records.table[name].astype(object).map(str)
    numbers = pd.to_numeric(text, errors="coerce")
    numbers = numbers.where(numbers < _SECONDS_END, numbers / 1000)
    numbers = numbers.where(numbers.between(_YEAR_2001, _SECONDS_END))
    counted = pd.to_datetime(numbers, unit="s", utc=True, errors="coerce")
    written = pd.to_datetime(text.where(numbers.isna()), utc=True, errors="coerce", format="mixed")
    times = written.where(numbers.isna(), counted).dt.floor("us")  # Python's times have no more
    times = times.where(times.dt.year <= MAXYEAR)
    return [None if time is pd.NaT else time.to_pydatetime() for time in times]


def _is_imported(tags: Mapping[str, str]) -> bool:
    try:
        record = json.loads(record_text(tags) or "{}")
    except (ValueError, RecursionError):  # damaged: it is no row, but it began
        return False
    return isinstance(record, dict) and IMPORTED in record


def _time(milliseconds: int | None) -> datetime | None:
    if not milliseconds or not np.isfinite(milliseconds):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
