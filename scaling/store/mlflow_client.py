"""The connection to MLflow, and the only file that imports it.

MLflow's usage telemetry is switched off here unless the user has switched it on.
"""

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.errors import StoreError
from scaling.store.spool import Operation, Send, Spool, Unavailable
from scaling.store.tracking_uri import with_credentials, without_credentials, without_secrets

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

TRY = "scaling.try"  # the tag that makes shipping a run twice harmless
_PAGE = 1000  # runs a query: MLflow's own limit
_BATCH = 800  # metrics a call: MLflow takes 1,000 metrics, params and tags together
_FEW = 100  # params, and tags, a call
#: What MLflow says of a request that will never succeed; anything else may pass later.
_FINAL = frozenset(
    (
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "CUSTOMER_UNAUTHORIZED",
        "NOT_FOUND",
        "ENDPOINT_NOT_FOUND",
        "NOT_IMPLEMENTED",
    )
)


def connect(uri: str) -> "MlflowClient":
    """A client of the store; StoreError at once where a server does not answer."""
    _require_answer(uri)
    return _client(uri)


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
    import mlflow.tracking  # noqa: F401


def _client(uri: str) -> "MlflowClient":
    import_mlflow()
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=with_credentials(uri))


def _require_answer(uri: str) -> None:
    """Ask a server whether it is there before MLflow's client spends long on retries."""
    if not uri.startswith(("http://", "https://")):
        return
    place = without_credentials(uri)  # urllib would take them for a part of the host's name
    try:
        urllib.request.urlopen(f"{place.rstrip('/')}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is MLflow's affair
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StoreError(
            f"{place}: the tracking server does not answer "
            f"({getattr(error, 'reason', error)}); start it or unset MLFLOW_TRACKING_URI"
        ) from error


class one_line_errors:
    """MLflow's exceptions as StoreErrors of one line."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from mlflow.exceptions import MlflowException

        if isinstance(error, MlflowException):
            raise StoreError(
                f"{without_credentials(self._uri)}: {_first_line(error)}; check MLFLOW_TRACKING_URI"
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


def sender(uri: str, experiment_id: str) -> Send:
    """What ships a spool's lines to this experiment: see scaling.store.spool."""
    connection: list[MlflowClient] = []

    def send(spool: Spool, operations: list[Operation]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            if not connection:
                connection.append(connect(uri))
            _send(connection[0], experiment_id, spool, operations)
        except MlflowException as error:
            if error.error_code in _FINAL:
                raise StoreError(
                    f"{without_credentials(uri)}: the run was refused ({_first_line(error)}); "
                    "was it deleted there?"
                ) from error
            raise Unavailable(_first_line(error)) from error
        except (StoreError, OSError) as error:
            raise Unavailable(without_secrets(str(error))) from error

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
        client.set_terminated(spool.store_run_id, last["status"], last["at"])


def _begin(client: "MlflowClient", experiment_id: str, spool: Spool, operation: Operation) -> str:
    if spool.doubtful:  # an earlier call may have arrived though its answer did not
        found = client.search_runs([experiment_id], f"tags.`{TRY}` = '{spool.try_id}'")
        if found:
            return str(found[0].info.run_id)
    run = client.create_run(
        experiment_id,
        start_time=operation["at"],
        run_name=operation["name"],
        tags=operation["tags"] | {TRY: spool.try_id},
    )
    return str(run.info.run_id)


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


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return without_secrets(lines[0])[:200]
