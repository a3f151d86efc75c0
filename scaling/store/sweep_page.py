"""What MLflow's pages show of a sweep as a whole: a description, files, and metrics of its own run.

The sweep's own run is the parent of all others, and the one that MLflow shows before anything is
clicked. The step of its metrics is the number of runs that have finished.
"""

import hashlib
import math
import shlex
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scaling.store.connection.digests import DamagedError, with_digest, without_digest
from scaling.store.connection.mlflow_client import (
    artifact_errors,
    connect,
    log_batches,
    one_line_errors,
)
from scaling.store.connection.tracking_uri import without_credentials
from scaling.store.one_run.run_state import EXPERIMENT_KIND, RunState
from scaling.store.one_run.run_writer import now_ms
from scaling.store.tags.cache import Try, read_tries
from scaling.store.tags.tries import state_of, tries_by_run, try_that_counts

DESCRIPTION = "mlflow.note.content"
REPORT = "report.html"  # the name of the report among the files of the sweep's own run
_DESCRIBED = "scaling.description"  # the hash of the description that we wrote last
_FILES = "scaling.files"  # the hash of each file that was kept last, by name
_PROGRESS = "scaling.progress"  # what was logged last of the runs, as JSON
_FORECAST = "scaling.forecast"  # what was logged last of the forecast, as JSON
_LONGEST = 4_900  # characters of an experiment's tag that servers of every version take
#: The description that sweeps were given before they were described one by one.
_EARLIER = "edabff96fb5a4a1c"
#: Without it MLflow 3 shows its pages for chats.
_TRAINING = "?workflowType=machine_learning"
_PORT = 5000  # of MLflow's server where none is said


@dataclass(frozen=True, kw_only=True)
class SweepPage:
    """The pages of one sweep in MLflow. Methods raise StoreError where the store does not answer,
    or a file does not reach it."""

    tracking_uri: str
    experiment_id: str
    key: str
    """As `RunStore.key`."""
    parent_id: str
    """MLflow's id of the sweep's own run."""

    def link(self, file: str = "") -> str:
        """Where MLflow's pages, on whatever address, show the sweep's own run, or a file of it;
        empty for a file that is not kept."""
        if file and file not in self._kept():
            return ""
        run = f"#/experiments/{self.experiment_id}/runs/{self.parent_id}"
        return f"{run}/artifacts/{file}{_TRAINING}" if file else f"{run}{_TRAINING}"

    def describe(self, text: str, about_own_run: str) -> None:
        """Describe the experiment, and its own run, unless a person has described it."""
        client = connect(self.tracking_uri)
        with one_line_errors(self.tracking_uri):
            tags = client.get_experiment(self.experiment_id).tags
            for name, kind in EXPERIMENT_KIND.items():
                if name not in tags:
                    client.set_experiment_tag(self.experiment_id, name, kind)
            now, text = tags.get(DESCRIPTION, ""), text[:_LONGEST]
            ours = (tags.get(_DESCRIBED, _hash("")), _EARLIER)
            if _hash(now) in ours and now != text:
                client.set_experiment_tag(self.experiment_id, DESCRIPTION, text)
                client.set_experiment_tag(self.experiment_id, _DESCRIBED, _hash(text))
            if DESCRIPTION not in client.get_run(self.parent_id).data.tags:
                client.set_tag(self.parent_id, DESCRIPTION, about_own_run)

    def keep_files(self, files: Mapping[str, str]) -> None:
        """Keep texts, by file name, with the sweep's own run; those of the call before make room,
        and texts that did not change are not sent again."""
        kept = self._kept()
        new = {name: text for name, text in files.items() if kept.get(name) != _hash(text)}
        if not new:
            return
        client = connect(self.tracking_uri)
        with artifact_errors(self.tracking_uri, "config and plan are not kept with the sweep"):
            for name, text in new.items():
                client.log_text(self.parent_id, text, name)
        self._keep_tag(_FILES, kept | {name: _hash(text) for name, text in new.items()})

    def read_file(self, name: str) -> str:
        """A text that is kept with the sweep's own run; empty where none is kept by that name."""
        if name not in self._kept():
            return ""
        client = connect(self.tracking_uri)
        with (
            artifact_errors(self.tracking_uri, f"{name} of the sweep cannot be read"),
            TemporaryDirectory() as folder,
        ):
            path = client.download_artifacts(self.parent_id, name, folder)
            return Path(path).read_text(encoding="utf-8")

    def keep_report(self, path: Path) -> None:
        """Keep the report with the sweep's own run, in place of an earlier one."""
        text = path.read_text(encoding="utf-8")
        self.keep_files({REPORT: text})

    def log_progress(self, planned: Collection[str]) -> None:
        """Log how many of the planned runs (by id) have finished, and the best loss so far.

        A point for each run that has finished since the call before, at the time when it did.
        The loss of held-out runs takes no part: it is there to be predicted.
        """
        tries = read_tries(self.tracking_uri, self.experiment_id, self.key)
        last = _json_tag(self._own_run(tries), _PROGRESS)
        place = without_credentials(self.tracking_uri)
        finished = _finished(tries_by_run(tries, place), planned)
        points, best = [], math.inf
        for step, (end, loss) in enumerate(finished, start=1):
            best = min(best, loss)
            points.append((step, end, {"runs_finished": step, "best_loss": best}))
        before = last.get("step", 0)
        new = [(step, at, values | {"runs_planned": len(planned)}) for step, at, values in points]
        told = new[-1][2] if new else {"runs_finished": 0, "runs_planned": len(planned)}
        told = {name: value for name, value in told.items() if math.isfinite(value)}
        step = max(before, len(finished))
        if last == {"step": step, **told}:
            return
        new = new[before:] or [(step, now_ms(), told)]
        metrics = [
            (name, float(value), at, at_step)
            for at_step, at, values in new
            for name, value in values.items()
            if math.isfinite(value)
        ]
        self._log(metrics, {_PROGRESS: with_digest({"step": step, **told}, _PROGRESS)})

    def forecast_stands(self, data_hash: str) -> bool:
        """Whether the forecast that was logged last is one of the same runs."""
        return bool(_json_tag(self._own_run(), _FORECAST).get("data_hash") == data_hash)

    def log_forecast(
        self, name: str, values: Mapping[str, float], *, said: str, data_hash: str
    ) -> None:
        """Log a forecast from the runs of this hash as metrics ``NAME.KEY``, with a sentence as the
        tag of that name; without values, the sentence says why there are none."""
        own = self._own_run()
        last, step = _json_tag(own, _FORECAST), _json_tag(own, _PROGRESS).get("step", 0)
        keys = {*values, *last.get("values", ())}  # no number is told by one that is none
        now, step = now_ms(), max(step, last.get("step", 0))
        metrics = [(f"{name}.{key}", values.get(key, math.nan), now, step) for key in sorted(keys)]
        state = {"data_hash": data_hash, "step": step, "values": sorted(keys)}
        self._log(metrics, {_FORECAST: with_digest(state, _FORECAST), name: said[:5000]})

    def how_to_open(self) -> str:
        """What to type, and which address shows the sweep in MLflow."""
        address, typed = without_credentials(self.tracking_uri), ""
        if not address.startswith(("http://", "https://")):
            store = shlex.quote(address)
            typed = f"mlflow server --backend-store-uri {store} --port {_PORT}\n"
            address = f"http://127.0.0.1:{_PORT}"
        where = f"#/experiments/{self.experiment_id}/runs{_TRAINING}&compareRunsMode=CHART"
        return f"{typed}{address.rstrip('/')}/{where}"

    def _own_run(self, tries: list[Try] | None = None) -> Try | None:
        if tries is None:
            tries = read_tries(self.tracking_uri, self.experiment_id, self.key)
        return next((one for one in tries if one.store_run_id == self.parent_id), None)

    def _kept(self) -> dict[str, str]:
        return _json_tag(self._own_run(), _FILES)

    def _keep_tag(self, name: str, value: Mapping[str, Any]) -> None:
        self._log([], {name: with_digest(value, name)})

    def _log(self, metrics: list[tuple[str, float, int, int]], tags: Mapping[str, str]) -> None:
        client = connect(self.tracking_uri)
        with one_line_errors(self.tracking_uri):
            log_batches(client, self.parent_id, metrics, tags=tags)


def _finished(tries: dict[str, list[Try]], planned: Collection[str]) -> list[tuple[int, float]]:
    """(end in milliseconds, loss) of the planned runs that have finished, in the order of their
    ends; the loss of a held-out one is infinite."""
    found = []
    for run_id, group in tries.items():
        one = try_that_counts(group)
        if run_id in planned and state_of(one.tags) == RunState.FINISHED:
            loss = math.inf if one.record.get("held_out") else one.record.get("loss")
            found.append((one.end or now_ms(), math.inf if loss is None else float(loss)))
    return sorted(found)


def _json_tag(own: Try | None, name: str) -> dict[str, Any]:
    """What we kept under that name; none where it was never kept, or is damaged."""
    with suppress(DamagedError):
        return without_digest(own.tags.get(name, ""), name) if own else {}
    return {}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
