"""The run store: a sweep is an MLflow experiment, a run of the plan is an MLflow run.

Each run carries its whole record as one JSON tag beside the params and metrics that people look at
in MLflow's own pages, so that thousands of runs are read by a paged query, without a call per run;
what has ended is kept in a local cache. Runs are children of one parent run, the sweep's. What a
run writes passes through a local spool (`scaling.store.connection.spool`), so that
training never waits.
"""

import hashlib
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.errors import StoreError
from scaling.inputs.names import checked_name
from scaling.store.connection.mlflow_client import (
    connect,
    log_batches,
    no_answer,
    one_line_errors,
    sender,
)
from scaling.store.connection.notices import tell
from scaling.store.connection.spool import Shipper, Spool, Unavailable, left_behind, ship
from scaling.store.connection.sql_reads import curve_points, or_slowly, run_tags, speaks_sql
from scaling.store.connection.state_folder import state_folder
from scaling.store.connection.tracking_uri import (
    resolve_tracking_uri,
    without_credentials,
    without_secrets,
)
from scaling.store.experiments import found_experiment, opened_experiment
from scaling.store.foreign_runs import foreign_rows
from scaling.store.one_run.run_state import (
    DRIVER,
    KIND,
    PARENT,
    REASON,
    RUN_ID,
    SETTLEMENT,
    STATE,
    Fact,
    RunState,
)
from scaling.store.one_run.run_writer import (
    MLFLOW_STATUS,
    RunWriter,
    as_params,
    final_metrics,
    now_ms,
    origin_tags,
    record_tags,
)
from scaling.store.one_run.settlement import Settlement
from scaling.store.one_run.tracebacks import PREFIX, traceback_of, traceback_tags
from scaling.store.sweep_page import SweepPage
from scaling.store.tags.cache import EXCLUDED, Try, read_tries
from scaling.store.tags.tries import state_of, tries_by_run, try_that_counts

if TYPE_CHECKING:
    import pandas as pd

    from scaling.records import Records
    from scaling.tables.reading import Reading


@dataclass(frozen=True, kw_only=True)
class RunStore:
    """One sweep's runs in MLflow. A value: workers receive it and open their own connection."""

    sweep: str
    tracking_uri: str
    experiment_id: str
    parent_id: str = ""
    """MLflow's id of the run whose children the sweep's runs are."""

    @classmethod
    def open(cls, sweep: str, tracking_uri: str | None = None) -> "RunStore":
        """The store of a sweep, made where it does not exist yet.

        Raises ConfigError for what is no name of a sweep (`scaling.inputs.names`), StoreError where
        the server does not answer, or the experiment of this name holds something else.
        """
        checked_name(sweep, "the name of the sweep")
        uri = resolve_tracking_uri(tracking_uri)
        return cls(sweep=sweep, tracking_uri=uri, experiment_id=opened_experiment(sweep, uri))

    @classmethod
    def find(cls, sweep: str, tracking_uri: str | None = None) -> "RunStore":
        """The store of a sweep that exists; NotStoredError names the nearest one otherwise."""
        uri = resolve_tracking_uri(tracking_uri)
        return cls(sweep=sweep, tracking_uri=uri, experiment_id=found_experiment(sweep, uri))

    @property
    def key(self) -> str:
        """Names this store among the spools, caches and locks of one machine."""
        text = f"{without_credentials(self.tracking_uri)} {self.experiment_id}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def spool_folder(self) -> Path:
        """Where this machine keeps what runs wrote until the store has it."""
        return state_folder("spool", self.key)

    def with_parent(self, facts: Mapping[str, Fact]) -> "RunStore":
        """The same store, whose runs become children of the sweep's own run, made where missing.

        ``facts`` are the parent's params in MLflow's pages; those of an earlier call stay.
        """
        client = connect(self.tracking_uri)
        with one_line_errors(self.tracking_uri):
            found = client.search_runs([self.experiment_id], f"tags.`{KIND}` = 'sweep'")
            if found:
                return replace(self, parent_id=found[-1].info.run_id)
            tags = origin_tags() | {KIND: "sweep"}
            run = client.create_run(self.experiment_id, run_name=f"sweep {self.sweep}", tags=tags)
            parent_id = run.info.run_id
            if not parent_id or client.get_run(parent_id).data.tags.get(KIND) != "sweep":
                raise no_answer(self.tracking_uri, "it has no run under the id that it gave")
            log_batches(client, parent_id, params=as_params(facts))
            client.set_terminated(parent_id)
        return replace(self, parent_id=parent_id)

    def page(self) -> SweepPage | None:
        """What MLflow's pages show of the sweep as a whole; None before it has a run of its own
        (`with_parent`)."""
        own = self._own_run()
        if own is None:
            return None
        return SweepPage(
            tracking_uri=self.tracking_uri,
            experiment_id=self.experiment_id,
            key=self.key,
            parent_id=self.parent_id or own.store_run_id,
        )

    def driver(self) -> str:
        """What the process that drives the sweep has said of itself last; empty for none."""
        own = self._own_run()
        return own.tags.get(DRIVER, "") if own else ""

    def _own_run(self) -> Try | None:
        return next((one for one in self.tries() if one.tags.get(KIND) == "sweep"), None)

    def set_driver(self, driver: str) -> None:
        """Say who drives the sweep, on its parent run; see `with_parent`."""
        client = connect(self.tracking_uri)
        with one_line_errors(self.tracking_uri):
            client.set_tag(self.parent_id, DRIVER, driver)

    def states(self) -> dict[str, RunState]:
        """Where each run of the sweep that was ever started stands, by run id."""
        return {run_id: RunState(facts["status"]) for run_id, facts in self.facts().items()}

    def facts(self) -> dict[str, dict[str, Any]]:
        """What is known of each run that was ever started, by run id: records-table columns.

        A run that was started several times appears once: the finished try, else the latest, with
        the number of ``tries``. A tag ``scaling.excluded`` that a person sets in MLflow's pages
        makes a run ``excluded``, its value the reason.
        """
        found = {}
        for run_id, tries in self._by_run().items():
            one = try_that_counts(tries)
            tags, state = one.tags, state_of(one.tags)
            facts = {**one.record, "status": state, "tries": len(tries)}
            reason = tags.get(EXCLUDED) or tags.get(REASON)
            if reason:
                facts["reason"] = reason
            found[run_id] = facts
        return found

    def read_records(
        self, *, where: str | Sequence[str] = (), reading: "Reading | None" = None
    ) -> "Records":
        """Every run of the sweep as a records table, unfinished ones with their status.

        An experiment that the toolkit did not write is a table too: the params, last metrics and
        status of its runs, by their own names.
        """
        import pandas as pd

        from scaling.records import records_from_table
        from scaling.tables.reading import Reading

        rows = list(self.facts().values())
        is_ours = bool(rows)
        rows = rows or foreign_rows(self.tracking_uri, self.experiment_id)
        if not rows:
            raise StoreError(
                f'{without_credentials(self.tracking_uri)}: the sweep "{self.sweep}" has no runs '
                "yet; start it with: scaling run CONFIG"
            )
        table = pd.DataFrame(rows)
        if is_ours:  # its units are ours, however small the models
            how = reading or Reading()
            reading = replace(how, units={**dict.fromkeys(_SIZES, "1"), **how.units})
            if "loss" not in table:
                table["loss"] = math.nan
        return records_from_table(
            table, source=f"mlflow:{self.sweep}", where=where, reading=reading
        )

    def curves(
        self, metric: str = "train_loss", run_ids: Collection[str] | None = None
    ) -> "pd.DataFrame":
        """One metric's points: columns run_id, step and the metric's name, in that order.

        Of a run that was started several times, the try that counts; of all runs, or of some.
        """
        import pandas as pd

        tries = {
            try_that_counts(tries).store_run_id: run_id
            for run_id, tries in self._by_run().items()
            if run_ids is None or run_id in run_ids
        }
        points = pd.DataFrame(self._points(metric, tries), columns=["run_id", "step", metric])
        points["run_id"] = points["run_id"].map(tries)
        return points.sort_values(["run_id", "step"], kind="stable", ignore_index=True)

    def start_run(self, run_id: str, name: str, facts: Mapping[str, Fact]) -> "RunWriter":
        """Begin one run: its facts are on their way to the store before the first step is taken."""
        spool = Spool.create(self.spool_folder)
        record = {"run_id": run_id, "sweep": self.sweep, **facts}
        tags = origin_tags() | {RUN_ID: run_id, STATE: RunState.RUNNING}
        tags |= record_tags(record)
        if self.parent_id:
            tags[PARENT] = self.parent_id
        writer = RunWriter(spool, _shipper(self), record)
        writer.write({"op": "start", "name": name, "tags": tags, "params": as_params(facts)})
        return writer

    def replay(self) -> int:
        """Ship what processes that are gone left in this machine's spool; how many runs had more.

        Raises StoreError, in one line, while the store does not answer; nothing is lost by that.
        """
        send = sender(self.tracking_uri, self.experiment_id)
        count = 0
        for spool in left_behind(self.spool_folder):
            try:
                ship(spool, send)
            except Unavailable as error:
                spool.release()
                raise StoreError(
                    f"{without_credentials(self.tracking_uri)}: does not answer ({error}); runs "
                    f"wait in {spool.path.parent} and are sent by the next call"
                ) from error
            except StoreError as error:
                spool.refuse(error)
                tell(f"{error}; what it wrote is kept in {spool.path.with_suffix('.refused')}")
                continue
            spool.discard()
            count += 1
        return count

    def close_interrupted(
        self,
        run_ids: Collection[str] | None = None,
        reason: str = "its process is gone",
        state: RunState = RunState.INTERRUPTED,
    ) -> tuple[str, ...]:
        """Mark tries that are still marked running, but whose process is gone, as interrupted.

        Only the one driver of a sweep can know; of all runs, or of some. What they logged stays.
        Returns the ids of the runs.
        """
        gone = [
            (run_id, one.store_run_id)
            for run_id, tries in self._by_run().items()
            for one in tries
            if one.tags[STATE] == RunState.RUNNING and (run_ids is None or run_id in run_ids)
        ]
        client = connect(self.tracking_uri) if gone else None
        for _, store_run_id in gone:
            assert client is not None
            with one_line_errors(self.tracking_uri):
                tags = {STATE: state, REASON: without_secrets(reason)[:500]}
                log_batches(client, store_run_id, tags=tags)
                client.set_terminated(store_run_id, MLFLOW_STATUS.get(state, "FAILED"))
        return tuple(run_id for run_id, _ in gone)

    def add_facts(self, run_id: str, facts: Mapping[str, Fact], *, traceback: str = "") -> None:
        """Add to the record of a run that has ended; its end moves to now, so that readers look.

        ``traceback`` says what went wrong in finding the facts; it replaces an earlier one.
        """
        one = try_that_counts(self._by_run()[run_id])
        tags = traceback_tags(traceback) if traceback else {}
        record = {**one.record, **facts}
        if traceback or record.get("has_traceback"):
            record["has_traceback"] = bool(traceback)
        client, now = connect(self.tracking_uri), now_ms()
        with one_line_errors(self.tracking_uri):
            metrics = final_metrics(facts, now)
            tags |= record_tags(record)
            log_batches(client, one.store_run_id, metrics, tags=tags)
            status = client.get_run(one.store_run_id).info.status
            client.set_terminated(one.store_run_id, status, now)

    def replace_run(
        self, run_id: str, facts: Mapping[str, Fact], state: RunState, reason: str
    ) -> None:
        """Tell a run that has ended anew: another record, state and reason in place of its own."""
        one = try_that_counts(self._by_run()[run_id])
        record = {"run_id": run_id, "sweep": self.sweep, **facts}
        finished = state is RunState.FINISHED
        tags = {STATE: state.value, REASON: "" if finished else reason, **record_tags(record)}
        client, now = connect(self.tracking_uri), now_ms()
        with one_line_errors(self.tracking_uri):
            metrics = final_metrics(facts, now) if finished else []
            log_batches(client, one.store_run_id, metrics, tags=tags)
            status = MLFLOW_STATUS.get(state, "FAILED")
            client.set_terminated(one.store_run_id, status, now)

    def tracebacks(self, run_ids: Collection[str]) -> dict[str, str]:
        """The tracebacks of errors of ours that these runs keep, by run id; of those with one."""
        tries = {
            try_that_counts(t).store_run_id: r for r, t in self._by_run().items() if r in run_ids
        }
        kept = self._tags(tries, PREFIX)
        found = {run_id: traceback_of(kept.get(name, {})) for name, run_id in tries.items()}
        return {run_id: text for run_id, text in found.items() if text}

    def ask_to_settle(self, run_id: str, settlement: Settlement) -> None:
        """Ask the worker that trains this run, wherever it is, to end it as settled; nothing where
        it is not running any more."""
        one = try_that_counts(self._by_run()[run_id])
        if one.tags[STATE] == RunState.RUNNING:
            client = connect(self.tracking_uri)
            with one_line_errors(self.tracking_uri):
                client.set_tag(one.store_run_id, SETTLEMENT, settlement.to_json())

    def settlements(self, writers: Mapping[str, RunWriter]) -> dict[str, Settlement]:
        """What was asked of these runs, by run id: one cheap look, whatever the sweep's size."""
        names = {w.store_run_id: run_id for run_id, w in writers.items() if w.store_run_id}
        found = {}
        for name, kept in self._tags(names, SETTLEMENT).items():
            with suppress(ValueError, TypeError, RecursionError):  # it asks for nothing
                if SETTLEMENT in kept:
                    found[names[name]] = Settlement.from_json(kept[SETTLEMENT])
        return found

    def tries(self) -> list[Try]:
        """Everything in the experiment that carries our tags, latest first."""
        return read_tries(self.tracking_uri, self.experiment_id, self.key)

    def _by_run(self) -> dict[str, list[Try]]:
        """The tries of each run by its id, latest first."""
        return tries_by_run(self.tries(), without_credentials(self.tracking_uri))

    def _tags(self, runs: Iterable[str], prefix: str) -> dict[str, dict[str, str]]:
        """The tags of few runs whose key starts so, by MLflow id, past the cache."""
        if speaks_sql(self.tracking_uri):
            with or_slowly(self.tracking_uri):
                return run_tags(self.tracking_uri, self.experiment_id, prefix, list(runs))
        client = connect(self.tracking_uri)
        with one_line_errors(self.tracking_uri):
            return {run: client.get_run(run).data.tags for run in runs}

    def _points(self, metric: str, runs: Iterable[str]) -> list[tuple[str, int, float]]:
        if speaks_sql(self.tracking_uri):
            with or_slowly(self.tracking_uri):
                return curve_points(self.tracking_uri, metric, list(runs))
        client = connect(self.tracking_uri)
        with one_line_errors(self.tracking_uri):
            return [
                (run, point.step, point.value)
                for run in runs
                for point in client.get_metric_history(run, metric)
            ]


_SIZES = ("params", "tokens", "train_flops")
#: One thread a store in this process ships what its runs write.
_SHIPPERS: dict[tuple[int, str], Shipper] = {}


def _shipper(store: RunStore) -> Shipper:
    name = (os.getpid(), store.key)  # a forked child has no threads
    if name not in _SHIPPERS:
        _SHIPPERS[name] = Shipper(sender(store.tracking_uri, store.experiment_id))
    return _SHIPPERS[name]
