"""How a budget is best split between model size and tokens, what it takes, what can be built."""

from functools import partial

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.dashboard import cache, charts
from analysis.dashboard.figures.isoflop import budget_runs, isoflop_figure
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.figures.sizes import sizes_figure
from analysis.dashboard.page import Page
from analysis.dashboard.parts import downloads
from analysis.dashboard.parts.answers import SEE_SWEEP
from analysis.dashboard.parts.budget import FIELDS as BUDGET
from analysis.dashboard.parts.budget import asked_budget
from analysis.dashboard.parts.devices import FIELDS as DEVICES
from analysis.dashboard.parts.devices import amount_field, hardware, show_fields
from analysis.dashboard.parts.heading import heading
from analysis.dashboard.state import flag_field
from analysis.dashboard.words import facts, plain, say_limits, sentence, table
from analysis.decisions.money import BudgetPlan, Hardware, plan_budgets
from analysis.decisions.optimal_split import allocate
from analysis.fitting.policy import RESAMPLES, fit_law
from analysis.fitting.result import Fit
from analysis.forecasting.reach import Reach, forecast_reach
from analysis.intervals import interval_at
from analysis.plots.isoflop import plot_isoflop
from analysis.report.tables.decision import (
    approach_notes,
    approaches_table,
    built_table,
    taken_table,
    wrong_size_table,
)
from analysis.report.words.decision import decision_sentences, told_loss
from analysis.report.words.summary import NOT_SUPPORTED
from analysis.text.decisions import flat
from analysis.text.numbers import amount_in_words, count_in_words
from scaling.laws.surfaces import Chinchilla
from scaling.tables.cells.numbers import number

FIELDS = (
    *BUDGET,
    amount_field("inference", number),
    amount_field("unique", number),
    flag_field("approaches"),
    *DEVICES,
)
LADDER = 9  # budgets of the figure of best sizes


def draw(page: Page) -> None:
    """The figure, the budget under it, what it buys and takes, and what it rests on."""
    heading("Allocate", page)
    place = st.empty()
    alone = _runs_alone(page, place)
    reach = page.ask(forecast_reach, page.records, options=page.options)
    if reach is None:
        if alone is not None:
            downloads.offer("runs", draw=partial(draw_on, alone))
        st.caption(SEE_SWEEP)
        return
    surface = _surface(page)
    means = hardware(page)
    budget = asked_budget(page, reach, means)
    left, right = st.columns(2)
    left.text_input("Inference tokens to serve", placeholder="0", **page.bind("inference"))
    right.text_input("Distinct tokens there are", placeholder="no limit", **page.bind("unique"))
    show_fields(page)
    compare = st.toggle("Hold it against simpler approaches", **page.bind("approaches"))
    plan = None if budget is None else _plan(page, budget, means, approaches=compare)
    _figure(page, place, surface, plan)
    if plan is None:
        return
    _answer(page, surface, plan)
    _along(page, reach, plan)
    if plan.approaches:
        st.subheader("By simpler approaches", anchor=False)
        table(approaches_table(plan))
        for note in approach_notes(plan):
            st.caption(sentence(note))


def _runs_alone(page: Page, place: DeltaGenerator) -> go.Figure | None:
    """The runs, until their answer is there and where there is none."""
    known = cache.answered(forecast_reach, page.records, options=page.options)
    if known is not None and known.value is not None:
        return None
    runs = cache.answer(budget_runs, page.records).value
    if runs is None or not len(runs.table):
        return None
    drawn: go.Figure = cache.built(isoflop_figure, runs, None, None, level=page.level)
    with place:
        charts.show(drawn, "runs", "Losses of the runs against model size")
    return drawn


def _plan(
    page: Page, budget: float, means: Hardware | None, *, approaches: bool
) -> BudgetPlan | None:
    """What the verb answers for these fields."""
    inference, unique = page.state["inference"], page.state["unique"]
    plan: BudgetPlan | None = page.ask(
        plan_budgets,
        page.records,
        budget,
        hardware=means,
        inference_tokens=number(inference) if inference else 0.0,
        unique_tokens=number(unique) if unique else None,
        approaches=approaches,
        options=page.options,
    )
    return plan


def _surface(page: Page) -> Fit | None:
    """The law whose lines are drawn, as the report draws them."""
    surface: Fit | None = page.ask(
        fit_law, page.records, Chinchilla, bootstrap=RESAMPLES, confidence_level=page.level
    )
    return surface


def _figure(
    page: Page,
    place: DeltaGenerator,
    surface: Fit | None,
    plan: BudgetPlan | None,
) -> None:
    with place:
        drawn = cache.built(
            isoflop_figure,
            page.ask(budget_runs, page.records),
            surface,
            None if plan is None else plan[0].split,
            level=page.level,
            shape=None if plan is None else plan[0].shape,
        )
        charts.show(drawn, "isoflop", "Loss against model size at each budget")


def _answer(page: Page, surface: Fit | None, plan: BudgetPlan) -> None:
    planned, level = plan[0], page.level
    split = planned.split
    sizes = (("Parameters N", split.params), ("Tokens D", split.tokens))
    tiles = [(name, NOT_SUPPORTED if v is None else count_in_words(v)) for name, v in sizes]
    if split.params and split.tokens:
        tiles.append(("Tokens per parameter", f"{split.tokens / split.params:.3g}"))
    if split.loss is not None:
        loss, *ends = told_loss(split.loss, interval_at(split.loss_range, level))
        tiles += [("Loss", loss), (f"{100 * level:g}% interval", " to ".join(ends))]
    if planned.cost is not None:
        tiles.append(("Cost", f"{amount_in_words(planned.cost)} {plan.currency}".rstrip()))
    if planned.device_hours is not None:
        tiles.append(("Device hours", amount_in_words(planned.device_hours)))
    facts(tiles)
    st.markdown(plain(" ".join(decision_sentences(plan, level, with_loss=True))))
    if told := flat(split):
        st.markdown(sentence(f"Of this budget {told}"))
    for shown in (
        taken_table(plan),
        wrong_size_table(plan),
        built_table(plan),
    ):
        table(shown)
    st.caption(sentence(split.evidence))
    say_limits([*split.limits, *plan.limits])
    with st.expander("What was taken for granted", icon=":material/checklist:"):
        for one in plan.assumed:
            st.caption(sentence(one.text))
        st.caption(sentence(f"answered by: {split.law}"))
    downloads.offer(
        "allocation",
        draw=lambda ax: plot_isoflop(page.records, fit=surface, ax=ax),
        table=plan.to_frame(),
        document=plan.to_json,
    )


def _along(page: Page, reach: Reach, plan: BudgetPlan) -> None:
    """The best size and tokens from the smallest run to as far as they are supported."""
    st.subheader("The best size, budget by budget", anchor=False)
    budgets = np.geomspace(reach.smallest, reach.furthest, LADDER)
    splits = page.ask(allocate, page.records, *map(float, budgets), options=page.options)
    if splits is None:
        return
    drawn = cache.built(sizes_figure, splits.splits, plan[0].split, level=page.level)
    charts.show(drawn, "sizes", "The best model size and tokens at each budget")
    st.caption("Of training alone, without what is served and without limits of data or memory.")
    downloads.offer(
        "sizes", draw=partial(draw_on, drawn), table=splits.to_frame(), document=splits.to_json
    )
