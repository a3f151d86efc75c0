"""Past runs from a table into the run store, so that they join the same pages and reports."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scaling.columns import COLUMNS
from scaling.errors import RecordError, StoreError
from scaling.records import Records
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from scaling.tables.cells.statuses import unknown_words
from scaling.tables.notes import quoted
from scaling.words import counted

#: The fact of a run that tells it from one that was trained here: the table that it came from.
IMPORTED = "imported_from"
_AS_SUCH = "imported as such"


@dataclass(frozen=True)
class Imported:
    """What became of the rows of a table."""

    new: int
    updated: int  # runs of an earlier import that this one tells better
    unchanged: int
    by_status: Mapping[str, int]
    unmapped: tuple[str, ...]  # columns that are kept under the table's own names

    @property
    def line(self) -> str:
        """The outcome in one line."""
        statuses = ", ".join(f"{count} {status}" for status, count in self.by_status.items())
        runs = f"{counted(self.new, 'run')} joined"
        again = [(self.updated, "updated"), (self.unchanged, "unchanged")]
        parts = [runs, *(f"{count} {word}" for count, word in again if count)]
        return f"{', '.join(parts)} ({statuses})"


def import_records(records: Records, store: RunStore) -> Imported:
    """Store every row as a run of the sweep; a run of an earlier import is brought up to date.

    A row without a `run_id` is known by its cells as the table has them, so that other
    ``--columns`` find the same run again. Rows that say nothing of their status count as finished.
    Raises RecordError for words that are no status and for a table without a loss, before anything
    is stored, and for runs that were trained here, which a table does not overwrite; StoreError
    where the store does not keep them.
    """
    if unknown := unknown_words(records.status):
        raise RecordError(
            f"{records.source}: status {quoted(unknown)} is no word for how a run ended; write "
            "finished, failed, diverged or running, or leave the rows out with --where"
        )
    records.require("loss")
    records.require_clear("params", "tokens", "train_flops")
    store = store.with_parent({"sweep": store.sweep, IMPORTED: records.source})
    store.replay()  # what an earlier import could not send
    known = store.facts()
    rows = list(zip(_identities(records), _facts(records), strict=True))
    ours = [name for name, _ in rows if name in known and IMPORTED not in known[name]]
    if ours:
        raise RecordError(
            f"{records.source}: run {ours[0]} of {store.sweep} was not imported but trained; "
            "import into a sweep of another name"
        )
    counts: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for run_id, facts in rows:
        status, reason = facts.pop("status"), str(facts.pop("reason", _AS_SUCH))
        statuses[status] += 1
        if run_id not in known:
            _store(store, run_id, facts, status, reason)
            counts["new"] += 1
        elif _same(known[run_id], facts, status):
            counts["unchanged"] += 1
        else:
            store.replace_run(run_id, facts, _state(status), reason)
            counts["updated"] += 1
    _require_stored([run_id for run_id, _ in rows], store)
    if (page := store.page()) is not None:
        page.describe(
            f"Runs imported from {records.source} for scaling laws. The plus sign at *sweep "
            f"{store.sweep}* opens them; `final.loss` is their loss.",
            "The sweep as a whole: how many of its runs have finished, and the best loss.",
        )
        page.log_progress([name for name, _ in rows])
    unmapped = [c for c in map(str, records.table.columns) if c not in (*COLUMNS, "name", "Name")]
    return Imported(
        counts["new"], counts["updated"], counts["unchanged"], dict(statuses), tuple(unmapped)
    )


def _require_stored(run_ids: Sequence[str], store: RunStore) -> None:
    """Read the runs back, whatever the store has said of each."""
    states = store.states().items()
    stored = {run_id for run_id, state in states if state.has_ended or state.is_final}
    if missing := [run_id for run_id in run_ids if run_id not in stored]:
        raise StoreError(
            f"{counted(len(missing), 'run')} of {len(run_ids)} cannot be found in the run store, "
            f"first {missing[0]}; kept in {store.spool_folder}: mend the store, and import again"
        )


def _store(store: RunStore, run_id: str, facts: dict[str, Any], status: str, reason: str) -> None:
    name = str(facts.get("name") or facts.get("Name") or run_id)
    writer = store.start_run(run_id, name, facts)
    if status == RunState.FINISHED:
        writer.finish(facts)
    else:
        writer.fail(_state(status), reason)


def _state(status: str) -> RunState:
    kept = (RunState.FINISHED, RunState.DIVERGED, RunState.SETTLED, RunState.INTERRUPTED)
    return RunState(status) if status in kept else RunState.FAILED


def _same(known: Mapping[str, Any], facts: Mapping[str, Any], status: str) -> bool:
    """Whether the store knows a run as this row tells it; a JSON round trip is no difference."""
    told = json.loads(json.dumps(dict(facts), default=str))
    apart = ("status", "reason", "tries", "run_id", "sweep", IMPORTED)
    kept = {name: value for name, value in known.items() if name not in apart}
    told = {name: value for name, value in told.items() if name not in apart}
    return kept == told and known["status"] in (_state(status), RunState.EXCLUDED)


def _facts(records: Records) -> list[dict[str, Any]]:
    """The columns of each row that are not blank, with its status and where it comes from."""
    table = records.table.drop(columns=[c for c in ("sweep", "run_id") if c in records])
    kind = {"loss_kind": records.loss_kind} if records.loss_kind else {}
    rows = []
    for row, status in zip(table.to_dict("records"), records.status, strict=True):
        facts = {str(name): _plain(value) for name, value in row.items() if not _missing(value)}
        rows.append({**facts, **kind, "status": status, IMPORTED: records.source})
    return rows


def _identities(records: Records) -> list[str]:
    """A name a row: its run id, or else a hash of its cells to the letter."""
    raw = records.table if records.raw is None else records.raw.loc[records.table.index]
    text = raw.astype(object).map(str)
    hashed = pd.util.hash_pandas_object(text, index=False)
    names = [f"{value:016x}" for value in hashed]
    if "run_id" not in records:
        return names
    return [
        name if _missing(own) or not str(own).strip() else str(own)
        for name, own in zip(names, records.table["run_id"], strict=True)
    ]


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _plain(value: Any) -> Any:
    """A number or text that JSON knows, in place of numpy's."""
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, bool | int | float) else str(plain)
