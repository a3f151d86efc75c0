"""Where a sweep stands at this moment, drawn anew while it trains."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from analysis.dashboard import cache, charts, uploads
from analysis.dashboard.figures.ladder import cells_of, map_figure
from analysis.dashboard.figures.live_curves import curves_figure, runs_to_draw
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.page import Page, refused
from analysis.dashboard.parts import downloads
from analysis.dashboard.parts.answers import ahead, ahead_sentence
from analysis.dashboard.state import flag_field
from analysis.dashboard.words import facts, plain, sentence, table
from analysis.forecasting.unfinished_runs import RunningForecast
from analysis.plots.loss_curves import plot_loss_curves
from analysis.report.tables import state as state_tables
from analysis.report.tables.cells import Table
from analysis.text.numbers import amount_in_words, flops_in_words, hours_in_words, in_print
from analysis.text.tuning import gap_sentences, trend_sentences
from analysis.tuning.rungs import LadderHealth, ladder_health
from scaling.errors import ScalingError
from scaling.limits import LimitCode, texts
from scaling.records import Records
from scaling.words import counted

FIELDS = (flag_field("live", default=True), flag_field("health"))
MOST_REASONS = 20
OPEN = ("planned", "running", "interrupted", "failed")


def draw(page: Page) -> None:
    """The map of cells, the curves, what is left, and what went wrong."""
    st.title(plain(uploads.name_of(page.source)))
    live = bool(page.state["live"])
    looks: list[Standing | None] = []
    st.fragment(_watched, run_every=cache.REFRESH_SECONDS if live else None)(page, looks)
    for look in filter(None, looks):
        _standing(page, look)
    st.toggle(f"Look again every {cache.REFRESH_SECONDS:g} s", **page.bind("live"))
    st.toggle("Health of every rung", **page.bind("health"))
    if page.state["health"]:
        _health(page)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One look at a sweep, which all of its viewers share."""

    ledger: Mapping[str, Any] | None
    records: Records | None
    outlooks: Mapping[str, RunningForecast]
    cells: pd.DataFrame
    content: str
    """What it holds: a look that holds the same is not drawn again."""

    @property
    def lines(self) -> dict[str, str]:
        """Where running runs are heading, by run id."""
        return {run_id: found.line for run_id, found in self.outlooks.items()}


def _watched(page: Page, looks: list[Standing | None]) -> None:
    """Look at the sweep; once there is a first look, draw the page anew where a later one differs:
    viewers share one look, and nobody draws again what is on his page."""
    st.session_state["told"] = set()
    look: Standing | None = None
    try:
        look = _look(replace(page))  # with runs of this moment
    except ScalingError as error:
        refused(error)
    if not looks:
        looks.append(look)
    elif _content(look) != _content(looks[0]):
        st.rerun()


def _content(look: Standing | None) -> str:
    return "" if look is None else look.content


def _look(page: Page) -> Standing:
    ledger = _asked(page, "ledger", page.feeds.ledger)
    records = _records(page, ledger)
    outlooks = _asked(page, "outlooks", page.feeds.outlooks) or {}
    seen: Standing = cache.built(_seen, ledger, records, outlooks)
    return seen


def _seen(
    ledger: Mapping[str, Any] | None,
    records: Records | None,
    outlooks: Mapping[str, RunningForecast],
) -> Standing:
    cells = cells_of(ledger, records)
    held = (cells, records, [found.line for found in outlooks.values()], _left(ledger))
    content = cache.content_of(held)
    return Standing(ledger=ledger, records=records, outlooks=outlooks, cells=cells, content=content)


def _standing(page: Page, look: Standing) -> None:
    """What changes while a sweep trains."""
    cells, records = look.cells, look.records
    facts([*_counts(cells), *_left(look.ledger)])
    _map(look)
    _curves(page, look)
    planned = look.ledger is not None
    st.markdown(what_next(dict(Counter(cells["state"])), planned=planned))
    if records is not None:
        st.markdown(sentence(ahead_sentence(page, ahead(page, records))))
    _reasons(cells)
    if records is not None:
        with st.expander("Every run"):
            table(cache.built(state_tables.standing_table, records, look.lines))
        downloads.offer("runs", table=records.table)


def _asked(page: Page, what: str, feed: Callable[[str], Any]) -> Any:
    return page.known(what, page.source, page.source, lambda: feed(page.source)).value


def _records(page: Page, ledger: Mapping[str, Any] | None) -> Records | None:
    """The runs that there are; none of a sweep that has a plan and has not begun."""
    try:
        return page.records
    except ScalingError:
        if ledger is None:
            raise
        return None


def _counts(cells: pd.DataFrame) -> list[tuple[str, str]]:
    return [(state, f"{count:,}") for state, count in Counter(cells["state"]).most_common()]


def _left(ledger: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Time and cost so far and to come, as `scaling status` tells them."""
    if ledger is None:
        return []
    told = []
    if ledger["device_hours_spent"]:
        spent = _hours_and_money(ledger, "spent")
        told.append(("spent, device time", spent))
    if ledger["flops_left"]:
        told += [
            ("left", hours_in_words(ledger["wall_seconds_left"] / 3600)),
            ("left, device time", _hours_and_money(ledger, "left")),
            ("left, FLOP", flops_in_words(ledger["flops_left"])),
        ]
    return told


def _hours_and_money(ledger: Mapping[str, Any], which: str) -> str:
    hours, paid = ledger[f"device_hours_{which}"], ledger[f"money_{which}"]
    told = hours_in_words(hours)
    return told if paid is None else f"{told}, {amount_in_words(paid)} {ledger['currency']}"


def _map(look: Standing) -> None:
    drawn = cache.built(map_figure, look.cells, look.lines)
    if drawn is None:
        st.caption("No map: no run has both a size (params) and tokens.")
        return
    charts.show(drawn, "ladder", "Every run by tokens and parameters, coloured by its state")
    downloads.offer("ladder", draw=partial(draw_on, drawn))


def _curves(page: Page, look: Standing) -> None:
    """The curves of some runs, the running ones first."""
    cells = look.cells
    chosen = cache.built(runs_to_draw, cells)
    ids = tuple(chosen["run_id"])
    if not ids:
        return
    known = page.known(
        "curves", page.source, (page.source, ids), lambda: page.feeds.curves(page.source, ids)
    )
    curves = known.value
    if curves is None or not len(curves):
        return
    drawn = cache.built(curves_figure, curves, chosen, look.outlooks)
    charts.show(drawn, "curves", "Training loss against steps; dotted, where running runs head")
    st.caption(
        f"{counted(curves['run_id'].nunique(), 'curve')} of {counted(len(cells), 'run')}: those "
        "that train, and ended ones to compare with; held-out runs are not drawn."
    )
    begun = curves[curves["step"] > 0]
    downloads.offer("curves", draw=lambda ax: plot_loss_curves(begun, ax=ax), table=curves)


def what_next(counts: Mapping[str, int], *, planned: bool) -> str:
    """What these states ask a person to do."""
    total, running = sum(counts.values()), counts.get("running", 0)
    lost = counts.get("failed", 0) + counts.get("diverged", 0)
    open_runs = sum(counts.get(state, 0) for state in OPEN)
    if not total:
        return "No run yet: `scaling run CONFIG` starts them."
    if lost == total:
        return (
            "Every run failed or diverged, so nothing can be forecast. Read the reasons below, "
            "mend the cause (`scaling status CONFIG --tracebacks`, `scaling check CONFIG`), and "
            "`scaling run CONFIG` tries failed runs again."
        )
    if running:
        verb = "trains" if running == 1 else "train"
        return f"{counted(running, 'run')} of {total:,} {verb} at this moment."
    if open_runs and planned:
        are = "is" if open_runs == 1 else "are"
        return (
            f"Nothing trains at this moment, and {counted(open_runs, 'run')} of {total:,} {are} "
            "left: `scaling run CONFIG` goes on."
        )
    if lost:
        return f"{counted(lost, 'run')} of {total:,} failed or diverged; the reasons are below."
    return "All runs are done: the page Forecast says what larger ones would reach."


def _reasons(cells: pd.DataFrame) -> None:
    """What went wrong, each reason once, with tracebacks where runs keep them."""
    told = cells[(cells["reason"] != "") & (cells["state"] != "running")]
    if told.empty:
        return
    groups = told.groupby(["state", "reason"], sort=False)["name"].agg(list)
    ordered = sorted(groups.items(), key=lambda one: -len(one[1]))
    rows = [
        (str(len(runs)), state, reason, ", ".join(runs[:3]) + ", ..." * (len(runs) > 3))
        for (state, reason), runs in ordered[:MOST_REASONS]
    ]
    hidden = len(ordered) - len(rows)
    note = f"{counted(hidden, 'more reason')}." if hidden else ""
    table(Table(head=("Runs", "State", "Reason", "For example"), rows=tuple(rows), note=note))
    for text in dict.fromkeys(text for text in cells["traceback"] if text):
        with st.expander("Traceback"):
            st.code(text, language=None)


def _health(page: Page) -> None:
    """Is each rung trained equally well, and what do fits make of it?"""
    found: LadderHealth | None = page.ask(
        _ladder_health, page.records, page.source, page.feeds.curves
    )
    if found is None:
        return
    table(state_tables.health_table(found))
    told = [
        *state_tables.health_reasons(found),
        *gap_sentences(found),
        *trend_sentences(found),
    ]
    told += texts(found.limits, without=(LimitCode.NO_TREND,))  # which the trend's sentence says
    st.markdown("\n".join(f"- {sentence(in_print(text))}" for text in told))


def _ladder_health(
    records: Records, source: str, curves: Callable[[str, None], pd.DataFrame | None]
) -> LadderHealth:
    """As `scaling health` answers."""
    return ladder_health(records, curves(source, None))
