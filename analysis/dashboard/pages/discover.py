"""Which laws the runs follow in any columns, ranked by how they extrapolate."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from analysis.dashboard import cache, charts
from analysis.dashboard.figures.found_forms import forms_figure
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.page import FORMULA, Page
from analysis.dashboard.parts import downloads
from analysis.dashboard.parts.blocks import show_blocks
from analysis.dashboard.parts.heading import heading
from analysis.dashboard.state import choose, flag_field, several_field, text_field
from analysis.dashboard.words import facts, plain, sentence
from analysis.discovery.discover import discover
from analysis.discovery.result import Discovery, PointPrediction
from analysis.intervals import interval_at
from analysis.report.words.decision import told_loss
from analysis.report.words.summary import NOT_SUPPORTED
from analysis.text.discovery import discovery_blocks
from analysis.text.numbers import percent_in_words
from scaling.errors import ScalingError
from scaling.records import Records
from scaling.tables.cells.numbers import number
from scaling.tables.notes import printable

FIELDS = (
    several_field("input"),
    text_field("by"),
    several_field("along"),
    several_field("point"),
    flag_field("search"),
)
NO_GROUPS = ""
MOST_GROUPS = 20  # values of a column that may tell groups apart
MOST_COLUMNS = 200


def draw(page: Page) -> None:
    """The question, and behind a button its answer: forms, and what they say of a point."""
    heading("Discover", page)
    records = page.records
    inputs, groups = columns_to_search(records), columns_of_groups(records)
    if not inputs:
        st.info("No column of numbers that differ from run to run: there is nothing to search in.")
        return
    place = st.container()
    asked = _question(page, inputs, groups)
    if not asked:
        st.caption("Name the columns in which a law is sought; the loss is what it predicts.")
        return
    point = _point(page, asked)
    if not page.state["search"]:
        bound = page.bind("search")
        how = {"on_click": _search, "args": (page, bound["key"]), "key": "search"}
        st.button("Search (a minute at most)", type="primary", **how)
        return
    found: Discovery | None = page.ask(
        discover,
        records,
        asked,
        by=page.state["by"] or None,
        along=[name for name in page.state["along"] if name in asked],
        at=point,
        confidence_levels=(page.level,),
    )
    if found is None:
        return
    drawn = None
    if found.forms:
        drawn = cache.built(forms_figure, found)
        with place:
            charts.show(drawn, "forms", "Error of each form where runs were hidden")
    _answer(page, found)
    downloads.offer(
        "discovery",
        draw=None if drawn is None else partial(draw_on, drawn),
        table=found.to_frame(),
        document=found.to_json,
    )


def columns_to_search(records: Records) -> list[str]:
    """Columns of numbers that differ from run to run, the loss aside."""
    table = records.table
    numbers = table.select_dtypes("number")
    return [
        str(name)
        for name in numbers.columns[:MOST_COLUMNS]
        if name not in ("loss", "loss_stderr", "held_out") and numbers[name].nunique() > 1
    ]


def columns_of_groups(records: Records) -> list[str]:
    """Columns that put the runs into a few groups of several runs each."""
    table = records.table
    most = min(MOST_GROUPS, len(table) // 2)
    return [
        str(name)
        for name in table.columns[:MOST_COLUMNS]
        if name not in ("loss", "status", "held_out") and 1 < table[name].nunique() <= most
    ]


def _question(page: Page, inputs: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The widgets of the question; the inputs that were chosen."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    left.multiselect("Inputs", inputs, format_func=printable, **_several(page, "input", inputs))
    bound = page.bind("by")
    if page.state["by"] not in groups:
        st.session_state[bound["key"]] = NO_GROUPS
    right.selectbox(
        "Constants of their own for each",
        [NO_GROUPS, *groups],
        format_func=lambda name: printable(name) or "no groups",
        **bound,
    )
    asked = [name for name in page.state["input"] if name in inputs]
    if len(asked) > 1:
        st.multiselect(
            "Will be extrapolated along",
            asked,
            format_func=printable,
            placeholder="where the point below lies beyond the runs, or every input",
            **_several(page, "along", asked),
        )
    return asked


def _several(page: Page, name: str, offered: Sequence[str]) -> dict[str, Any]:
    """What ties a widget of several values to the address, without those that there are not."""
    bound = page.bind(name)
    st.session_state[bound["key"]] = [one for one in page.state[name] if one in offered]
    if gone := [printable(one) for one in page.state[name] if one not in offered]:
        st.warning(plain(f"{', '.join(gone)}: not among the columns to choose from; passed over"))
    return bound


def _point(page: Page, asked: Sequence[str]) -> pd.DataFrame | None:
    """The point to predict, once it has a value for every input (and a group)."""
    pairs = dict(text.partition("=")[::2] for text in page.state["point"])
    by = page.state["by"]
    wanted = [*asked, *([by] if by else [])]
    for place, name in zip(st.columns(len(wanted)), wanted, strict=True):
        key = f"point {name}"
        if st.session_state.get(key) != pairs.get(name, ""):
            st.session_state[key] = pairs.get(name, "")
        place.text_input(
            f"Predict at {printable(name)}", key=key, on_change=_placed, args=(page, name, key)
        )
    given = {name: pairs[name] for name in wanted if pairs.get(name)}
    if len(given) < len(wanted):
        return None
    try:
        row = {name: number(text) if name in asked else text for name, text in given.items()}
    except ScalingError as error:
        st.error(plain(str(error)))
        return None
    return pd.DataFrame([row])


def _placed(page: Page, name: str, key: str) -> None:
    """A coordinate of the point was written: the address says so."""
    pairs = dict(text.partition("=")[::2] for text in page.state["point"])
    pairs[name] = st.session_state[key].strip()
    texts = tuple(f"{column}={value}" for column, value in pairs.items() if value)
    choose(page.state.fields["point"], texts)


def _search(page: Page, key: str) -> None:
    choose(page.state.fields["search"], True)
    st.session_state[key] = True


def _answer(page: Page, found: Discovery) -> None:
    facts(tiles(found, page.level))
    best = found.forms[0] if found.forms else None
    if best is not None:
        st.code(best.equation, language=None)
        said = (
            "Hidden runs set this form apart from the others."
            if found.winner
            else "The form that hidden runs speak for most; they do not set it apart from the "
            "others, so read the predictions and not the formula."
        )
        st.caption(said)
        _use(page, found)
    show_blocks(discovery_blocks(found)[1:])


def tiles(found: Discovery, level: float) -> list[tuple[str, str]]:
    """The prediction, and what the search found, in a few facts."""
    told = []
    for prediction in found.predictions[:1]:
        told += _predicted(prediction, level)
    if not found.claimed:
        return [*told, ("Law", "none is claimed")]
    told.append(("Forms that take part", f"{len(found.forms)} of {found.forms_fitted:,} fitted"))
    if found.skill is not None:
        told.append(("Squared error spared", percent_in_words(100 * found.skill)))
    return told


def _predicted(prediction: PointPrediction, level: float) -> list[tuple[str, str]]:
    interval = interval_at(prediction.intervals, level) if prediction.intervals else None
    if prediction.median is None or interval is None:
        span = "" if interval is None else f"{interval.low:.3g} to {interval.high:.3g}"
        rest = [(f"{100 * level:g}% interval", span)] if span else []
        return [("Prediction", NOT_SUPPORTED), *rest]
    value, *ends = told_loss(prediction.median, interval)
    return [("Prediction", value), (f"{100 * level:g}% interval", " to ".join(ends))]


def _use(page: Page, found: Discovery) -> None:
    """Take the first form along as the law of the other pages, where an address can say it."""
    best = found.forms[0]
    if best.negative or found.by:
        why = "constants below zero" if best.negative else "constants for each group"
        st.caption(
            sentence(f"it has {why}, so another page takes it from a file: `--laws FILE.yaml`")
        )
        return
    if st.button("Use it as the law of the other pages", type="tertiary", key="use the form"):
        choose(page.state.fields["law"], FORMULA)
        choose(page.state.fields["formula"], best.formula)
        st.rerun()
