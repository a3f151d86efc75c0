"""The answer in one line: what a run of ten times the largest would reach."""

from analysis.dashboard import cache
from analysis.dashboard.page import Page
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast_ahead
from analysis.intervals import interval_at
from analysis.report.tables.cells import predicted_cells
from analysis.text.numbers import flops_in_words, in_print, number_in_words
from scaling.errors import ScalingError
from scaling.limits import texts
from scaling.records import Records

SEE_SWEEP = "The page Sweep says where each run stands, why runs failed, and what to do next."
AHEAD = 10.0  # times the largest run, as MLflow's pages show


def ahead(page: Page, records: Records) -> cache.Outcome:
    """The forecast at ten times the largest of these runs, as `scaling forecast --flops 10x` makes
    it. Of runs that still train nothing is read, so their progress asks no new forecast."""
    try:
        options = page.options
    except ScalingError as error:  # a formula that the page's runs cannot carry
        return cache.Outcome(refusal=error)
    return cache.answer(forecast_ahead, cache.built(_finished, records), AHEAD, options=options)


def _finished(records: Records) -> Records:
    return records.finished


def ahead_in_words(page: Page, found: cache.Outcome, source: str = "") -> str:
    """That forecast with its interval, or why there is none, beside the name of its ``source``."""
    if found.refusal is not None:
        return str(found.refusal).removeprefix(f"{source or page.source}: ")
    made: Forecast = found.value
    (target,) = made.in_meaningful_digits().targets
    interval = interval_at(target.intervals, page.level)
    predicted, ends = predicted_cells(target.median, interval)
    if target.median is None:
        why = "; ".join(texts(target.limits))
        return f"between {ends.replace(' to ', ' and ')}; {why}"
    return f"{predicted} ({100 * page.level:g}%: {ends})"


def ahead_where(found: cache.Outcome) -> str:
    """The budget that it is of; empty without a forecast."""
    if found.value is None:
        return ""
    made: Forecast = found.value
    ((name, value),) = ((name, made.targets[0].at[name]) for name in _column(made))
    return f"{flops_in_words(value)} FLOP" if name == "train_flops" else number_in_words(value)


def _column(made: Forecast) -> tuple[str, ...]:
    at = made.targets[0].at
    return ("train_flops",) if "train_flops" in at else (next(iter(at)),)


def ahead_sentence(page: Page, found: cache.Outcome) -> str:
    """The same as a sentence of a page."""
    said = ahead_in_words(page, found)
    if found.value is None:
        return f"No forecast yet: {said}"
    at = "" if said.startswith("between") else "at "
    return in_print(f"a run of {ahead_where(found)}, ten times the largest, ends {at}{said}")
