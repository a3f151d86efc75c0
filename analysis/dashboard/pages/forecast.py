"""What a budget, a run of a size, or a loss will take or reach: a planner moves one and sees the
other."""

from dataclasses import dataclass, replace
from functools import partial

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.dashboard import cache, charts
from analysis.dashboard.figures.loss import drawn_runs, loss_figure, runs_figure
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.page import Page
from analysis.dashboard.pages import forecast_evidence
from analysis.dashboard.parts import changes, downloads
from analysis.dashboard.parts.answers import SEE_SWEEP
from analysis.dashboard.parts.budget import (
    FIELDS as BUDGET,
)
from analysis.dashboard.parts.budget import (
    TEN_TIMES,
    asked_budget,
    budget_field,
    in_flops,
    slide,
)
from analysis.dashboard.parts.devices import FIELDS as DEVICES
from analysis.dashboard.parts.devices import amount_field, hardware, show_fields
from analysis.dashboard.parts.heading import heading
from analysis.dashboard.parts.report import report
from analysis.dashboard.state import choice_field, text_field
from analysis.dashboard.words import facts, plain, say_limits, sentence, table
from analysis.decisions.budget_for_loss import BudgetForLoss, budget_for_loss
from analysis.decisions.money import Hardware, plan_budgets
from analysis.forecasting.answer.result import Forecast, TargetForecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.reach import Reach, forecast_reach
from analysis.intervals import interval_at
from analysis.plots.loss_against import plot_loss_against
from analysis.report.tables.decision import taken_table
from analysis.report.tables.one_target import laws_table, parts_table, pinned_floors_table
from analysis.report.words.decision import told_loss
from analysis.report.words.places import target_in_words
from analysis.report.words.summary import NOT_SUPPORTED, budget_and_ranges
from analysis.text.forecasting import forecast_sentence
from analysis.text.numbers import amount_in_words, count_in_words, rough_in_words
from scaling.columns import COLUMNS, with_loss_unit
from scaling.records import Records
from scaling.tables.cells.numbers import number

BY_BUDGET, BY_SIZE, BY_LOSS, BY_COLUMN = "budget", "size", "loss", "column"
MODES = {
    BY_BUDGET: "Budget",
    BY_SIZE: "Size, tokens",
    BY_LOSS: "Loss",
    BY_COLUMN: "Column",
}
FIELDS = (
    choice_field("ask", MODES, BY_BUDGET),
    *BUDGET,
    amount_field("n", number),
    amount_field("d", number),
    amount_field("target", number),
    text_field("x"),
    budget_field("value", TEN_TIMES),
    *forecast_evidence.FIELDS,
    *DEVICES,
)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What was asked, and the results that answer it."""

    mode: str
    """One of `MODES`: the one that these runs allow, which the address need not say."""
    made: Forecast | None = None
    inverse: BudgetForLoss | None = None
    targets: Targets | None = None

    @property
    def target(self) -> TargetForecast | None:
        """The forecast of the run that was asked for."""
        return None if self.made is None else self.made.targets[0]

    @property
    def result(self) -> Forecast | BudgetForLoss | None:
        """What may be saved as JSON and as a table."""
        return self.made or self.inverse


def draw(page: Page) -> None:
    """The figure, the question under it, the answer, and what it rests on."""
    heading("Forecast", page)
    changes.watch(page)
    mode, options = _question(page)
    place = st.empty()
    alone = _runs_alone(page, place, options)
    reach = page.ask(forecast_reach, page.records, options=options)
    if reach is None:
        if alone is not None:
            downloads.offer("runs", draw=partial(draw_on, alone))
        st.caption(SEE_SWEEP)
        forecast_evidence.fitted_law(page)
        return
    with st.container():
        means = hardware(page)
        answered = _asked(page, mode, reach, means, options)
        show_fields(page)
    first = changes.before(page)
    was = _before(page, first, answered, options)
    _figure(page, place, reach, answered, was)
    _answer(page, reach, answered, means)
    if first is not None:
        changes.show_change(page, first, was, answered.target)
    _evidence(page, reach, answered, options)


def _runs_alone(page: Page, place: DeltaGenerator, options: ForecastOptions) -> go.Figure | None:
    """The runs, until their forecast is there and where there is none."""
    known = cache.answered(forecast_reach, page.records, options=options)
    if known is not None and known.value is not None:
        return None
    column = options.x or "train_flops"
    runs = cache.answer(drawn_runs, page.records, column).value
    if runs is None or not len(runs.used.x):
        return None
    drawn: go.Figure = cache.built(runs_figure, runs, column)
    with place:
        charts.show(drawn, "runs", "Losses of the runs")
    return drawn


def _question(page: Page) -> tuple[str, ForecastOptions]:
    """What is asked, and along which column."""
    mode = page.state["ask"]
    if mode == BY_BUDGET and "train_flops" not in page.records:
        mode = BY_COLUMN
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    bound = page.bind("ask")
    st.session_state[bound["key"]] = mode
    left.segmented_control(
        "What is asked", [*MODES], format_func=MODES.__getitem__, required=True, **bound
    )
    if mode != BY_COLUMN:
        return mode, page.options
    columns = columns_of(page.records)
    bound = page.bind("x")
    if page.state["x"] not in columns:
        st.session_state[bound["key"]] = columns[0] if columns else None
    chosen = right.selectbox("Column", columns, **bound)
    return mode, replace(page.options, x=chosen) if chosen else page.options


def columns_of(records: Records) -> list[str]:
    """The columns along which the losses of these runs may fall."""
    sizes = [name for name, known in COLUMNS.items() if known.kind == "size" and name in records]
    return [name for name in sizes if name != "train_flops"]


def _asked(
    page: Page, mode: str, reach: Reach, means: Hardware | None, options: ForecastOptions
) -> Answered:
    """The widgets of the question, and its answer by the call of the verb."""
    if mode == BY_LOSS:
        st.text_input("Loss to reach", placeholder="2.2", **page.bind("target"))
        if not page.state["target"]:
            return Answered(mode=mode)
        loss = number(page.state["target"])
        inverse = page.ask(budget_for_loss, page.records, loss, options=options)
        return Answered(mode=mode, inverse=inverse)
    targets = _targets(page, mode, reach, means)
    if targets is None:
        return Answered(mode=mode)
    made = page.ask(forecast, page.records, targets, options=options)
    return Answered(mode=mode, made=made, targets=targets)


def _targets(page: Page, mode: str, reach: Reach, means: Hardware | None) -> Targets | None:
    if mode == BY_BUDGET:
        flops = asked_budget(page, reach, means)
        return None if flops is None else Targets.flops(flops)
    if mode == BY_SIZE:
        left, right = st.columns(2)
        left.text_input("Parameters N", placeholder="7B", **page.bind("n"))
        right.text_input("Training tokens D", placeholder="1.4T", **page.bind("d"))
        given = [number(page.state[name]) for name in ("n", "d") if page.state[name]]
        return Targets.runs(*given) if len(given) == 2 else None
    st.text_input("Value", help="a number, or 10x for ten times the largest", **page.bind("value"))
    value = in_flops(page.state["value"], reach.largest)
    slide(page, "value", reach, value)
    return Targets.along(reach.column, value)


def _before(
    page: Page, first: changes.Before | None, answered: Answered, options: ForecastOptions
) -> TargetForecast | None:
    """What the runs of before say of the same question."""
    if first is None or answered.targets is None:
        return None
    made = page.ask(forecast, first.records, answered.targets, options=options)
    return None if made is None else made.targets[0]


def _figure(
    page: Page,
    place: DeltaGenerator,
    reach: Reach,
    answered: Answered,
    was: TargetForecast | None,
) -> None:
    asked = [answered.target] if answered.target else []
    loss = answered.inverse.loss if answered.inverse else None
    runs = page.ask(drawn_runs, page.records, reach.column)
    drawn = cache.built(
        loss_figure,
        runs,
        reach,
        asked,
        level=page.level,
        before=[was] if was else [],
        loss=loss,
    )
    with place:
        charts.show(drawn, "forecast", "Loss of the runs and of the forecast against compute")


def _answer(page: Page, reach: Reach, answered: Answered, means: Hardware | None) -> None:
    """The numbers, and a sentence."""
    if answered.inverse is not None:
        _of_loss(page, answered.inverse)
    if answered.target is None:
        return
    target, kind = answered.target, page.records.loss_kind
    plan = None
    if answered.mode == BY_BUDGET and "params" in target.at:
        plan = page.ask(
            plan_budgets,
            page.records,
            target.at["train_flops"],
            hardware=means,
            options=page.options,
        )
    tiles = loss_tiles(target, page.level)
    if plan is not None:
        split, planned = plan[0].split, plan[0]
        sizes = (("Parameters N", split.params), ("Tokens D", split.tokens))
        tiles += [(n, NOT_SUPPORTED if v is None else count_in_words(v)) for n, v in sizes]
        if planned.cost is not None:
            tiles.append(("Cost", f"{amount_in_words(planned.cost)} {plan.currency}".rstrip()))
        if planned.device_hours is not None:
            tiles.append(("Device hours", amount_in_words(planned.device_hours)))
    tiles.append(("Beyond the runs", f"{target.decades_beyond:.1f} decades"))
    facts(tiles)
    where = f"A run of {target_in_words(target.at)}"
    st.markdown(plain(forecast_sentence(where, target, page.level, kind)))
    st.caption(sentence(target.evidence))
    if plan is not None:
        table(taken_table(plan))
        say_limits(plan.limits)


def loss_tiles(target: TargetForecast, level: float) -> list[tuple[str, str]]:
    """The loss and its interval; no number where none is supported."""
    shown = target.in_meaningful_digits()
    low, high = interval_at(shown.intervals, level)
    name = f"{100 * level:g}% interval"
    if shown.median is None:
        return [
            ("Loss", NOT_SUPPORTED),
            (name, f"{rough_in_words(low)} to {rough_in_words(high)}"),
        ]
    loss, *ends = told_loss(shown.median, interval_at(shown.intervals, level))
    return [("Loss", loss), (name, " to ".join(ends))]


def _of_loss(page: Page, inverse: BudgetForLoss) -> None:
    median, span = budget_and_ranges(inverse.in_meaningful_digits(), page.level)
    facts([("Compute", median), (f"{100 * page.level:g}% interval", span)])
    loss = with_loss_unit(f"{inverse.loss:g}", page.records.loss_kind)
    st.markdown(
        plain(
            f"A new run reaches a loss of {loss} with this budget as often as not; with the low "
            "end of the interval seldom, with the high end nearly always."
        )
    )
    say_limits(inverse.limits)


def _evidence(page: Page, reach: Reach, answered: Answered, options: ForecastOptions) -> None:
    """What the answer rests on, and what may be taken away."""
    if answered.target is not None and answered.made is not None:
        st.subheader("Where the width comes from", anchor=False)
        table(parts_table(answered.target))
        if answered.target.drift_because:
            st.caption(sentence(answered.target.drift_because))
        if len(answered.target.weights) > 1:
            st.subheader("The laws that answer", anchor=False)
            table(laws_table(answered.target))
        table(pinned_floors_table(answered.made, page.level))
        say_limits(answered.made.limits)
    asked = [answered.target] if answered.target else []
    result = answered.result
    downloads.offer(
        "forecast",
        draw=lambda ax: plot_loss_against(
            page.records,
            x=reach.column,
            forecast=reach.curve,
            asked=asked,
            confidence_level=page.level,
            ax=ax,
        ),
        table=None if result is None else result.to_frame(),
        document=None if result is None else result.to_json,
        report=report(page, answered.targets, answered.inverse.loss if answered.inverse else None),
    )
    forecast_evidence.backtests(page, answered.target, options)
    forecast_evidence.fitted_law(page)
