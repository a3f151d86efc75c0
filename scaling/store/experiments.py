"""The experiments of a run store by their names: found, listed, and made where missing."""

import difflib
from collections.abc import Mapping
from typing import Any

from scaling.errors import NotStoredError, StoreError
from scaling.inputs.names import SEALS
from scaling.store.connection.database import Content, content_of, sqlite_file
from scaling.store.connection.mlflow_client import connect, is_taken, no_answer, one_line_errors
from scaling.store.connection.sql_reads import experiments, or_slowly, run_times, speaks_sql
from scaling.store.connection.tracking_uri import without_credentials
from scaling.store.one_run.run_state import EXPERIMENT_KIND, KIND
from scaling.tables.notes import quoted

_SHOWN = 12  # experiments that a sentence names
_MLFLOWS_OWN = "0"  # the id of the experiment "Default"


def opened_experiment(sweep: str, uri: str) -> str:
    """The id of the experiment of a sweep, made where it does not exist yet.

    Raises StoreError where the store does not answer, or the experiment holds something else.
    """
    client = connect(uri)
    with one_line_errors(uri):
        found = _named(client, sweep, uri) or _made(client, sweep, uri)
        if KIND not in found.tags:
            if client.search_runs([found.experiment_id], max_results=1):
                raise StoreError(
                    f'{without_credentials(uri)}: the experiment "{sweep}" holds runs that no '
                    "sweep made; choose another name for the sweep"
                )
            client.set_experiment_tag(found.experiment_id, KIND, "sweep")
        return str(found.experiment_id)


def found_experiment(sweep: str, uri: str) -> str:
    """The id of the experiment of a sweep; NotStoredError names the nearest one, or those that
    there are, where there is none."""
    if not database_exists(uri):
        raise NotStoredError(
            f"{uri}: no such database; run a sweep first or set MLFLOW_TRACKING_URI"
        )
    if not speaks_sql(uri):  # a server that is none has no such experiment either: ask for it
        client = connect(uri)
        with one_line_errors(uri):
            if experiment := _named(client, sweep, uri):
                return str(experiment.experiment_id)
    found = sweep_ids(uri)
    if sweep not in found:
        offered = sorted(_without_mlflows_own(found, uri) - {SEALS})
        near = difflib.get_close_matches(sweep, offered, n=1)
        there = quoted(offered, _SHOWN)
        hint = f'did you mean "{near[0]}"?' if near else f"there are: {there}"
        raise NotStoredError(
            f'{without_credentials(uri)}: no experiment "{sweep}"; '
            + (hint if near or there else "run a sweep first")
        )
    return found[sweep]


def sweep_ids(uri: str) -> dict[str, str]:
    """The ids of all experiments by name; none where there is no database yet."""
    if not database_exists(uri):
        return {}
    if speaks_sql(uri):
        with or_slowly(uri):
            return experiments(uri)
    client = connect(uri)
    with one_line_errors(uri):
        return {found.name: found.experiment_id for found in client.search_experiments()}


def _without_mlflows_own(found: Mapping[str, str], uri: str) -> set[str]:
    """The names of the experiments but that which MLflow makes of itself, where it has no run."""
    if _MLFLOWS_OWN in found.values() and _is_empty(_MLFLOWS_OWN, uri):
        return {name for name, known in found.items() if known != _MLFLOWS_OWN}
    return set(found)


def _is_empty(experiment_id: str, uri: str) -> bool:
    if speaks_sql(uri):
        with or_slowly(uri):
            return not run_times(uri, experiment_id)
    client = connect(uri)
    with one_line_errors(uri):
        return not client.search_runs([experiment_id], max_results=1)


def database_exists(uri: str) -> bool:
    """False where the URI names a SQLite file without a run: asking MLflow would make one.

    Raises StoreError, in one line, where the file is none of MLflow's, or damaged.
    """
    path = sqlite_file(uri)
    return path is None or content_of(path) is Content.WHOLE


def _named(client: Any, sweep: str, uri: str) -> Any:
    """MLflow's experiment of that name; None where it has none."""
    experiment = client.get_experiment_by_name(sweep)
    if experiment is None:
        return None
    if experiment.name != sweep or not experiment.experiment_id:
        raise no_answer(uri, f'asked for the experiment "{sweep}"')
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f'{without_credentials(uri)}: the experiment "{sweep}" was deleted in MLflow; '
            "restore it there or choose another name for the sweep"
        )
    return experiment


def _made(client: Any, sweep: str, uri: str) -> Any:
    tags, place = {KIND: "sweep", **EXPERIMENT_KIND}, _artifact_folder(uri)
    try:
        client.create_experiment(sweep, artifact_location=place, tags=tags)
    except Exception as error:
        if not is_taken(error):  # by another process at the same moment
            raise
    experiment = _named(client, sweep, uri)
    if experiment is None:
        raise no_answer(uri, f'it has not kept the experiment "{sweep}"')
    return experiment


def _artifact_folder(uri: str) -> str | None:
    """Where artifacts of a new experiment go: beside a SQLite file, else as MLflow is set up.

    MLflow's own default lies below the working directory of whoever comes first.
    """
    path = sqlite_file(uri)
    return None if path is None else str(path.parent / "mlruns")
