"""The plain-words summary: what a planner reads, and perhaps all that a planner reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.capabilities.result import MetricForecast, MetricTarget
from analysis.decisions.budget_for_loss import BudgetForLoss
from analysis.evaluation.backtest import Backtest
from analysis.evaluation.scored import SCORED_LEVEL
from analysis.forecasting.answer.result import TargetForecast
from analysis.intervals import Interval, interval_at, telling_digits
from analysis.report.asked import FACTORS
from analysis.report.findings import Findings
from analysis.report.words.apart import told_apart
from analysis.report.words.beside import told_beside
from analysis.report.words.decision import decision_sentences
from analysis.report.words.places import target_in_words, targets_in_words, x_in_words, x_noun
from analysis.studies.published.growth import SIZE
from analysis.text.forecasting import forecast_sentence
from analysis.text.numbers import (
    count_in_words,
    digits_apart,
    factor_in_words,
    flops_in_words,
    loss_in_words,
    number_in_words,
    percent_in_words,
    rough_in_words,
)
from scaling.columns import with_loss_unit
from scaling.limits import LimitCode, texts
from scaling.tables.notes import printable
from scaling.words import counted

NOT_SUPPORTED = "not supported"
MOST_TOLD = 6  # answers in sentences; more stand in their table alone
MUCH_LESS = 0.1  # under the promised share of intervals that hold: then the promise says so


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One paragraph of the summary: its heading, its sentences, whether it is a warning."""

    heading: str
    text: str
    warns: bool = False


def summarise(findings: Findings) -> tuple[Statement, ...]:
    """What was run, what the law says, what more compute would reach, how far to trust it."""
    told = [*_what_was_asked(findings), *_what_is_decided(findings)]
    told += [Statement(heading=heading, text=text) for heading, text in told_beside(findings)]
    told += [Statement(heading=heading, text=text) for heading, text in told_apart(findings)]
    told += [_what_was_run(findings), *_what_the_law_says(findings)]
    told += _what_more_would_reach(findings) + _how_to_split(findings) + _held_out(findings)
    return (*told, *_trust(findings))


def budget_and_ranges(answer: BudgetForLoss, *levels: float) -> tuple[str, ...]:
    """A budget, and its range at each level, with the digits that mean something."""
    ranges = [interval_at(answer.ranges, level) for level in levels]
    digits = telling_digits(answer.median, ranges, 3) if answer.supported else 1

    def told(value: float) -> str:
        """0 and infinity say that none was found within the range that was searched."""
        if value == 0 or value == float("inf"):
            return "below the data" if value == 0 else "unbounded"
        if answer.column == "train_flops":
            return f"{flops_in_words(value, digits)} FLOP"
        return count_in_words(value, digits)

    median = NOT_SUPPORTED if answer.median is None else told(answer.median)
    return (median, *(" to ".join(map(told, each)) for each in ranges))


def _what_was_asked(findings: Findings) -> list[Statement]:
    answers = findings.answers
    refused = [one.text for one in findings.limits if one.code is LimitCode.NO_ANSWER]
    not_answered = [f"Not answered: {text}." for text in refused]
    if answers is None:
        text = " ".join(not_answered)
        return [Statement(heading="What you asked for", text=text)] if text else []
    names = targets_in_words(answers.targets)
    told = [_forecast_of(findings, name, t) for name, t in zip(names, answers.targets, strict=True)]
    told += [_needed(findings, budget) for budget in answers.budgets]
    for made in answers.metrics:
        named = zip(metric_targets(made), made.targets, strict=True)
        told += [metric_in_words(made, t, name, findings.confidence_level) for name, t in named]
    more = len(told) - MOST_TOLD
    sentences = told[:MOST_TOLD]
    if more > 0:
        sentences.append(f"{counted(more, 'more answer stands', 'more answers stand')} below.")
    sentences += not_answered
    return [Statement(heading="What you asked for", text=" ".join(sentences))]


def _what_is_decided(findings: Findings) -> list[Statement]:
    if findings.plan is None:
        return []
    told = findings.answers is not None and bool(findings.answers.splits)
    level = findings.confidence_level
    sentences = decision_sentences(findings.plan, level, with_loss=not told)
    return [Statement(heading="What budgets buy, and take", text=" ".join(sentences))]


def metric_targets(forecast: MetricForecast) -> list[str]:
    """The runs that a metric was forecast of, in words."""
    digits = digits_apart(target.at["train_flops"] for target in forecast.targets)
    return [target_in_words(target.at, digits) for target in forecast.targets]


def metric_in_words(forecast: MetricForecast, target: MetricTarget, name: str, level: float) -> str:
    """The answer at one target, in a sentence."""
    span, percent = metric_span(forecast, interval_at(target.intervals, level)), f"{100 * level:g}%"
    metric = printable(forecast.metric)
    if target.median is None:
        return f"At {name} {metric} lies too far out for a number ({percent} interval {span})."
    median = metric_written(forecast)(target.median)
    return f"At {name} {metric} should be {median}, {percent} interval {span} ({target.route})."


def metric_span(forecast: MetricForecast, ends: tuple[float, float]) -> str:
    """An interval of the metric."""
    return " to ".join(map(metric_written(forecast), ends))


def metric_written(forecast: MetricForecast) -> Callable[[float], str]:
    """How values of the metric are written: four decimals of a share, two of a percentage."""
    places = 2 if 100 in (forecast.best, forecast.worst) else 4
    return lambda value: f"{value:.{places}f}"


def _interval_of(target: TargetForecast, findings: Findings) -> Interval:
    """The interval in the digits that mean something, as every other place shows it."""
    return interval_at(target.in_meaningful_digits().intervals, findings.confidence_level)


def _needed(findings: Findings, answer: BudgetForLoss) -> str:
    """What a loss costs, in a sentence."""
    shown, level = answer.in_meaningful_digits(), findings.confidence_level
    loss = with_loss_unit(f"{answer.loss:g}", findings.used.loss_kind)
    median, span = budget_and_ranges(shown, level)
    noun = x_noun(findings.x)
    if shown.median is None:
        return (
            f"The {noun} for a loss of {loss} lies too far out for a number: somewhere from "
            f"{span} ({_level(findings)} interval)."
        )
    return f"The {noun} for a loss of {loss}: {median}, {_level(findings)} interval {span}."


def _what_was_run(findings: Findings) -> Statement:
    used = findings.used
    parts = []
    for name in ("params", "tokens"):
        if name in used and name != findings.x and np.isfinite(used.column(name)).all():
            low, high = used.column(name).min(), used.column(name).max()
            parts.append(f"{_between(low, high)} {x_noun(name)}")
    low, high = used.column(findings.x).min(), findings.largest
    span = (
        f", which is {factor_in_words(float(np.log10(high / low)))} as much"
        if high > low > 0
        else ""
    )
    if findings.x == "train_flops":
        least, most = flops_in_words(low), flops_in_words(high)
        parts.append(f"{least if least == most else f'{least} to {most}'} FLOP{span}")
    else:
        parts.append(f"{_between(low, high)} {x_noun(findings.x)}{span}")
    text = f"{counted(len(used), 'run is', 'runs are')} used: {'; '.join(parts)}."
    losses = used.column("loss")
    text += (
        f" They reached losses from {loss_in_words(losses.max())} down to "
        f"{with_loss_unit(loss_in_words(losses.min()), used.loss_kind)}."
    )
    if used.dropped:
        left_out = counted(len(used.dropped), "row was", "rows were")
        text += f" {left_out} left out of the fits, with reasons given below."
    return Statement(heading="What was run", text=text)


def _between(low: float, high: float) -> str:
    small, large = (count_in_words(v, spelt_out=True) for v in (low, high))
    return small if small == large else f"{small} to {large}"


def _what_the_law_says(findings: Findings) -> list[Statement]:
    law = findings.law_of(findings.x)
    sentences = []
    if law is not None and law.records is not None:
        used = law.records.column(findings.x)
        first, last = (float(law.law.loss(v)) for v in (used.min(), used.max()))
        which = "best runs" if findings.x == "train_flops" else "runs"
        factor = factor_in_words(float(np.log10(used.max() / used.min())))
        sentences.append(
            f"Along the {which} the fitted law falls from {loss_in_words(first)} to "
            f"{with_loss_unit(loss_in_words(last), law.records.loss_kind)} as "
            f"{x_noun(findings.x)} grows {factor}."
        )
    published = findings.published.findings if findings.published else ()
    for one in published:
        if one.quantity == SIZE and one.estimate is not None and one.interval is not None:
            digits = telling_digits(one.estimate, [one.interval], 2)
            sentences.append(
                "The compute-optimal model size grows as compute to the power "
                f"{number_in_words(one.estimate, digits)} ({_level(findings)} interval "
                f"{' to '.join(number_in_words(end, digits) for end in one.interval)})."
            )
    return [Statement(heading="What the law says", text=" ".join(sentences))] if sentences else []


def _what_more_would_reach(findings: Findings) -> list[Statement]:
    if not findings.of_compute:
        refusal = findings.refusal(LimitCode.NO_FORECAST)
        text = f"No forecast of all runs by {x_noun(findings.x)} is made: {refusal}."
        return [Statement(heading="What this page does not say", text=text)]
    if all(findings.target(factor) is None for factor in FACTORS):
        refusal = findings.refusal(LimitCode.NO_FORECAST)
        return [Statement(heading="What more would reach", text=f"No forecast: {refusal}.")]
    targets = [(factor, findings.target(factor)) for factor in findings.factors]
    sentences = [_reach(findings, factor, t) for factor, t in targets if t is not None]
    if not sentences:
        told = " and ".join(f"{factor:g}" for factor in FACTORS)
        sentences = [f"{told} times the largest fitted run are nearly what you asked for."]
    sentences.append(_support(findings))
    heading = f"What more {x_noun(findings.x)} would reach"
    return [Statement(heading=heading, text=" ".join(sentences))]


def _support(findings: Findings) -> str:
    """Whether the runs reach far enough to carry the forecasts, in a sentence."""
    values = findings.used.column(findings.x)
    span = float(np.log10(values.max() / values.min()))
    targets = [(f, findings.target(f)) for f in FACTORS]
    guesses = [f"{f:g} times" for f, t in targets if t is not None and not t.supported]
    if not guesses:
        return (
            "A new run of the same recipe should end inside such an interval "
            f"{_level(findings)} of the time{_held_less_often(findings)}."
        )
    return (
        f"The runs span {span:.1f} decades of {x_noun(findings.x)} and do not support a number "
        f"for {' and '.join(guesses)}: take that as an order of magnitude, not as a promise."
    )


def _held_less_often(findings: Findings) -> str:
    """Where backtests as far out found much less than their intervals promise."""
    found = [
        f"{100 * band.score.coverage[SCORED_LEVEL]:.0f}% as far out as {factor:g} times"
        for factor in FACTORS
        if findings.backtest is not None
        and (target := findings.target(factor)) is not None
        and (band := findings.backtest.at_distance(target.decades_beyond)) is not None
        and band.score.coverage[SCORED_LEVEL] < SCORED_LEVEL - MUCH_LESS
    ]
    if not found:
        return ""
    return (
        f", but of the {100 * SCORED_LEVEL:g}% intervals in backtests of this ladder only "
        f"{' and '.join(found)} held"
    )


def _reach(findings: Findings, factor: float, target: TargetForecast) -> str:
    at = x_in_words(target.at[findings.x], findings.x)
    return _forecast_of(findings, f"{factor:g} times the largest fitted run ({at})", target)


def _forecast_of(findings: Findings, where: str, target: TargetForecast) -> str:
    """What a run would reach, in a sentence."""
    kind = findings.used.loss_kind
    return forecast_sentence(where, target, findings.confidence_level, kind)


def _count_and_range(best: float, ends: Sequence[float], noun: str) -> str:
    """A size in words, and its range."""
    digits = telling_digits(best, [ends], 3)
    span = " to ".join(count_in_words(end, digits) for end in ends)
    return f"{count_in_words(best, digits, spelt_out=True)} {noun} ({span})"


def _how_to_split(findings: Findings) -> list[Statement]:
    if not findings.splits:
        return []
    sentences = []
    for factor, split in zip(FACTORS, findings.splits, strict=True):
        if factor not in findings.split_factors:
            continue
        n_ends, d_ends = (
            [split.shown(end) for end in ranges[findings.confidence_level]]
            for ranges in (split.params_range, split.tokens_range)
        )
        if split.params is None or split.tokens is None:
            n, d = (" to ".join(map(count_in_words, ends)) for ends in (n_ends, d_ends))
            sentences.append(
                f"At {factor:g} times the runs say no more than {n} parameters on {d} tokens."
            )
            continue
        sentences.append(
            f"At {factor:g} times: about {_count_and_range(split.params, n_ends, 'parameters')} on "
            f"{_count_and_range(split.tokens, d_ends, 'tokens')}."
        )
    if not sentences:
        return []
    return [Statement(heading="How to split that budget", text=" ".join(sentences))]


def _held_out(findings: Findings) -> list[Statement]:
    check = findings.held_out
    if check is None:
        refusal = findings.refusal(LimitCode.NO_HELD_OUT_CHECK)
        if not findings.of_compute and not refusal:
            return []
        text = f"It could not be made: {refusal}." if refusal else "No run was held out."
        return [Statement(heading="The held-out check", text=text)]
    known = [r.error_percent for r in check.runs if r.error_percent is not None]
    errors = ", ".join(percent_in_words(error, signed=True) for error in known)
    beyond = max(run.decades_beyond for run in check.runs)
    hidden = counted(len(check.runs), "run was", "runs were")
    text = (
        f"{hidden} hidden from every fit, at {factor_in_words(beyond)} the largest "
        f"fitted one ({beyond:.2f} decades beyond the data)."
    )
    text += f" The prediction was off by {errors}." if known else ""
    far = len(check.runs) - len(known)
    if far:
        text += (
            " So far out the runs support an interval and no prediction."
            if not known
            else f" {counted(far, 'lies', 'lie')} too far out for more than an interval."
        )
    if check.warning:
        text = f"{check.warning} {text}{_with_all(findings)}"
        return [Statement(heading="The held-out check", text=text, warns=True)]
    losses = "loss lies" if len(check.runs) == 1 else "losses lie"
    text += f" The measured {losses} inside the {_level(findings)} interval."
    text += _with_all(findings)
    return [Statement(heading="The held-out check", text=text)]


def _with_all(findings: Findings) -> str:
    """What the forecast becomes with the held-out runs among the others, for the first factor."""
    target = findings.target_from_all(FACTORS[0])
    if target is None:
        return ""
    low, high = _interval_of(target, findings)
    where = f" From all runs, these among them, {FACTORS[0]:g} times the largest fitted run"
    if target.median is None:
        return f"{where} would end between {rough_in_words(low)} and {rough_in_words(high)}."
    digits = telling_digits(target.median, [(low, high)], 4)
    return (
        f"{where} should reach {loss_in_words(target.median, digits)}, {_level(findings)} interval "
        f"{loss_in_words(low, digits)} to {loss_in_words(high, digits)}."
    )


def _trust(findings: Findings) -> list[Statement]:
    if findings.forecast is None:
        return []
    told_elsewhere = [LimitCode.LEFT_OUT]  # in a table of the report's own
    if any(target.supported for target in findings.forecast.targets):
        told_elsewhere.append(LimitCode.UNSUPPORTED)  # with each target, and how far runs reach
    sentences = [
        f"{sentence[:1].upper()}{sentence[1:]}."
        for sentence in texts(findings.forecast.limits, without=told_elsewhere)
    ]
    scored = findings.backtest
    if scored is not None:
        sentences += _backtested(findings, scored)
    elif refusal := findings.refusal(LimitCode.NO_BACKTEST):
        sentences.append(f"No backtest on this ladder: {refusal}.")
    sentences.append(
        "All of it holds for the same recipe and data at a larger scale, not for others."
    )
    return [Statement(heading="How far to trust it", text=" ".join(sentences))]


def _backtested(findings: Findings, scored: Backtest) -> list[str]:
    """What backtests found as far out as each target lies, and where there were none so far."""
    asked = findings.answers.targets[:MOST_TOLD] if findings.answers else ()
    names = (name.partition(" (")[0] for name in targets_in_words(asked))
    places = [*zip(names, asked, strict=True)]
    automatic = ((f, findings.target(f)) for f in findings.factors)
    places += [(f"{f:g} times", target) for f, target in automatic if target is not None]
    unreached: list[str] = []
    reached: dict[float, list[str]] = {}
    for name, target in places:
        if target.decades_beyond == 0:
            continue
        band = scored.at_distance(target.decades_beyond)
        alike = unreached if band is None else reached.setdefault(band.decades_from, [])
        place = f"{name} ({target.decades_beyond:.1f} decades)"
        alike += [] if place in alike else [place]
    sentences = []
    for band in (b for b in scored.by_distance if b.decades_from in reached):
        there = " and ".join(reached[band.decades_from])
        sentences.append(
            f"As far out as {there}, {band.missed}, and "
            f"{100 * band.score.coverage[SCORED_LEVEL]:.0f}% of these runs fell inside their "
            f"{100 * SCORED_LEVEL:g}% intervals."
        )
    if unreached:
        furthest = max(run.decades_beyond for run in scored.predictions)
        sentences.append(
            f"No backtest of this ladder reached as far as {' or '.join(unreached)}: the furthest "
            f"hidden run lay {furthest:.2f} decades out, and how often intervals hold further out "
            "has not been tried."
        )
    return sentences


def _level(findings: Findings) -> str:
    return f"{100 * findings.confidence_level:g}%"
