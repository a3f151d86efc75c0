"""Writes one run into the store while it trains."""

import getpass
import math
import posixpath
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.store.connection.digests import with_digest
from scaling.store.connection.spool import Shipper, Spool
from scaling.store.connection.tracking_uri import without_secrets
from scaling.store.one_run.run_state import REASON, RECORD, STATE, Fact, RunState
from scaling.store.one_run.tracebacks import in_parts, traceback_tags
from scaling.tables.notes import printable
from scaling.version import installed_version

_NOT_TAKEN = re.compile(r"[^/\w.\- :]")  # in the name of a param or metric, by MLflow
_LONGEST_NAME = 250  # characters of one
_END_SECONDS = 20.0  # how long the end of a run waits for a store that is merely slow


class RunWriter:
    """Writes one run while it trains. No method but the last waits for the store."""

    def __init__(self, spool: Spool, shipper: Shipper, facts: Mapping[str, Fact]) -> None:
        self._spool = spool
        self._shipper = shipper
        self._facts = dict(facts)
        shipper.add(spool)

    @property
    def store_run_id(self) -> str | None:
        """The store's own name of the run; None until it has arrived there."""
        return self._spool.store_run_id

    def write(self, operation: Mapping[str, Any]) -> None:
        """Put one line on its way; StoreError for a full disk or a run that the store refused."""
        self._spool.append({"at": now_ms(), **operation})
        self._shipper.wake()

    def log_facts(self, facts: Mapping[str, Fact]) -> None:
        """Further facts: params in MLflow's pages, columns of the record."""
        self._facts.update(facts)
        self.write({"op": "facts", "params": as_params(facts)})

    def log_progress(self, facts: Mapping[str, Fact]) -> None:
        """Columns of the record that change while it trains, as they are by now; no params of
        MLflow's, which never change."""
        self._facts.update(facts)
        self.write({"op": "facts", "tags": record_tags(self._facts)})

    def log_traceback(self, text: str) -> None:
        """The traceback of what went wrong in this run; `RunStore.tracebacks` reads it back."""
        self._facts["has_traceback"] = True
        self.write({"op": "facts", "tags": traceback_tags(text)})

    def log_curve(self, points: Sequence[Mapping[str, float]]) -> None:
        """Points of the curve, each a mapping with ``step`` and any number of named values."""
        now = now_ms()
        metrics = [
            (name, float(value), now, int(point["step"]))
            for point in points
            for name, value in point.items()
            if name != "step"
        ]
        self.write({"op": "points", "metrics": metrics})

    def flush(self, seconds: float = _END_SECONDS) -> bool:
        """Whether everything written is in the store; False, soon, where it does not answer."""
        return self._shipper.wait(self._spool, seconds)

    def finish(self, record: Mapping[str, Fact]) -> None:
        """The final record: numbers become metrics, everything becomes the record's JSON.

        Returns when it is stored, or when the store does not answer: then it is in the spool.
        """
        self._facts.update(record)
        metrics = final_metrics(record, now_ms())
        self._end(RunState.FINISHED, {}, metrics)

    def fail(self, state: RunState, reason: str) -> None:
        """Close the run as diverged or failed; what was logged stays."""
        self._end(state, {REASON: printable(without_secrets(reason), 500)}, [])

    def _end(
        self, state: RunState, tags: dict[str, str], metrics: list[tuple[str, float, int, int]]
    ) -> None:
        self.write(
            {
                "op": "end",
                "status": MLFLOW_STATUS.get(state, "FAILED"),
                "tags": {STATE: state, **record_tags(self._facts), **tags},
                "metrics": metrics,
            }
        )
        self.flush()


#: The words of MLflow's own for states; of every other state it says FAILED.
MLFLOW_STATUS = {
    RunState.FINISHED: "FINISHED",
    RunState.SETTLED: "KILLED",
    RunState.INTERRUPTED: "KILLED",
}


def origin_tags() -> dict[str, str]:
    """Who made a run, and with what, as MLflow's pages show it; no user where the system has no
    name for who runs this."""
    source = {"mlflow.source.name": f"scaling {installed_version()}", "mlflow.source.type": "LOCAL"}
    try:
        return {"mlflow.user": getpass.getuser(), **source}
    except (KeyError, OSError):  # a container may run under a number without a name
        return source


def now_ms() -> int:
    """Milliseconds since the epoch, as MLflow counts time."""
    return int(time.time() * 1000)


def final_metrics(facts: Mapping[str, Fact], now: int) -> list[tuple[str, float, int, int]]:
    """The numbers of a record as metrics named ``final.NAME``: (name, value, time, step)."""
    return [
        (_name(f"final.{name}"), float(value), now, 0)
        for name, value in facts.items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]


def as_params(facts: Mapping[str, Fact]) -> dict[str, str]:
    """Facts as params of MLflow's pages, which are text."""
    return {_name(name): str(value) for name, value in facts.items() if value is not None}


def _name(name: str) -> str:
    """The nearest name that MLflow takes for a param or metric; the record keeps the fact's own."""
    taken = _NOT_TAKEN.sub("_", name)[:_LONGEST_NAME]
    is_path = posixpath.normpath(f"x/{taken}") == f"x/{taken}"
    return taken if is_path else "_" + taken[1:].replace("/", "_")


def record_tags(facts: Mapping[str, Fact]) -> dict[str, str]:
    """The tags that keep the record of a run, which `readable.record_text` joins again."""
    parts = in_parts(record_json(facts))
    return {f"{RECORD}.{n:02}" if n else RECORD: part for n, part in enumerate(parts)}


def record_json(facts: Mapping[str, Fact]) -> str:
    """The record of a run as one JSON document with its digest; what is not finite is null."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in sorted(facts.items())
    }
    return with_digest(finite, str(facts["run_id"]))
