"""Reads of an MLflow SQL database without MLflow: thousands of runs in one query each.

MLflow's own search builds an object for every param, metric and tag of every run, and importing
it takes seconds. A SQL backend answers what is asked of it here, the runs' tags and one metric's
curves, from the tables `runs`, `tags`, `experiments` and `metrics`, whose layout has not changed
since MLflow 1. Nothing is written. Where the layout is not the one expected the caller falls back
to MLflow's client (`LayoutError`).
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scaling.store.connection.database import is_of_the_file, opened, sqlite_file, trouble
from scaling.store.connection.notices import tell
from scaling.store.connection.patience import answered
from scaling.store.connection.tracking_uri import with_credentials, without_secrets

_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")
_CHUNK = 500  # names in one IN (...)


class LayoutError(Exception):
    """The database does not look like one of MLflow's; ask MLflow instead."""


@contextmanager
def or_slowly(tracking_uri: str) -> Iterator[None]:
    """Passes over a LayoutError, for MLflow's client to read instead; says so once a database."""
    try:
        yield
    except LayoutError as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        tell(
            f"{without_secrets(tracking_uri)}: its tables are not those of MLflow "
            f"({without_secrets(reason)}); read through MLflow's client, which takes seconds"
        )


def speaks_sql(tracking_uri: str) -> bool:
    """Whether the tracking URI is a database rather than a server."""
    return tracking_uri.split(":", 1)[0].split("+", 1)[0] in _SCHEMES


def experiments(tracking_uri: str) -> dict[str, str]:
    """The ids of the experiments that were not deleted, by name."""
    rows = _query(
        tracking_uri,
        "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'",
    )
    return {str(name): str(experiment_id) for name, experiment_id in rows}


def experiment_tags(tracking_uri: str, key: str) -> dict[str, str]:
    """One tag of the experiments that have it, deleted ones too, by the experiment's name."""
    rows = _query(
        tracking_uri,
        "SELECT e.name, t.value FROM experiment_tags t JOIN experiments e "
        "ON e.experiment_id = t.experiment_id WHERE t.key = :key",
        key=key,
    )
    return {str(name): str(value) for name, value in rows}


def run_times(tracking_uri: str, experiment_id: str) -> dict[str, tuple[int, int | None]]:
    """(start, end) of every run that was not deleted, by its MLflow id, latest first; milliseconds.

    The end is None while the run goes on.
    """
    rows = _query(
        tracking_uri,
        "SELECT run_uuid, start_time, end_time FROM runs WHERE experiment_id = :experiment "
        "AND lifecycle_stage = 'active' ORDER BY start_time DESC, run_uuid",
        experiment=int(experiment_id),
    )
    return {run: (start or 0, end) for run, start, end in rows}


def run_tags(
    tracking_uri: str, experiment_id: str, prefix: str, runs: Collection[str] | None = None
) -> dict[str, dict[str, str]]:
    """The tags whose key starts with ``prefix``, by MLflow id; of some runs or of all."""
    query = (
        "SELECT t.run_uuid, t.key, t.value FROM tags t WHERE t.key LIKE :prefix AND t.run_uuid IN "
    )
    everything = "(SELECT run_uuid FROM runs WHERE experiment_id = :experiment)"
    found: dict[str, dict[str, str]] = {}
    for condition, values in _chosen(runs, everything, experiment=int(experiment_id)):
        for run, key, value in _query(
            tracking_uri, query + condition, prefix=f"{prefix}%", **values
        ):
            found.setdefault(run, {})[key] = value
    return found


def curve_points(
    tracking_uri: str, metric: str, runs: Collection[str]
) -> list[tuple[str, int, float]]:
    """(MLflow id, step, value) of one metric of these runs, in order of step within a run."""
    query = (
        "SELECT run_uuid, step, value FROM metrics WHERE key = :metric AND is_nan = :false "
        "AND run_uuid IN "
    )
    points: list[tuple[str, int, float]] = []
    for condition, values in _chosen(runs, ""):
        points += _query(
            tracking_uri,
            query + condition + " ORDER BY run_uuid, step, timestamp",
            metric=metric,
            false=False,
            **values,
        )
    return points


def _chosen(
    runs: Collection[str] | None, everything: str, **values: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Conditions that choose the runs, a limited number in each, with their values."""
    if runs is None:
        yield everything, values
        return
    names = list(runs)
    for start in range(0, len(names), _CHUNK):
        chunk = {f"run{index}": name for index, name in enumerate(names[start : start + _CHUNK])}
        yield f"({', '.join(':' + key for key in chunk)})", chunk


def _query(tracking_uri: str, query: str, **values: Any) -> Sequence[Any]:
    if (path := sqlite_file(tracking_uri)) is not None:
        return _query_sqlite(path, query, values)
    return answered(without_secrets(tracking_uri), lambda: _query_sql(tracking_uri, query, values))


def _query_sql(tracking_uri: str, query: str, values: dict[str, Any]) -> Sequence[Any]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(with_credentials(tracking_uri))
        try:
            with engine.connect() as connection:
                return connection.execute(text(query), values).fetchall()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise LayoutError(str(error)) from error


def _query_sqlite(path: Path, query: str, values: dict[str, Any]) -> Sequence[Any]:
    """SQLite without SQLAlchemy, whose import takes longer than most of our queries."""
    try:
        with opened(path) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error as error:
        if is_of_the_file(error):
            raise trouble(path, error) from error
        raise LayoutError(str(error)) from error
