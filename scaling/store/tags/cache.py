"""The tags of a sweep's runs, of which only what has changed is fetched.

A run that has ended does not change any more, so its tags are kept in a file of this machine,
under its MLflow id and the time of its end; each reading asks for the list of runs and for the
tags of those that are new or still going on. A database lists 10,000 runs in milliseconds. A
server has no cheap list: it is asked for what ended since the last reading, and for what runs.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaling.store.connection.digests import DamagedError, with_digest, without_digest
from scaling.store.connection.mlflow_client import connect, one_line_errors, pages
from scaling.store.connection.sql_reads import or_slowly, run_tags, run_times, speaks_sql
from scaling.store.connection.state_folder import state_folder

_PREFIX = "scaling."
EXCLUDED = "scaling.excluded"  # the one tag that a person may set on a run that has ended
_LASTING = "scaling.record"  # a run with this tag is a cell, which does not change once ended
_CLOCKS_DIFFER = 600_000  # milliseconds by which clocks of a cluster may differ
_WORTH_WRITING = 20  # newly ended runs


@dataclass(frozen=True)
class Try:
    """One MLflow run with our tags."""

    store_run_id: str
    start: int
    """Milliseconds since 1970."""
    end: int | None
    """None while it goes on."""
    tags: dict[str, str]
    record: Mapping[str, Any] = field(default_factory=dict)
    """What its record says; see `scaling.store.tags.readable`."""


def read_tries(tracking_uri: str, experiment_id: str, key: str) -> list[Try]:
    """Every run of an experiment that was not deleted, latest first."""
    cache = _Cache(state_folder("cache") / f"{key}.json")
    known = cache.read()
    if speaks_sql(tracking_uri):
        with or_slowly(tracking_uri):
            return cache.keep(_from_sql(tracking_uri, experiment_id, known), known)
    return cache.keep(_from_server(tracking_uri, experiment_id, known), known)


def _from_sql(uri: str, experiment_id: str, known: dict[str, Try]) -> list[Try]:
    times = run_times(uri, experiment_id)
    changed = [
        run
        for run, (_, end) in times.items()
        if end is None or run not in known or known[run].end != end
    ]
    most = len(changed) > len(times) // 2  # then one query without a list of names is quicker
    tags = run_tags(uri, experiment_id, _PREFIX, None if most else changed)
    excluded = run_tags(uri, experiment_id, EXCLUDED)
    changes = set(changed)
    return [
        Try(
            run,
            start,
            end,
            (tags.get(run, {}) if run in changes else known[run].tags) | excluded.get(run, {}),
        )
        for run, (start, end) in times.items()
    ]


def _from_server(uri: str, experiment_id: str, known: dict[str, Try]) -> list[Try]:
    client = connect(uri)
    found = dict(known)
    with one_line_errors(uri):
        if known:
            latest = max(one.end or 0 for one in known.values()) - _CLOCKS_DIFFER
            conditions = [
                "attributes.status = 'RUNNING'",
                f"attributes.end_time >= {latest}",  # after it, for those that end in between
                "tags.`scaling.kind` = 'sweep'",
                f"tags.`{EXCLUDED}` LIKE '%'",
            ]
        else:
            conditions = [""]
        for condition in conditions:
            for run in pages(client, experiment_id, condition):
                found[run.info.run_id] = _as_try(run)
        if known:  # a deleted run leaves no trace in a search of what is active
            for run in pages(client, experiment_id, deleted=True):
                found.pop(run.info.run_id, None)
    return sorted(found.values(), key=lambda one: (-one.start, one.store_run_id))


def _as_try(run: Any) -> Try:
    tags = {key: value for key, value in run.data.tags.items() if key.startswith(_PREFIX)}
    info = run.info
    return Try(info.run_id, info.start_time or 0, info.end_time, tags)


def _lasting(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != EXCLUDED}


class _Cache:
    """Ended tries in a JSON file with a digest. A file that cannot be read, or is damaged, is no
    cache, no error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Try]:
        try:
            rows = without_digest(self._path.read_text(), self._path.stem)["rows"]
        except (OSError, UnicodeDecodeError, DamagedError):
            return {}
        return {row[0]: Try(*row) for row in rows}

    def keep(self, tries: list[Try], known: dict[str, Try]) -> list[Try]:
        """Write the ended tries down if enough of them are new; returns all."""
        new = sum(one.end is not None and one.store_run_id not in known for one in tries)
        if new >= _WORTH_WRITING:
            rows = [
                [one.store_run_id, one.start, one.end, _lasting(one.tags)]
                for one in tries
                if one.end is not None and _LASTING in one.tags
            ]
            scratch = self._path.with_suffix(f".{os.getpid()}")
            with suppress(OSError):
                scratch.write_text(with_digest({"rows": rows}, self._path.stem))
                scratch.replace(self._path)
            with suppress(OSError):  # of a full disk
                scratch.unlink(missing_ok=True)
        return tries
