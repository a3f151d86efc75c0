"""What changed since a viewer began to look: runs that landed, and what they did to an answer."""

import time
from dataclasses import dataclass, replace
from datetime import datetime

import streamlit as st

from analysis.dashboard import cache
from analysis.dashboard.page import Page
from analysis.dashboard.words import plain
from analysis.forecasting.answer.result import TargetForecast
from analysis.intervals import interval_at, telling_digits
from analysis.text.numbers import loss_in_words, percent_in_words
from scaling.errors import ScalingError
from scaling.records import Records
from scaling.words import counted

_MOST_NAMED = 5
_MOST_SOURCES = 20


@dataclass(frozen=True)
class Before:
    """The runs of a source as a viewer first saw them."""

    records: Records
    at: float  # seconds since 1970


def before(page: Page) -> Before | None:
    """The runs of the page's source as this viewer first saw them, read and filtered as now; None
    where they are still the same."""
    seen: dict[object, Before] = st.session_state.setdefault("seen", {})
    read_as = (page.source, page.where, tuple(page.columns.items()))
    first = seen.get(read_as)
    if first is None:
        if len(seen) >= _MOST_SOURCES:
            seen.pop(next(iter(seen)))
        seen[read_as] = Before(page.records, time.time())
        return None
    return None if first.records.data_hash == page.records.data_hash else first


def from_now_on(page: Page) -> None:
    """Compare with what there is now."""
    read_as = (page.source, page.where, tuple(page.columns.items()))
    st.session_state.setdefault("seen", {})[read_as] = Before(page.records, time.time())


def watch(page: Page) -> None:
    """Draw the page anew when the runs of its source have changed."""
    st.fragment(_look, run_every=cache.REFRESH_SECONDS)(page)


def _look(page: Page) -> None:
    try:
        now = replace(page).records.data_hash
    except ScalingError:  # the page itself tells, when it is drawn again
        return
    if now != page.records.data_hash:
        st.rerun()


def landed(first: Records, now: Records) -> list[str]:
    """The names of the finished runs that were not finished before."""
    known = set(first.finished.row_names)
    return [name for name in now.finished.row_names if name not in known]


def show_change(
    page: Page, first: Before, was: TargetForecast | None, now: TargetForecast | None
) -> None:
    """The runs that landed, and the answer before and after them."""
    new = landed(first.records, page.records)
    named = ", ".join(new[:_MOST_NAMED]) + (", ..." if len(new) > _MOST_NAMED else "")
    since = datetime.fromtimestamp(first.at).strftime("%H:%M:%S")
    runs = f"{counted(len(new), 'run')} landed ({named})" if new else "the table changed"
    told = f"Since {since}: {runs}."
    if was is not None and now is not None:
        told += f" {difference(was, now, page.level)}"
    with st.container(border=True):
        st.markdown(f"**What changed.** {plain(told)}")
        if st.button("Compare with this from now on", type="tertiary", key="from now on"):
            from_now_on(page)
            st.rerun()


def difference(was: TargetForecast, now: TargetForecast, level: float) -> str:
    """How an answer differs from an earlier one, in a sentence."""
    widths = [_width(target, level) for target in (was, now)]
    width = (
        f"the {100 * level:g}% interval is {percent_in_words(widths[1])} wide, it was "
        f"{percent_in_words(widths[0])}"
    )
    if was.median is None or now.median is None:
        first = "had no median" if was.median is None else f"was {loss_in_words(was.median)}"
        last = "has none" if now.median is None else f"is {loss_in_words(now.median)}"
        return f"The forecast {first} and {last}; {width}."
    ends = [interval_at(target.intervals, level) for target in (was, now)]
    digits = max(telling_digits(t.median, [e], 4) for t, e in zip((was, now), ends, strict=True))
    moved = 100 * (now.median / was.median - 1)
    inside = ends[0].low <= now.median <= ends[0].high
    return (
        f"The forecast went from {loss_in_words(was.median, digits)} to "
        f"{loss_in_words(now.median, digits)} ({percent_in_words(moved, signed=True)}), "
        f"{'inside' if inside else 'OUTSIDE'} the interval of before; {width}."
    )


def _width(target: TargetForecast, level: float) -> float:
    """The width of an interval in percent of its low end."""
    low, high = interval_at(target.in_meaningful_digits().intervals, level)
    return float(100 * (high / low - 1))
