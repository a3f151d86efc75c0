"""The tables of laws, forecasts, splits and backtests: rows of text, ready to print."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.decisions.optimal_split import OptimalSplit
from analysis.evaluation.scored import SCORED_LEVEL
from analysis.fitting.result import Fit
from analysis.forecasting.answer.result import TargetForecast
from analysis.intervals import Interval, interval_at, telling_digits
from analysis.report.asked import FACTORS
from analysis.report.findings import Findings
from analysis.report.tables.cells import (
    NO_INTERVAL,
    Table,
    or_dash,
    predicted_cells,
    size_cell,
)
from analysis.report.words.formula import constant_name, law_title
from analysis.report.words.places import SYMBOLS, targets_in_words, x_in_words, x_noun
from analysis.report.words.summary import NOT_SUPPORTED, budget_and_ranges
from analysis.text.forecasting import (
    OUTSIDE,
    pinned_median,
    pinned_note,
    pinned_outside,
)
from analysis.text.numbers import (
    count_in_words,
    digits_apart,
    flops_in_words,
    in_print,
    loss_in_words,
    number_in_words,
    percent_in_words,
    rough_in_words,
)

NOT_IDENTIFIED = "not identified by these runs"
HELD = f"Hidden runs so far out inside their {100 * SCORED_LEVEL:g}%"


def constants_table(fit: Fit) -> Table:
    """The constants and what follows from them, of those that the runs identify."""
    level = f"{100 * fit.confidence_level:g}% interval of the law"
    unknown = fit.untold
    rows = []
    for name, value in (fit.constants | fit.derived).items():
        if name in unknown:
            rows.append((constant_name(name), NOT_IDENTIFIED, NO_INTERVAL))
        elif name in fit.fixed:
            rows.append((constant_name(name), number_in_words(fit.fixed[name]), "held fixed"))
        else:
            digits = telling_digits(value.estimate, [(value.low, value.high)], 4)
            told = [number_in_words(v, digits) for v in (value.estimate, value.low, value.high)]
            shown = f"{told[1]} to {told[2]}" if np.isfinite(value.low) else "no bootstrap"
            rows.append((constant_name(name), told[0], shown))
    note = f"Intervals are of {fit.intervals_of}." if fit.fixed and fit.draws is not None else ""
    return Table(head=("Constant", "Estimate", level), rows=tuple(rows), note=note)


def forecast_table(findings: Findings) -> Table:
    """The forecast at each factor with its interval and where the width comes from."""
    rows = []
    for factor in findings.factors:
        target = findings.target(factor)
        if target is not None:
            at = x_in_words(target.at[findings.x], findings.x, spelt_out=False)
            rows.append((f"{factor:g}\u00d7", at, *_forecast_cells(findings, target)))
    level = f"{100 * findings.confidence_level:g}% interval"
    head = ("Factor", "At", "Loss", level, "Decades beyond", "Error of backtests", HELD)
    return Table(head=head, rows=tuple(rows), note=_asked_already(findings, findings.factors))


def _asked_already(findings: Findings, shown: tuple[float, ...]) -> str:
    """Which factors have no row since the reader's own question is the same."""
    asked = [
        f"{factor:g}\u00d7 ({x_in_words(factor * findings.largest, findings.x, spelt_out=False)})"
        for factor in FACTORS
        if factor not in shown
    ]
    if not asked:
        return ""
    nearly, stand = ("is nearly", "stands") if len(asked) == 1 else ("are nearly", "stand")
    return f"{' and '.join(asked)} {nearly} what you asked for and {stand} there."


def _forecast_cells(findings: Findings, target: TargetForecast) -> tuple[str, ...]:
    """What is forecast of one run, and what backtests at its own distance found."""
    return (
        *_loss_and_ranges(target, findings.confidence_level),
        f"{target.decades_beyond:.1f}",
        target.backtests_missed or "no backtest",
        _coverage(findings, target),
    )


def asked_table(findings: Findings) -> Table:
    """The runs that the reader asked for, as `forecast` answers them."""
    levels = findings.options.confidence_levels
    targets = findings.answers.targets if findings.answers else ()
    rows = [
        (
            name,
            *_loss_and_ranges(target, *levels),
            f"{target.decades_beyond:.2f}",
            _coverage(findings, target),
        )
        for name, target in zip(targets_in_words(targets), targets, strict=True)
    ]
    ranges = (f"{100 * level:.10g}% interval" for level in levels)
    return Table(head=("Run", "Loss", *ranges, "Decades beyond", HELD), rows=tuple(rows))


def asked_budgets_table(findings: Findings) -> Table:
    """The losses that the reader asked for, as `budget_for_loss` answers them."""
    levels = findings.options.confidence_levels
    rows = []
    for answer in findings.answers.budgets if findings.answers else ():
        shown = answer.in_meaningful_digits()
        rows.append((f"{answer.loss:g}", *budget_and_ranges(shown, *levels)))
    head = ("Loss", f"{x_noun(findings.x).capitalize()} that reaches it")
    intervals = (f"{100 * level:.10g}% interval" for level in levels)
    return Table(head=(*head, *intervals), rows=tuple(rows))


def _coverage(findings: Findings, target: TargetForecast) -> str:
    """Of hidden runs as far out as this target, how many their intervals held."""
    if target.decades_beyond == 0:
        return "inside the data"
    scored = findings.backtest
    band = scored.at_distance(target.decades_beyond) if scored else None
    if band is None:
        return "none so far out"
    share = f"{100 * band.score.coverage[SCORED_LEVEL]:.0f}%"
    return f"{share} of {band.score.predictions:,} ({band.which})"


def _median(value: float | None) -> str:
    return NOT_SUPPORTED if value is None else loss_in_words(value)


def shares_table(findings: Findings) -> Table:
    """Which part of the variance comes from where, at each factor."""
    known = [(f, t) for f in FACTORS if (t := findings.target(f)) is not None]
    rows = [
        (name, *(f"{100 * t.shares[name]:.0f}%" for _, t in known))
        for name in (known[0][1].shares if known else {})
    ]
    head = ("Where the width comes from", *(f"at {f:g}\u00d7" for f, _ in known))
    return Table(head=head, rows=tuple(rows))


def certificate_table(findings: Findings) -> Table:
    """What the runs alone allow at each factor and at each run that was asked for; no rows where
    nobody asked for it."""
    known = [(f"{f:g}\u00d7", t) for f in FACTORS if (t := findings.target(f)) is not None]
    targets = findings.answers.targets if findings.answers else ()
    known += zip(targets_in_words(targets), targets, strict=True)
    rows, note = [], ""
    for name, target in known:
        allowed = target.in_meaningful_digits().certificate
        if allowed is not None:
            ends = "none" if allowed.range is None else _ends(allowed.range, target)
            rows.append((name, ends, in_print(target.certified or "")))
            note = in_print(f"The range is {allowed.bands}.")
    head = ("Run", "Any sum of falling powers", "What it says of the interval")
    return Table(head=head, rows=tuple(rows), note=note)


def _ends(ends: Interval, target: TargetForecast) -> str:
    """A range of losses in the digits of its target."""
    low, high = (loss_in_words(end) if target.supported else f"{end:.2g}" for end in ends)
    return f"{low} to {high}"


def weights_table(findings: Findings) -> Table:
    """Which candidate law has which weight at each factor."""
    known = [(f, t) for f in FACTORS if (t := findings.target(f)) is not None]
    rows = []
    for name, reason in (known[0][1].weight_reasons if known else {}).items():
        cells = [f"{100 * reason.first_weight:.0f}%"]
        fitted = reason.fitted_weight
        cells.append("\u2013" if fitted is None else f"{100 * fitted:.0f}%")
        for _, target in known:
            error = target.weight_reasons[name].backtest_error
            cells.append("\u2013" if error is None else percent_in_words(error))
            cells.append(f"{100 * target.weights[name]:.0f}%")
        rows.append((name, *cells))
    ahead = [cell for f, _ in known for cell in (f"Error like {f:g}\u00d7", f"Weight {f:g}\u00d7")]
    note = "; ".join(f"at {f:g}\u00d7: {t.weights_because}" for f, t in known)
    return Table(
        head=("Candidate law", "Weight before", "After the fit", *ahead),
        rows=tuple(rows),
        note="Errors are those of the backtests within the forecast, weighted by distance. "
        f"{note[:1].upper()}{note[1:]}.",
    )


def pinned_table(findings: Findings) -> Table:
    """What the forecast would be if the floor were known."""
    made = findings.forecast
    if made is None:
        return Table(head=(), rows=())
    wanted = [t for f in FACTORS if (t := findings.target(f)) is not None]
    at = [made.targets.index(t) for t in wanted]
    ranges = [interval_at(t.intervals, findings.confidence_level) for t in wanted]
    rows = [
        (
            loss_in_words(floor),
            *(pinned_median(medians[i], ends) for i, ends in zip(at, ranges, strict=True)),
        )
        for floor, medians in made.pinned_floors.items()
    ]
    note = in_print(f"{pinned_note(made)}.")
    said = pinned_outside(findings.confidence_level)
    outside = f" {said[:1].upper()}{said[1:]}."
    is_outside = any(OUTSIDE in cell for row in rows for cell in row)
    head = ("If the irreducible loss were", *(f"loss at {f:g}\u00d7" for f in FACTORS[: len(at)]))
    return Table(head=head, rows=tuple(rows), note=note + outside * is_outside)


def splits_table(findings: Findings) -> Table:
    """Compute-optimal size and tokens at each budget."""
    level = findings.confidence_level
    rows = [
        (f"{factor:g}\u00d7", *_split_cells(split, level))
        for factor, split in zip(FACTORS, findings.splits, strict=False)
        if factor in findings.split_factors
    ]
    note = _asked_already(findings, findings.split_factors)
    return Table(head=("Factor", *_split_head(level)), rows=tuple(rows), note=note)


def asked_splits_table(findings: Findings) -> Table:
    """Compute-optimal size and tokens at the budgets that the reader asked for."""
    level = findings.confidence_level
    splits = findings.answers.splits if findings.answers else ()
    digits = digits_apart(split.budget for split in splits)
    rows = tuple(_split_cells(split, level, digits) for split in splits)
    return Table(head=_split_head(level), rows=rows)


def split_of_constants(findings: Findings) -> str:
    """Where the constants that the report prints would put the splits, in a sentence: they are of
    one law, and the splits of all."""
    fit = findings.law_of("params", "tokens")
    asked = findings.answers.splits if findings.answers else ()
    shown = [
        split
        for factor, split in zip(FACTORS, findings.splits, strict=False)
        if factor in findings.split_factors
    ]
    budgets = sorted({split.budget for split in (*shown, *asked) if split.supported})
    if fit is None or not budgets or not hasattr(fit.law, "optimal_params"):
        return ""
    digits = digits_apart(budgets)
    places = [
        f"N {count_in_words(at['params'])}, D {count_in_words(at['tokens'])} at "
        f"{flops_in_words(at['train_flops'], digits)} FLOP"
        for at in fit.predict(train_flops=budgets).points
    ]
    name = law_title(fit.law.name)
    return (
        "The splits are what the weighted laws of the forecast together find best. The constants "
        f"in the table of {name} are of that law alone, and would give {'; '.join(places)}."
    )


def _split_head(level: float) -> tuple[str, ...]:
    percent = f"{100 * level:g}% interval"
    return ("Budget", "Parameters N", f"{percent} of N", "Tokens D", f"{percent} of D")


def _split_cells(split: OptimalSplit, level: float, digits: int = 3) -> tuple[str, ...]:
    ranges = (interval_at(split.params_range, level), interval_at(split.tokens_range, level))
    told = [f"{flops_in_words(split.budget, digits)} FLOP"]
    for best, ends in zip((split.params, split.tokens), ranges, strict=True):
        places = telling_digits(best, [ends], 3)
        told.append(NOT_SUPPORTED if best is None else count_in_words(best, places))
        told.append(" to ".join(count_in_words(split.shown(end), places) for end in ends))
    return tuple(told)


def held_out_table(findings: Findings) -> Table:
    """Predicted and measured loss of every held-out run."""
    check = findings.held_out
    if check is None:
        return Table(head=(), rows=())
    rows = [
        (
            ", ".join(
                f"{SYMBOLS.get(c, c)} {size_cell(v, c)}"
                for c, v in run.at.items()
                if c != "train_flops"
            )
            or flops_in_words(run.at["train_flops"], 3),
            f"{run.decades_beyond:.2f}",
            *predicted_cells(run.predicted, run.interval),
            f"{run.measured:.4f}",
            or_dash(run.error_percent, lambda v: percent_in_words(v, signed=True)),
            "inside" if run.is_inside else "OUTSIDE",
        )
        for run in check.runs
    ]
    level = f"{100 * check.confidence_level:g}% interval"
    head = ("Run", "Decades beyond", "Predicted", level, "Measured", "Error", "Measured loss is")
    missed = tuple(i for i, run in enumerate(check.runs) if not run.is_inside)
    return Table(head=head, rows=tuple(rows), marked=missed)


def from_all_table(findings: Findings) -> Table:
    """The forecast without the held-out runs and the one with them, at each factor."""
    level, rows = findings.confidence_level, []
    for factor in FACTORS:
        without, both = findings.target(factor), findings.target_from_all(factor)
        if without is None or both is None:
            continue
        cells = [cell for one in (without, both) for cell in _loss_and_ranges(one, level)]
        beyond = f"{both.decades_beyond:.1f}"
        at = x_in_words(both.at[findings.x], findings.x, spelt_out=False)
        rows.append((f"{factor:g}\u00d7", at, *cells, beyond))
    percent = f"{100 * level:g}% interval"
    head = ("Factor", "At", "Without them", percent, "With them", percent, "Decades beyond all")
    return Table(head=head, rows=tuple(rows))


def _loss_and_ranges(target: TargetForecast, *levels: float) -> tuple[str, ...]:
    """What is forecast of one run, as cells: the loss, and its interval at each level."""
    if target.median is None:
        shown = target.in_meaningful_digits().intervals
        rough = [" to ".join(map(rough_in_words, interval_at(shown, each))) for each in levels]
        return (NOT_SUPPORTED, *rough)
    ranges = [interval_at(target.intervals, level) for level in levels]
    digits = telling_digits(target.median, ranges, 4)
    told = [" to ".join(loss_in_words(end, digits) for end in each) for each in ranges]
    return (loss_in_words(target.median, digits), *told)


def backtest_table(findings: Findings) -> Table:
    """Error, bias, coverage and width of the backtests, by distance."""
    scored = findings.backtest
    if scored is None:
        return Table(head=(), rows=())
    bands = [(b.words, str(b.origins), b.score) for b in scored.by_distance]
    bands.append(("all, origins weighted alike", str(len(scored.origins)), scored.overall))
    rows = [
        (
            name,
            origins,
            str(score.predictions),
            percent_in_words(score.error),
            percent_in_words(score.bias, signed=True),
            f"{100 * score.coverage[0.5]:.0f}% / {100 * score.coverage[0.9]:.0f}%",
            percent_in_words(score.width),
        )
        for name, origins, score in bands
    ]
    head = (
        "Beyond what was seen",
        "Backtests",
        "Hidden runs",
        "Mean error",
        "Bias",
        "Inside 50% / 90%",
        "Width of 90%",
    )
    return Table(head=head, rows=tuple(rows))


def card_rows(fit: Fit) -> tuple[tuple[str, str], ...]:
    """The checklist card as name and text, without what stands elsewhere in the report."""
    if fit.card is None:
        return ()
    skipped = {"constants"}
    entries = {k: _card_text(v) for k, v in fit.card.items() if k not in skipped and v != []}
    return tuple((name[:1].upper() + name[1:], text) for name, text in entries.items() if text)


def _card_text(value: Any) -> str:
    if isinstance(value, Mapping):
        shown = {k: v for k, v in value.items() if v is not None}
        nested = any(isinstance(v, Mapping) for v in shown.values())
        return ("\n" if nested else ", ").join(f"{k}: {_card_text(v)}" for k, v in shown.items())
    if isinstance(value, list | tuple):
        return "; ".join(_card_text(v) for v in value) or "none"
    if isinstance(value, float):
        return number_in_words(value)
    return "\u2013" if value is None else str(value)
