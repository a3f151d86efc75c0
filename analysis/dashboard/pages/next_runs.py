"""Which runs to buy next, and what they would narrow."""

from functools import partial

import plotly.graph_objects as go
import streamlit as st

from analysis.dashboard import cache, charts
from analysis.dashboard.feeds import Offer
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.figures.proposal import proposal_figure
from analysis.dashboard.page import Page
from analysis.dashboard.parts import downloads
from analysis.dashboard.parts.answers import SEE_SWEEP
from analysis.dashboard.parts.blocks import show_blocks
from analysis.dashboard.parts.budget import budget_field, in_flops
from analysis.dashboard.parts.heading import heading
from analysis.dashboard.state import choice_field, choose, flag_field
from analysis.dashboard.words import facts, plain
from analysis.decisions.further_runs.next_runs import NextRuns, next_runs
from analysis.report.words.places import x_in_words
from analysis.text.next_runs import next_runs_blocks, width_in_words
from analysis.text.numbers import flops_in_words, percent_in_words
from analysis.tuning.screening import screen

LOSS, ALLOCATION = "loss", "allocation"
AIMS = {LOSS: "the loss there", ALLOCATION: "the best size there"}
FIELDS = (
    budget_field("at", "10x"),
    budget_field("spend", "1x"),
    choice_field("aim", AIMS, LOSS),
    flag_field("propose"),
)


def draw(page: Page) -> None:
    """The question, and behind a button its answer: the runs, and the width before and after."""
    heading("Next", page)
    used = screen(page.records).with_values("train_flops")
    if not len(used):
        st.info("No usable run with a compute: train some first, or name its column.")
        st.caption(SEE_SWEEP)
        return
    largest = float(used.column("train_flops").max())
    target, spend = (in_flops(page.state[name], largest) for name in ("at", "spend"))
    place = st.container()
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    left.text_input("Run to forecast, FLOP", help="1e21 or 10x", **page.bind("at"))
    middle.text_input("May cost together, FLOP", help="1e20 or 1x", **page.bind("spend"))
    right.selectbox("To narrow", [*AIMS], format_func=AIMS.__getitem__, **page.bind("aim"))
    told = (x_in_words(value, "train_flops", spelt_out=False) for value in (target, spend))
    st.caption(plain("The forecast of a run of {}; further runs for {}.".format(*told)))
    if not page.state["propose"]:
        bound = page.bind("propose")
        how = {"on_click": _propose, "args": (page, bound["key"]), "key": "choose the runs"}
        st.button("Choose the runs", type="primary", **how)
        return
    offer = page.feeds.offer(page.source, spend)
    found: NextRuns | None = page.ask(
        next_runs,
        page.records,
        target,
        spend,
        aim=page.state["aim"],
        offer=None if offer is None else offer.offer,
        checks_flops=None if offer is None else offer.checks_flops,
        options=page.options,
    )
    if found is None:
        return
    with place:
        drawn = cache.built(proposal_figure, page.records, found)
        charts.show(drawn, "proposal", "The runs there are and those that are proposed")
    _answer(found, offer, drawn)


def _propose(page: Page, key: str) -> None:

    choose(page.state.fields["propose"], True)
    st.session_state[key] = True


def _answer(found: NextRuns, offer: Offer | None, drawn: go.Figure) -> None:
    tiles = [("Width now", width_in_words(found.now, found.aim))]
    if found.after is not None:
        tiles += [
            ("With these runs", width_in_words(found.after, found.aim)),
            ("Narrower by", percent_in_words(100 * found.narrowing)),
            ("They cost", f"{flops_in_words(found.spent, 3)} FLOP"),
        ]
    facts(tiles)
    show_blocks(next_runs_blocks(found)[1:])
    document = found.to_json() if offer is None else offer.document(found)
    downloads.offer(
        "proposal",
        draw=partial(draw_on, drawn),
        table=found.to_frame(),
        document=lambda: document,
    )
    if offer is None or found.after is None:
        st.caption(
            "A sweep of this toolkit also gets the config that trains them; for other tables "
            "`scaling next SOURCE --config CONFIG` writes it."
        )
        return
    name = f"{offer.name}-next.yaml"
    st.download_button(
        "Config that trains them",
        data=offer.text(found, document, name).encode(),
        file_name=name,
        mime="application/yaml",
        on_click="ignore",
        icon=":material/download:",
    )
    if told := offer.over_budget(found):
        st.warning(plain(told))
    with st.expander("The cells of the config", icon=":material/code:"):
        st.code(offer.cells(found).rstrip(), language="yaml")
