"""Past runs from a table into the run store, so that they join the same pages and reports."""

import hashlib
import json
from typing import Any

import pandas as pd

from scaling.records import Records
from scaling.store.run_state import RunState
from scaling.store.run_store import RunStore


def import_records(records: Records, store: RunStore) -> int:
    """Store every row that the store lacks as a run of the sweep; how many there were.

    Run it again and nothing happens: a row without a `run_id` is known by its content. Rows that
    say nothing of their status count as finished.
    """
    store = store.with_parent({"sweep": store.sweep, "imported_from": records.source})
    known = store.facts()
    count = 0
    for row in records.table.to_dict("records"):
        facts = {str(name): _plain(value) for name, value in row.items() if not _missing(value)}
        status = str(facts.pop("status", RunState.FINISHED))
        reason = str(facts.pop("reason", "imported as such"))
        run_id = str(facts.pop("run_id", "") or _identity(facts))
        if run_id in known:
            continue
        name = str(facts.get("name") or facts.get("Name") or run_id)
        facts.pop("sweep", None)
        writer = store.start_run(run_id, name, facts)
        if status == RunState.FINISHED:
            writer.finish(facts)
        else:
            kept = status in (RunState.DIVERGED, RunState.SETTLED)
            state = RunState(status) if kept else RunState.FAILED
            writer.fail(state, reason)
        count += 1
    return count


def _identity(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _plain(value: Any) -> Any:
    """A number or text that JSON knows, in place of numpy's."""
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, bool | int | float) else str(plain)
