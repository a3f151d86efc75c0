"""Which of the stored tries can be read: the others are named, once, and left out.

A try is ours when it carries one of our tags. It must say which run it is, where that stands, and
what is known of it: a JSON document of that run, with the digest of its own text. Records of a
version that wrote no digest are held to the kinds of their columns.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scaling.store.connection.digests import DamagedError, digest_of, without_digest
from scaling.store.connection.notices import tell
from scaling.store.one_run.run_state import RANK, RECORD, RUN_ID, STATE
from scaling.store.tags.cache import Try

_NUMBERS = ("params", "tokens", "steps", "train_flops", "loss", "wall_seconds")


def readable(tries: Iterable[Try], place: str) -> list[Try]:
    """The tries of runs, each with its record; what cannot be read is said, by its MLflow id."""
    found = []
    for one in tries:
        try:
            if not {RUN_ID, RECORD, STATE}.isdisjoint(one.tags):
                found.append(replace(one, record=_record(one.tags)))
        except DamagedError as error:
            tell(
                f"{place}: the run of MLflow id {one.store_run_id} cannot be read and is left out: "
                f"{error}; `scaling run` trains it again"
            )
    return found


def record_text(tags: Mapping[str, str]) -> str:
    """The record that the tags keep, of a run whose table has many columns in several: it goes on
    until it carries its digest. Empty where they keep none."""
    text, number = tags.get(RECORD, ""), 1
    while not digest_of(text) and (more := tags.get(f"{RECORD}.{number:02}")):
        text, number = text + more, number + 1
    return text


def _record(tags: dict[str, str]) -> dict[str, Any]:
    for name in (RUN_ID, RECORD, STATE):
        if not tags.get(name):
            raise DamagedError(f"it has no {name}")
    if tags[STATE] not in RANK:
        raise DamagedError(f'its {STATE} is "{tags[STATE][:20]}"')
    run_id, text = tags[RUN_ID], record_text(tags)
    if digest_of(text):
        try:
            return without_digest(text, run_id)
        except DamagedError as error:
            raise DamagedError(f"its {RECORD} is damaged") from error
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"its {RECORD} is no JSON") from error
    if not isinstance(record, dict) or record.get("run_id") != run_id:
        raise DamagedError(f"its {RECORD} is not that of run {run_id[:40]}")
    kinds = {name: record[name] for name in _NUMBERS if record.get(name) is not None}
    if wrong := [name for name, value in kinds.items() if type(value) not in (int, float)]:
        raise DamagedError(f"its {wrong[0]} is no number")
    return record
