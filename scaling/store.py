"""The run store: MLflow, and the only file that imports it.

A sweep is an MLflow experiment, a run of the plan is an MLflow run. Each run carries its whole
record as one JSON tag beside the params and metrics that people look at in MLflow's own pages,
so that thousands of runs are read by a paged query, without a call per run.

The store is MLflow's own ``MLFLOW_TRACKING_URI``, or ``sqlite:///mlflow.db`` in the working
directory. Credentials stay in MLflow's environment variables and are never written anywhere.
MLflow's usage telemetry is switched off here unless the user has switched it on.
"""

import difflib
import json
import logging
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scaling.errors import StoreError
from scaling.records import Records, records_from_table
from scaling.store_sql import LayoutError, curve_points, experiments, run_tags, speaks_sql

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

Fact = float | int | str | bool | None

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
_RECORD, _RUN_ID, _STATE, _REASON, _KIND = (
    f"scaling.{name}" for name in ("record", "run_id", "state", "reason", "kind")
)
_SEAL = "scaling.seal"
_TAG_LENGTH = 7000
SEALS = "sealed-forecasts"  # the experiment that holds them
_PAGE = 1000  # runs a query, and metrics a batch: MLflow's own limits


class RunState(StrEnum):
    """Where a planned run stands."""

    PLANNED = "planned"
    RUNNING = "running"
    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"


#: A later state in this order outranks an earlier one of the same run.
_RANK = {state: rank for rank, state in enumerate(("running", "failed", "diverged", "finished"))}


@dataclass(frozen=True, kw_only=True)
class RunStore:
    """One sweep's runs in MLflow. A value: workers receive it and open their own connection."""

    sweep: str
    tracking_uri: str
    experiment_id: str

    @classmethod
    def open(cls, sweep: str, tracking_uri: str | None = None) -> "RunStore":
        """The store of a sweep, made where it does not exist yet.

        Call it once in the parent process before workers start: two processes that create one
        SQLite database at the same moment break each other. Raises StoreError where the server
        does not answer, or the experiment of this name holds something else.
        """
        uri = resolve_tracking_uri(tracking_uri)
        client = _client(uri)
        experiment = _find_experiment(client, sweep, uri)
        if experiment is None:
            experiment_id = client.create_experiment(sweep, tags={_KIND: "sweep"})
            return cls(sweep=sweep, tracking_uri=uri, experiment_id=experiment_id)
        if _KIND not in experiment.tags:
            if client.search_runs([experiment.experiment_id], max_results=1):
                raise StoreError(
                    f'{uri}: the experiment "{sweep}" holds runs that no sweep made; '
                    "choose another name for the sweep"
                )
            client.set_experiment_tag(experiment.experiment_id, _KIND, "sweep")
        return cls(sweep=sweep, tracking_uri=uri, experiment_id=experiment.experiment_id)

    @classmethod
    def find(cls, sweep: str, tracking_uri: str | None = None) -> "RunStore":
        """The store of a sweep that exists; StoreError names the nearest one otherwise."""
        uri = resolve_tracking_uri(tracking_uri)
        if not _database_exists(uri):
            raise StoreError(
                f"{uri}: no such database; run a sweep first or set MLFLOW_TRACKING_URI"
            )
        found = _experiments(uri)
        if sweep not in found:
            near = difflib.get_close_matches(sweep, found, n=1) or list(found)
            raise StoreError(
                f'{_without_credentials(uri)}: no experiment "{sweep}"'
                + (f'; did you mean "{near[0]}"?' if near else "; run a sweep first")
            )
        return cls(sweep=sweep, tracking_uri=uri, experiment_id=found[sweep])

    def states(self) -> dict[str, RunState]:
        """Where each run of the sweep that was ever started stands, by run id."""
        return {run_id: RunState(facts["status"]) for run_id, facts in self.facts().items()}

    def facts(self) -> dict[str, dict[str, Any]]:
        """What is known of each run that was ever started, by run id: records-table columns.

        A run that was started several times appears once: the finished try, else the latest.
        """
        found: dict[str, dict[str, Any]] = {}
        for tags in self._run_tags():
            if _RECORD not in tags:
                continue
            facts = json.loads(tags[_RECORD]) | {"status": tags[_STATE]}
            if _REASON in tags:
                facts["reason"] = tags[_REASON]
            run_id = tags[_RUN_ID]
            if run_id not in found or _RANK[facts["status"]] > _RANK[found[run_id]["status"]]:
                found[run_id] = facts
        return found

    def read_records(self) -> Records:
        """Every run of the sweep as a records table, unfinished ones with their status."""
        rows = list(self.facts().values())
        if not rows:
            raise StoreError(
                f'{self.tracking_uri}: the sweep "{self.sweep}" has no runs yet; '
                "start it with: scaling run CONFIG"
            )
        table = pd.DataFrame(rows)
        if "loss" not in table:
            table["loss"] = math.nan
        return records_from_table(table, source=f"mlflow:{self.sweep}")

    def start_run(self, run_id: str, name: str, facts: Mapping[str, Fact]) -> "RunWriter":
        """Begin one run: its facts are stored before the first step is taken.

        An earlier try of the same run that is still marked running was cut off; it is closed as
        failed, and what it logged stays.
        """
        client = _client(self.tracking_uri)
        for earlier in client.search_runs(
            [self.experiment_id], f"tags.`{_RUN_ID}` = '{run_id}' and attributes.status = 'RUNNING'"
        ):
            _close(client, earlier.info.run_id, RunState.FAILED, "cut off; started again")
        run = client.create_run(
            self.experiment_id,
            run_name=name,
            tags={
                _RUN_ID: run_id,
                _STATE: RunState.RUNNING,
                _RECORD: _to_json({"run_id": run_id, "sweep": self.sweep, **facts}),
            },
        )
        writer = RunWriter(client, run.info.run_id, {"run_id": run_id, "sweep": self.sweep})
        writer.log_facts(facts)
        return writer

    def log_artifact(self, path: Path, run_name: str = "report") -> None:
        """Keep a file with the sweep, as an artifact of a run of its own named ``run_name``."""
        client = _client(self.tracking_uri)
        with _one_line_errors(self.tracking_uri):
            run = client.create_run(self.experiment_id, run_name=run_name)
            client.log_artifact(run.info.run_id, str(path))
            client.set_terminated(run.info.run_id)

    def curves(self, metric: str = "train_loss") -> pd.DataFrame:
        """One metric's points over all runs: columns run_id, step and the metric's name."""
        names = ["run_id", "step", metric]
        if speaks_sql(self.tracking_uri):
            with suppress(LayoutError):
                points = curve_points(self.tracking_uri, self.experiment_id, metric, _RUN_ID)
                return pd.DataFrame(points, columns=names)
        client = _client(self.tracking_uri)
        with _one_line_errors(self.tracking_uri):
            found = [
                (run.data.tags[_RUN_ID], point.step, point.value)
                for run in _pages(client, self.experiment_id)
                if _RUN_ID in run.data.tags
                for point in client.get_metric_history(run.info.run_id, metric)
            ]
        return pd.DataFrame(sorted(found), columns=names)

    def _run_tags(self) -> list[dict[str, str]]:
        """The tags of every run, latest first: by SQL where there is a database, else in pages."""
        if speaks_sql(self.tracking_uri):
            with suppress(LayoutError):
                return run_tags(self.tracking_uri, self.experiment_id, "scaling.")
        client = _client(self.tracking_uri)
        with _one_line_errors(self.tracking_uri):
            return [run.data.tags for run in _pages(client, self.experiment_id)]


def keep_seal(name: str, document: str, tracking_uri: str | None = None) -> None:
    """Keep a sealed forecast under its name; StoreError if the name is taken: seals never change.

    Seals are runs of an experiment of their own. A tag holds 8,000 characters at most, so a long
    document is spread over several.
    """
    if name in read_seals(tracking_uri):
        raise StoreError(f'a sealed forecast "{name}" exists already; choose another name')
    store = RunStore.open(SEALS, tracking_uri)
    parts = [document[i : i + _TAG_LENGTH] for i in range(0, len(document), _TAG_LENGTH)]
    tags = {f"{_SEAL}.{number:04d}": part for number, part in enumerate(parts)}
    client = _client(store.tracking_uri)
    with _one_line_errors(store.tracking_uri):
        run = client.create_run(store.experiment_id, run_name=name, tags={_SEAL: name, **tags})
        client.set_terminated(run.info.run_id)


def read_seals(tracking_uri: str | None = None) -> dict[str, str]:
    """The document of every sealed forecast by name, oldest first."""
    uri = resolve_tracking_uri(tracking_uri)
    if not _database_exists(uri) or SEALS not in _experiments(uri):
        return {}
    store = RunStore.find(SEALS, uri)
    documents = {}
    for tags in reversed(store._run_tags()):
        if _SEAL in tags:
            parts = sorted(key for key in tags if key.startswith(f"{_SEAL}."))
            documents[tags[_SEAL]] = "".join(tags[key] for key in parts)
    return documents


class RunWriter:
    """Writes one run while it trains. Every method is one batched call."""

    def __init__(self, client: "MlflowClient", mlflow_run_id: str, facts: dict[str, Fact]) -> None:
        self._client = client
        self._mlflow_run_id = mlflow_run_id
        self._facts = facts

    def log_facts(self, facts: Mapping[str, Fact]) -> None:
        """Facts known before training: params in MLflow's pages, columns of the record."""
        from mlflow.entities import Param

        self._facts.update(facts)
        params = [Param(key, str(value)) for key, value in facts.items() if value is not None]
        self._client.log_batch(self._mlflow_run_id, params=params)

    def log_curve(self, points: Sequence[Mapping[str, float]]) -> None:
        """Points of the curve, each a mapping with ``step`` and any number of named values."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now, int(point["step"]))
            for point in points
            for name, value in point.items()
            if name != "step"
        ]
        for start in range(0, len(metrics), _PAGE):
            self._client.log_batch(self._mlflow_run_id, metrics=metrics[start : start + _PAGE])

    def finish(self, record: Mapping[str, Fact]) -> None:
        """The final record: numbers become metrics, everything becomes the record's JSON."""
        from mlflow.entities import Metric

        self._facts.update(record)
        now = int(time.time() * 1000)
        metrics = [
            Metric(f"final.{name}", float(value), now, 0)
            for name, value in record.items()
            if isinstance(value, int | float) and math.isfinite(value)
        ]
        self._client.log_batch(self._mlflow_run_id, metrics=metrics)
        self._client.set_tag(self._mlflow_run_id, _RECORD, _to_json(self._facts))
        _close(self._client, self._mlflow_run_id, RunState.FINISHED)

    def fail(self, state: RunState, reason: str) -> None:
        """Close the run as diverged or failed; what was logged stays."""
        self._client.set_tag(self._mlflow_run_id, _RECORD, _to_json(self._facts))
        _close(self._client, self._mlflow_run_id, state, reason)


def resolve_tracking_uri(tracking_uri: str | None = None) -> str:
    """The tracking URI in force, with a SQLite path made absolute (workers may move about)."""
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    return uri


def _client(uri: str) -> "MlflowClient":
    _require_answer(uri)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _require_answer(uri: str) -> None:
    """Ask a server whether it is there before MLflow's client spends minutes on retries."""
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is MLflow's affair
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StoreError(
            f"{_without_credentials(uri)}: the tracking server does not answer "
            f"({getattr(error, 'reason', error)}); start it or unset MLFLOW_TRACKING_URI"
        ) from error


def _without_credentials(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


class _one_line_errors:
    """MLflow's exceptions as StoreErrors of one line."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from mlflow.exceptions import MlflowException

        if isinstance(error, MlflowException):
            first_line = str(error).strip().splitlines()[0][:200]
            raise StoreError(
                f"{_without_credentials(self._uri)}: {first_line}; check MLFLOW_TRACKING_URI"
            ) from error


def _database_exists(uri: str) -> bool:
    """False where the URI names a SQLite file that is not there; asking would create it."""
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).exists()


def _experiments(uri: str) -> dict[str, str]:
    """The ids of all experiments by name."""
    if speaks_sql(uri):
        with suppress(LayoutError):
            return experiments(uri)
    client = _client(uri)
    with _one_line_errors(uri):
        return {found.name: found.experiment_id for found in client.search_experiments()}


def _pages(client: "MlflowClient", experiment_id: str) -> Iterable["Run"]:
    """All runs of an experiment, latest first, in pages of the largest size MLflow allows."""
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment_id],
            order_by=["attributes.start_time DESC"],
            max_results=_PAGE,
            page_token=token,
        )
        yield from page
        token = page.token or ""


def _find_experiment(client: "MlflowClient", sweep: str, uri: str) -> Any:
    with _one_line_errors(uri):
        experiment = client.get_experiment_by_name(sweep)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f'{_without_credentials(uri)}: the experiment "{sweep}" was deleted in MLflow; '
            "restore it there or choose another name for the sweep"
        )
    return experiment


def _close(client: "MlflowClient", mlflow_run_id: str, state: RunState, reason: str = "") -> None:
    client.set_tag(mlflow_run_id, _STATE, state)
    if reason:
        client.set_tag(mlflow_run_id, _REASON, reason[:500])
    client.set_terminated(mlflow_run_id, "FINISHED" if state is RunState.FINISHED else "FAILED")


def _to_json(facts: Mapping[str, Fact]) -> str:
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in facts.items()
    }
    return json.dumps(finite, sort_keys=True)
