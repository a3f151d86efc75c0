"""What Streamlit runs to draw the dashboard: it ties the pages to files and to the run store.

`scaling dashboard` starts it, with one JSON document of what was asked for as its argument.
"""

import json
import os
import sys
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scaling.cli.inputs import curves_of
from scaling.cli.verbs.answers.seals import seal_standings
from scaling.cli.verbs.pages.dashboard import (
    ledger_of,
    offer_of,
    outlooks_of,
    stored_sweeps,
    sweep_changed_at,
)
from scaling.laws.written.law_file import read_laws
from scaling.sources import STORED, records_from
from scaling.tables.reading import Reading

if TYPE_CHECKING:
    from analysis.dashboard.feeds import Feeds
    from scaling.laws.written.formula import Formula
    from scaling.records import Records


def feeds_of(request: Mapping[str, Any]) -> "Feeds":
    """The data of these sources, or of all sweeps of the run store where none is named."""
    from analysis.dashboard.feeds import Feeds

    named, how = request["sources"], Reading(**request["reading"])

    def load(source: str, *, columns: Mapping[str, str], where: Sequence[str]) -> "Records":
        asked = (*request["where"], *where)
        return records_from(source, where=asked, reading=how.with_columns(columns))

    return Feeds(
        sources=(lambda: named) if named else stored_sweeps,
        load=load,
        fingerprint=fingerprint_of,
        changed=changed_at,
        curves=curves_of,
        outlooks=outlooks_of,
        seals=seal_standings,
        ledger=ledger_of,
        offer=offer_of,
        laws=_laws_of(request["laws"]) if request.get("laws") else {},
    )


@lru_cache(maxsize=1)
def _laws_of(path: str) -> "Mapping[str, Formula]":
    """The laws of a file, as they were when the server began."""
    return read_laws(path)


def fingerprint_of(source: str) -> Hashable:
    """What changes when a file does; None of a sweep, whose store has to be asked."""
    if source.startswith(STORED):
        return None
    try:
        found = os.stat(source)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def changed_at(source: str) -> float | None:
    """When a table was written, or a run of a sweep began or ended, seconds since 1970."""
    if source.startswith(STORED):
        return sweep_changed_at(source.removeprefix(STORED))
    try:
        return os.stat(source).st_mtime
    except OSError:
        return None


def draw(request: Mapping[str, Any]) -> None:
    """The pages for these sources."""
    from analysis.dashboard.app import show_dashboard

    show_dashboard(feeds_of(request))


if __name__ == "__main__":
    draw(json.loads(sys.argv[1]))
