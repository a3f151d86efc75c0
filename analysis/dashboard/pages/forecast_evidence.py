"""What stands beside a forecast: backtests of the whole ladder, and the constants of one law."""

import streamlit as st

from analysis.dashboard import cache, charts
from analysis.dashboard.figures.backtest import errors_figure
from analysis.dashboard.page import Page
from analysis.dashboard.parts import downloads
from analysis.dashboard.state import choice_field, flag_field
from analysis.dashboard.words import plain, say_limits, sentence, table
from analysis.evaluation.backtest import backtest
from analysis.evaluation.scored import SCORED_LEVEL
from analysis.fitting.minimising.penalties import PENALTIES
from analysis.fitting.policy import RESAMPLES, fit_law
from analysis.fitting.result import Fit
from analysis.forecasting.answer.result import TargetForecast
from analysis.forecasting.question.options import AUTO, ForecastOptions
from analysis.plots.backtest import plot_backtest_errors
from analysis.report.tables.forecasts import constants_table
from analysis.text.numbers import in_print
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.registry import LAWS, law_named

CHOSEN = "chosen by the runs"
CHOSEN_LAW = "the law of the forecasts"
FIELDS = (
    choice_field("fit", (*LAWS, CHOSEN_LAW), PowerLaw.name),
    choice_field("objective", (CHOSEN, *PENALTIES), CHOSEN),
    flag_field("constants"),
)


def backtests(page: Page, target: TargetForecast | None, options: ForecastOptions) -> None:
    """What forecasts of the largest runs, hidden in turn, would have been worth."""
    st.subheader("Was it right before? The largest runs hidden in turn", anchor=False)
    scored = page.ask(backtest, page.records, options=options)
    if scored is None:
        return
    at = target.decades_beyond if target else None
    drawn = cache.built(errors_figure, scored, at=at)
    charts.show(drawn, "backtest", "Errors of backtests by distance")
    band = scored.at_distance(at) if at else None
    if band is not None:
        st.markdown(
            plain(
                f"As far out as what you asked for, {band.missed}, and "
                f"{100 * band.score.coverage[SCORED_LEVEL]:.0f}% of these runs fell inside their "
                f"{100 * SCORED_LEVEL:g}% intervals."
            )
        )
    elif at:
        furthest = max(run.decades_beyond for run in scored.predictions)
        st.markdown(
            plain(
                f"No backtest reached as far as what you asked for ({at:.1f} decades): the "
                f"furthest hidden run lay {furthest:.2f} decades out."
            )
        )
    say_limits(scored.limits)
    downloads.offer(
        "backtest",
        draw=lambda ax: plot_backtest_errors(scored, ax=ax),
        table=scored.to_frame(),
        document=scored.to_json,
    )


def fitted_law(page: Page) -> None:
    """The constants of one law, by an objective that may be chosen."""
    if not st.toggle("The constants of one law", **page.bind("constants")):
        return
    left, right = st.columns(2)
    left.selectbox("Law to fit", [*LAWS, CHOSEN_LAW], format_func=_spaced, **page.bind("fit"))
    right.selectbox(
        "Objective", (CHOSEN, *PENALTIES), format_func=_spaced, **page.bind("objective")
    )
    objective = page.state["objective"]
    fitted: Fit | None = page.ask(
        fit_law,
        page.records,
        _law_to_fit(page),
        objective=None if objective == CHOSEN else objective,
        bootstrap=RESAMPLES,
        confidence_level=page.level,
    )
    if fitted is None:
        return
    st.markdown(f"`{fitted.law.form}`" if hasattr(fitted.law, "form") else "")
    table(constants_table(fitted))
    for choice in fitted.choices:
        st.caption(sentence(f"{choice.about}: {choice.chosen} ({choice.because})"))
    say_limits(fitted.limits)
    downloads.offer("constants", document=fitted.to_json)


def _law_to_fit(page: Page) -> type[Law]:
    """What is fitted; where all laws forecast together, the one that `scaling fit` takes."""
    if page.state["fit"] != CHOSEN_LAW:
        return LAWS[page.state["fit"]]
    return PowerLaw if page.law == AUTO else law_named(page.law)


def _spaced(name: str) -> str:
    return in_print(name.replace("_", " "))
