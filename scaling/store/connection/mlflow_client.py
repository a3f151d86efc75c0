"""The connection to MLflow, and the only file that imports it.

MLflow's usage telemetry is switched off here unless the user has switched it on.
"""

import http.client
import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from scaling.errors import ScalingError, StoreError
from scaling.store.connection.database import require_database, sqlite_file
from scaling.store.connection.patience import answered
from scaling.store.connection.spool import Operation, Send, Spool, Unavailable
from scaling.store.connection.tracking_uri import (
    with_credentials,
    without_credentials,
    without_secrets,
)
from scaling.tables.notes import printable

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.tracking import MlflowClient

TRY = "scaling.try"  # the tag that makes shipping a run twice harmless
_PAGE = 1000  # runs a query: MLflow's own limit
_BATCH = 800  # metrics a call: MLflow takes 1,000 metrics, params and tags together
_FEW = 100  # params, and tags, a call
#: What MLflow says of a request that will never succeed; anything else may pass later.
_FINAL = frozenset(
    (
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_ALREADY_EXISTS",
    )
)
_IMPORTING = threading.Lock()  # its modules import each other: two threads at once meet halves
_HEALTH_SECONDS = 10.0  # a server that is there answers within it
_ARTIFACT_SECONDS = 3600.0  # a large file over a slow line
_ARTIFACTS = ("log_artifact", "log_text", "download_artifacts")


def connect(uri: str) -> "MlflowClient":
    """A client of the store, whose database is made in one piece where there is none.

    Each call of it comes to an end in time; see `scaling.store.connection.patience`.
    Raises StoreError, in one line, where a server does not answer, and where a database cannot
    be used.
    """
    _require_answer(uri)
    if (path := sqlite_file(uri)) is not None:
        require_database(path, _make_tables)
    import_mlflow()
    place = without_credentials(uri)
    with one_line_errors(uri):
        return cast("MlflowClient", _Bounded(place, answered(place, lambda: _client(uri))))


class _Bounded:
    """A client none of whose calls lasts for ever."""

    def __init__(self, place: str, client: "MlflowClient") -> None:
        self._place, self._client = place, client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        seconds = _ARTIFACT_SECONDS if name in _ARTIFACTS else None

        def call(*args: Any, **kwargs: Any) -> Any:
            return answered(self._place, lambda: method(*args, **kwargs), seconds)

        return call


def import_mlflow() -> None:
    """Import MLflow, which takes seconds, with its telemetry off and its log quiet."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # We ask again ourselves, so MLflow need not do it for minutes on end.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with _IMPORTING:
        import mlflow.tracking  # noqa: F401

    # What they say of an error at length we say in one line.
    for name in ("mlflow.store.db.utils", "mlflow.exceptions", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _client(uri: str) -> "MlflowClient":
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=with_credentials(uri))


def _make_tables(uri: str) -> None:
    """Have MLflow make its tables, and let go of the file. StoreError where it cannot."""
    import_mlflow()  # here, since a database that is there may turn out to be none
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with one_line_errors(uri):
        SqlAlchemyStore(uri, "./mlruns").engine.dispose()


def _require_answer(uri: str) -> None:
    """Ask a server whether it is there before MLflow's client spends long on retries."""
    if not uri.startswith(("http://", "https://")):
        return
    place = without_credentials(uri)  # urllib would take them for a part of the host's name

    def ask() -> None:
        urllib.request.urlopen(f"{place.rstrip('/')}/health", timeout=_HEALTH_SECONDS).close()

    try:
        answered(place, ask, _HEALTH_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()  # it answers; whether it lets us in is MLflow's affair
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        said = printable(getattr(error, "reason", error) or type(error).__name__, 120)
        raise StoreError(
            f"{place}: the tracking server does not answer ({said}); start it or unset "
            "MLFLOW_TRACKING_URI"
        ) from error


class one_line_errors:
    """Whatever MLflow and the libraries below it raise as StoreErrors of one line."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, ScalingError):
            said = _first_line(error, 320)  # of a schema of another version, with what to type
            raise StoreError(
                f"{without_credentials(self._uri)}: {said}; check MLFLOW_TRACKING_URI"
            ) from error


class artifact_errors:
    """Whatever a store of artifacts raises as a StoreError of one line.

    Each kind of store (a folder, MLflow's server, S3 ...) raises what its own library has, and a
    missing library is an ImportError, so no list of exceptions would be whole.
    """

    def __init__(self, place: str, consequence: str) -> None:
        self._place, self._consequence = place, consequence

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, StoreError):
            raise StoreError(
                f"{without_credentials(self._place)}: {_first_line(error)}; {self._consequence}: "
                "check that this machine reaches the experiment's artifact store"
            ) from error


def pages(
    client: "MlflowClient", experiment_id: str, condition: str = "", *, deleted: bool = False
) -> Iterator["Run"]:
    """The runs of an experiment, latest first, in pages of the largest size MLflow allows."""
    from mlflow.entities import ViewType

    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment_id],
            condition,
            run_view_type=ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time DESC"],
            max_results=_PAGE,
            page_token=token,
        )
        yield from page
        token = page.token or ""


def all_experiments(client: "MlflowClient", uri: str) -> "list[Experiment]":
    """Every experiment of a store with its tags, deleted ones too."""
    from mlflow.entities import ViewType

    with one_line_errors(uri):
        return list(client.search_experiments(view_type=ViewType.ALL))


def sender(uri: str, experiment_id: str) -> Send:
    """What ships a spool's lines to this experiment: see scaling.store.connection.spool."""
    connection: list[MlflowClient] = []

    def send(spool: Spool, operations: list[Operation]) -> None:
        import_mlflow()
        from mlflow.exceptions import RestException

        try:
            if not connection:
                connection.append(connect(uri))
            _send(connection[0], experiment_id, spool, operations)
        except Unavailable:
            raise
        except Exception as error:  # a server that is none may answer anything
            code = getattr(error, "error_code", "")
            told = isinstance(error, RestException) or not uri.startswith("http")
            if code in _FINAL and told:  # MLflow's own word, and not that of a proxy before it
                raise StoreError(
                    f"{without_credentials(uri)}: the run was refused ({_first_line(error)}); "
                    "was it deleted there?"
                ) from error
            raise Unavailable(_first_line(error)) from error

    return send


def _send(
    client: "MlflowClient", experiment_id: str, spool: Spool, operations: list[Operation]
) -> None:
    """Few calls, whatever the number of lines: MLflow takes tens of milliseconds for each."""
    if spool.store_run_id is None:
        spool.store_run_id = _begin(client, experiment_id, spool, operations[0])
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: list[tuple[str, float, int, int]] = []
    for operation in operations:
        params |= operation.get("params", {})
        tags |= operation.get("tags", {}) if operation["op"] != "start" else {}
        metrics += [tuple(metric) for metric in operation.get("metrics", ())]
    log_batches(client, spool.store_run_id, metrics, params, tags)
    last = operations[-1]
    if last["op"] == "end":
        client.set_terminated(spool.store_run_id, last["status"])  # by now: readers ask since when
        _require_stored(client, spool, tags, {name for name, *_ in metrics}, last["status"])


def _begin(client: "MlflowClient", experiment_id: str, spool: Spool, operation: Operation) -> str:
    if spool.doubtful:  # an earlier call may have arrived though its answer did not
        found = client.search_runs([experiment_id], f"tags.`{TRY}` = '{spool.try_id}'")
        if found:
            return _require_ours(client, spool, found[0].info.run_id)
    run = client.create_run(
        experiment_id,
        start_time=operation["at"],
        run_name=operation["name"],
        tags=operation["tags"] | {TRY: spool.try_id},
    )
    return _require_ours(client, spool, run.info.run_id)


def _require_ours(client: "MlflowClient", spool: Spool, run_id: object) -> str:
    """The id that a store gave to a run, once it has shown the run under it."""
    if isinstance(run_id, str) and run_id:
        run = client.get_run(run_id)
        if run.info.run_id == run_id and run.data.tags.get(TRY) == spool.try_id:
            return run_id
    spool.doubtful = True
    raise Unavailable("it answers, but has no run under the id that it gave")


def _require_stored(
    client: "MlflowClient", spool: Spool, tags: Mapping[str, str], metrics: set[str], status: str
) -> None:
    """Read a run back before the only other copy of it goes. Raises Unavailable where it lacks
    something."""
    run = client.get_run(str(spool.store_run_id))
    kept = run.data.tags
    lacks = [name for name, value in tags.items() if kept.get(name) != value]
    lacks += sorted(metrics - run.data.metrics.keys())
    if run.info.run_id != spool.store_run_id or run.info.status != status or lacks:
        raise Unavailable(f"it answers, but has not kept {', '.join(lacks[:3]) or 'the end'}")


def log_batches(
    client: "MlflowClient",
    store_run_id: str,
    metrics: Sequence[tuple[str, float, int, int]] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log any number of (name, value, milliseconds, step), params and tags to one run."""
    from mlflow.entities import Metric, Param, RunTag

    all_metrics = [Metric(*metric) for metric in metrics]
    all_params = [Param(key, value) for key, value in (params or {}).items()]
    all_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
    while all_metrics or all_params or all_tags:
        client.log_batch(
            store_run_id,
            metrics=all_metrics[:_BATCH],
            params=all_params[:_FEW],
            tags=all_tags[:_FEW],
        )
        del all_metrics[:_BATCH], all_params[:_FEW], all_tags[:_FEW]


def is_taken(error: Exception) -> bool:
    """Whether MLflow refuses a name because there is something of that name already."""
    return getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS"


def no_answer(uri: str, asked: str) -> StoreError:
    """The error for a server that says something else than what it was asked."""
    return StoreError(
        f"{without_credentials(uri)}: answers, but not as MLflow does ({asked}); is that MLflow's "
        "address? set MLFLOW_TRACKING_URI"
    )


def _first_line(error: Any, most: int = 200) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(without_secrets(lines[0]), most)
