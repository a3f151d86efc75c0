"""A budget that a viewer moves: a field and a slider, in FLOP, device hours or money."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from analysis.dashboard.page import Page
from analysis.dashboard.state import Field, choice_field, choose
from analysis.dashboard.words import plain
from analysis.decisions.money import Hardware, budget_of_hours, plan_budgets
from analysis.forecasting.reach import Reach
from analysis.report.words.places import x_in_words
from analysis.text.numbers import amount_in_words
from scaling.inputs.amounts import Multiple
from scaling.inputs.amounts import budget as read_budget

FLOP, HOURS, MONEY = "FLOP", "device hours", "money"
TEN_TIMES = "10x"
_STEPS_A_DECADE, _MOST_STEPS = 20, 160


def budget_field(name: str, default: str) -> Field:
    """A budget as people write it: 1e21, or 10x for times the largest run."""

    def read(text: str) -> str:
        asked = read_budget(text)
        value = asked.factor if isinstance(asked, Multiple) else asked
        if not (np.isfinite(value) and value > 0):
            raise ValueError("give a finite number above zero")
        return text

    return Field(name=name, read=read, default=default)


def in_flops(text: str, largest: float) -> float:
    """A budget as written, in FLOP (or in the column that forecasts run along)."""
    asked = read_budget(text)
    return asked.factor * largest if isinstance(asked, Multiple) else asked


FIELDS = (budget_field("budget", TEN_TIMES), choice_field("unit", (FLOP, HOURS, MONEY), FLOP))


def asked_budget(page: Page, reach: Reach, means: Hardware | None) -> float | None:
    """The budget of the fields in FLOP, drawn with its field and slider; None where what was said
    of devices does not tell it, and that line stands on the page."""
    unit, text = page.state["unit"], page.state["budget"]
    asked = read_budget(text)
    _fields(page)
    if unit == MONEY and (means is None or means.price is None):
        st.info("Say what an hour of a device costs under *Devices and prices*.")
        return None
    if unit == FLOP:
        budget = in_flops(text, reach.largest)
        _slider(page, steps_between(reach.smallest, reach.furthest), budget, in_words(reach.column))
        return budget
    rate = means.price.per_device_hour if unit == MONEY and means and means.price else 1.0
    ends = _hours_of(page, reach, means)
    if ends is None:
        return None
    if isinstance(asked, Multiple):
        flops: float | None = asked.factor * reach.largest
        planned = _planned(page, (asked.factor * reach.largest,), means)
        hours = planned[0] if planned else None
    else:
        hours = asked / rate
        flops = page.ask(
            budget_of_hours, page.records, hours, hardware=_plain(means), options=page.options
        )
    if hours is not None:
        low, high = (end * rate for end in ends)
        _slider(page, steps_between(low, high), hours * rate, _amounts(unit, means))
    return flops


def in_words(column: str) -> Callable[[float], str]:
    """How a value of the column is written on a slider."""
    return lambda value: x_in_words(value, column, spelt_out=False)


def _amounts(unit: str, means: Hardware | None) -> Callable[[float], str]:
    currency = means.price.currency if unit == MONEY and means and means.price else ""
    name = currency if unit == MONEY else "device hours"
    return lambda value: f"{amount_in_words(value)} {name}".rstrip()


def _fields(page: Page) -> None:
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    left.text_input(
        "Budget",
        help="1e21, or 10x for ten times the largest run",
        **page.bind("budget"),
    )
    bound = page.bind("unit")
    fields = [page.state.fields[name] for name in ("unit", "budget")]
    bound |= {"on_change": _other_unit, "args": (*fields, bound["key"])}
    right.selectbox("in", (FLOP, HOURS, MONEY), **bound)


def slide(page: Page, name: str, reach: Reach, value: float) -> None:
    """A slider of a field along the column of a forecast, up to where it is supported."""
    _slider(
        page, steps_between(reach.smallest, reach.furthest), value, in_words(reach.column), name
    )


def _slider(
    page: Page,
    steps: Sequence[float],
    value: float,
    written: Callable[[float], str],
    name: str = "budget",
) -> None:
    """The slider beside a field: it writes what it shows, and shows what is written there."""
    by_label = {written(step): step for step in steps} | {written(value): value}
    options = sorted(by_label.values())  # the browser knows them by their labels
    key = f"slide {name}"
    st.session_state[key] = value
    st.select_slider(
        "Move it as far as the runs carry a forecast",
        options,
        format_func=written,
        key=key,
        on_change=_moved,
        args=(page.state.fields[name], key),
        label_visibility="collapsed",
    )
    if value > steps[-1] * (1 + 1e-6):
        st.caption(plain(f"The runs carry a forecast to {written(steps[-1])}; this lies beyond."))


def _moved(field: Field, key: str) -> None:
    choose(field, f"{st.session_state[key]:.10g}")


def _other_unit(unit: Field, budget: Field, key: str) -> None:
    """Another unit is another number: the budget begins anew."""
    choose(unit, st.session_state[key])
    choose(budget, budget.default)


def steps_between(low: float, high: float) -> list[float]:
    """The values of a slider, at equal steps of their logarithm and in three digits."""
    decades = max(float(np.log10(high / low)), 1e-9)
    count = 1 + min(_MOST_STEPS, max(1, round(_STEPS_A_DECADE * decades)))
    inner = (float(f"{step:.3g}") for step in np.geomspace(low, high, count)[1:-1])
    return [low, *dict.fromkeys(step for step in inner if low < step < high), high]


def _plain(means: Hardware | None) -> Hardware | None:
    """The devices without what bounds a plan: an amount of hours has no deadline."""
    return None if means is None else replace(means, deadline=None)


def _planned(page: Page, flops: Sequence[float], means: Hardware | None) -> list[float] | None:
    """The device hours of budgets, as a plan has them; None where nothing tells."""
    plan = page.ask(
        plan_budgets, page.records, *flops, hardware=_plain(means), options=page.options
    )
    if plan is None:
        return None
    hours = [planned.device_hours for planned in plan]
    if None in hours:
        st.info("No run was timed: state the MFU under *Devices and prices*.")
        return None
    return hours


def _hours_of(page: Page, reach: Reach, means: Hardware | None) -> tuple[float, float] | None:
    """The device hours at both ends of what is supported."""
    hours = _planned(page, (reach.smallest, reach.furthest), means)
    return None if hours is None else (hours[0], hours[1])
