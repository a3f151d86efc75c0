"""Two sweeps side by side: how much compute B saves over A, how surely, whether to promote it."""

import json
from dataclasses import asdict
from functools import partial

import streamlit as st

from analysis.dashboard import cache, charts
from analysis.dashboard.figures.compared import arms_figure, multiplier_figure
from analysis.dashboard.figures.on_paper import draw_on
from analysis.dashboard.page import Page
from analysis.dashboard.parts import downloads
from analysis.dashboard.parts.blocks import show_blocks
from analysis.dashboard.parts.heading import heading
from analysis.dashboard.state import Field, number_field, text_field
from analysis.dashboard.uploads import name_of
from analysis.dashboard.words import facts, plain
from analysis.decisions.two_recipes.compared import ArmComparison, ComparedTarget, Verdict, compare
from analysis.intervals import interval_at
from analysis.plots.compared import plot_comparison
from analysis.report.words.summary import NOT_SUPPORTED
from analysis.text.compared import chance_in_words, comparison_blocks, spread
from analysis.text.numbers import flops_in_words
from scaling.records import Records
from scaling.tables.cells.numbers import number


def _budgets(text: str) -> str:
    for word in text.split():
        if not 0 < number(word) < float("inf"):
            raise ValueError("give finite numbers above zero, with blanks between them")
    return text


FIELDS = (
    text_field("b"),
    Field(name="flops", read=_budgets, default=""),
    number_field("gate", 1e-3, 1e3, 1.0),
)
WORDS = {
    "promote": "Promote B",
    "reject": "Keep A",
    "undecided": "Undecided",
}


def draw(page: Page) -> None:
    """Which two, the multiplier, the decision, and what both rest on."""
    others = [one for one in page.sources if one != page.source]
    heading("Compare", page, *(one for one in others if one == page.state["b"]))
    mine = page.records
    if not others:
        st.info("There is one source: name a second one, or drop a table in on the page Home.")
        return
    place = st.container()
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    bound = page.bind("b")
    if page.state["b"] not in others:
        st.session_state[bound["key"]] = None
    left.selectbox(
        "B, that may replace A",
        others,
        format_func=name_of,
        placeholder="choose a second source",
        **bound,
    )
    middle.text_input(
        "At budgets, FLOP",
        placeholder="the largest common one, and ten times it",
        **page.bind("flops"),
    )
    right.number_input("Least multiplier", 0.001, 1000.0, step=0.05, **page.bind("gate"))
    if page.state["b"] not in others:
        st.caption(plain(f"A is {name_of(page.source)}, chosen beside the page."))
        return
    other = page.load(page.state["b"])
    found: ArmComparison | None = page.ask(
        compare,
        mine,
        other,
        *map(number, page.state["flops"].split()),
        options=page.options,
    )
    with place:
        if found is None:
            _arms(mine, other)
            return
        gate = page.state["gate"]
        drawn = cache.built(multiplier_figure, found, least=gate)
        charts.show(drawn, "compared", "The multiplier of A's compute against compute")
    verdict = found.verdict(gate)
    _answer(found, verdict)
    _arms(mine, other)
    show_blocks(comparison_blocks(found)[1:])
    downloads.offer(
        "comparison",
        draw=lambda ax: plot_comparison(found, ax=ax),
        table=found.to_frame(),
        document=lambda: document_of(found, verdict),
    )


def _arms(mine: Records, other: Records) -> None:
    drawn = cache.built(arms_figure, mine, other)
    charts.show(drawn, "arms", "Losses of both arms against compute")
    downloads.offer("arms", draw=partial(draw_on, drawn))


def document_of(found: ArmComparison, verdict: Verdict) -> str:
    """The document of `scaling compare --gate`."""
    return json.dumps({**json.loads(found.to_json()), "gate": asdict(verdict)}, indent=1)


def _answer(found: ArmComparison, verdict: Verdict) -> None:
    tiles = [("Decision", WORDS[verdict.decision])]
    for target in found.targets:
        tiles += _tiles(found, target)
    facts(tiles)
    st.markdown(plain(f"{WORDS[verdict.decision]}: {verdict.because}."))


def _tiles(found: ArmComparison, target: ComparedTarget) -> list[tuple[str, str]]:
    where = f"Multiplier at {flops_in_words(target.train_flops, 3)} FLOP"
    if target.multiplier is None:
        return [(where, NOT_SUPPORTED)]
    level = found.confidence_level
    ends = {level: interval_at(target.multiplier_intervals, level)}
    tiles = [(where, " ".join(spread(target.multiplier, ends)))]
    if target.probability_b_is_better is not None:
        tiles.append(("B is better", chance_in_words(target.probability_b_is_better)))
    return tiles
