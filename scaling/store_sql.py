"""Reads of an MLflow SQL database without MLflow: thousands of runs in one query each.

MLflow's own search builds an object for every param, metric and tag of every run, and importing
it takes seconds. A SQL backend answers the two questions that analysis asks, the runs' tags and
one metric's curve, from the tables `runs`, `tags`, `experiments` and `metrics`, whose layout has
not changed since MLflow 1. Nothing is written here. Where the layout is not the one expected the
caller falls back to MLflow's client (`LayoutError`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")


class LayoutError(Exception):
    """The database does not look like one of MLflow's; ask MLflow instead."""


def speaks_sql(tracking_uri: str) -> bool:
    """Whether the tracking URI is a database rather than a server."""
    return tracking_uri.split(":", 1)[0].split("+", 1)[0] in _SCHEMES


def experiments(tracking_uri: str) -> dict[str, str]:
    """The ids of the experiments that were not deleted, by name."""
    with _connection(tracking_uri) as connection:
        rows = _rows(
            connection,
            "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'",
        )
        return {str(name): str(experiment_id) for name, experiment_id in rows}


def run_tags(tracking_uri: str, experiment_id: str, prefix: str) -> list[dict[str, str]]:
    """The tags whose key starts with ``prefix`` of each run, latest run first."""
    by_run: dict[str, dict[str, str]] = {}
    with _connection(tracking_uri) as connection:
        rows = _rows(
            connection,
            "SELECT t.run_uuid, t.key, t.value FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
            "WHERE r.experiment_id = :experiment AND r.lifecycle_stage = 'active' "
            "AND t.key LIKE :prefix ORDER BY r.start_time DESC, r.run_uuid",
            experiment=int(experiment_id),
            prefix=f"{prefix}%",
        )
        for run_uuid, key, value in rows:
            by_run.setdefault(run_uuid, {})[key] = value
    return list(by_run.values())


def curve_points(
    tracking_uri: str, experiment_id: str, metric: str, run_id_tag: str
) -> list[tuple[str, int, float]]:
    """(run id, step, value) of one metric over all runs, in order of run and step."""
    with _connection(tracking_uri) as connection:
        rows = _rows(
            connection,
            "SELECT t.value, m.step, m.value FROM runs r "
            "JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = :run_id_tag "
            "JOIN metrics m ON m.run_uuid = r.run_uuid AND m.key = :metric "
            "WHERE r.experiment_id = :experiment AND r.lifecycle_stage = 'active' "
            "ORDER BY t.value, m.step",
            experiment=int(experiment_id),
            run_id_tag=run_id_tag,
            metric=metric,
        )
        return [(str(run_id), int(step), float(value)) for run_id, step, value in rows]


@contextmanager
def _connection(tracking_uri: str) -> Iterator["Connection"]:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(tracking_uri)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise LayoutError(str(error)) from error


def _rows(connection: "Connection", query: str, **values: Any) -> Any:
    from sqlalchemy import text

    return connection.execute(text(query), values)
