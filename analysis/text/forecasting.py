"""Results as text for a terminal. It only arranges what the results hold."""

import math
from collections.abc import Mapping, Sequence

from analysis.forecasting.answer.result import Forecast, TargetForecast
from analysis.intervals import Interval, interval_at, telling_digits
from analysis.text.numbers import digits_apart, loss_in_words, rough_in_words
from analysis.text.tables import FARTHEST, interval_text, target_label
from scaling.columns import with_loss_unit
from scaling.display import Block, Section, Table, answer_alone, as_text
from scaling.laws import LAWS
from scaling.limits import texts
from scaling.words import counted

OUTSIDE = "outside the interval"
CERTIFICATE = "any sum of powers"
MOST = 12  # targets that get a sentence of their own
MOST_WEIGHED = 3  # targets that get a table of the laws' weights


def forecast_text(forecast: Forecast, *, alone: bool = False) -> str:
    """The forecast as text; ``alone``: without what it rests on."""
    blocks = forecast_blocks(forecast)
    return as_text(answer_alone(blocks) if alone else blocks)


def forecast_blocks(forecast: Forecast) -> list[Block]:
    """One row per target, what it rests on, why the laws have their weights, limits."""
    levels = list(forecast.targets[0].intervals)
    header = [
        "target",
        "median",
        *(f"{level:.10g}% interval" for level in (100 * v for v in levels)),
        *([CERTIFICATE] if forecast.targets[0].certificate else []),
    ]
    labels = _labels(forecast.targets)
    rows = [
        [label, *_target_cells(target, levels)]
        for label, target in zip(labels, forecast.targets, strict=True)
    ]
    surface = "params" in forecast.targets[0].at and "tokens" in forecast.targets[0].at
    blocks: list[Block] = [
        f"forecast from {counted(forecast.runs, 'run')} of {forecast.source}",
        "",
        Table(header, rows),
        "intervals are of the loss of a new run",
        "",
        *(
            f"{label}: {_standing(target)}"
            for label, target in zip(labels[:MOST], forecast.targets[:MOST], strict=True)
        ),
        *([f"({FARTHEST})"] if surface else []),
        "",
        *_parts(forecast.targets),
        forecast.noise.line,
    ]
    if not forecast.floor_identified and forecast.pinned_floors:
        widest = [target.intervals[max(levels)] for target in forecast.targets]
        pinned = "; ".join(
            f"{floor:.2f} -> {', '.join(map(pinned_median, medians, widest))}"
            for floor, medians in forecast.pinned_floors.items()
        )
        blocks += [f"medians if the irreducible loss were: {pinned}", f"({pinned_note(forecast)})"]
        if OUTSIDE in pinned:
            blocks.append(f"({pinned_outside(max(levels))})")
    limits = Section("limits", texts(forecast.limits))
    certified = Section("certificate", certified_lines(forecast.targets, labels))
    return [*blocks, certified, Section("evidence", forecast.evidence), limits]


def forecast_sentence(where: str, target: TargetForecast, level: float, loss_kind: str) -> str:
    """What a run would reach, in a sentence: ``where`` names it, ``loss_kind`` is the records'."""
    beyond = target.decades_beyond
    distance = f"that is {beyond:.1f} decades beyond the data" if beyond else "inside the data"
    low, high = interval_at(target.in_meaningful_digits().intervals, level)
    interval = f"{100 * level:g}% interval"
    if target.median is None:
        return (
            f"{where} would end somewhere between {rough_in_words(low)} and "
            f"{rough_in_words(high)} ({interval}); {distance}."
        )
    digits = telling_digits(target.median, [(low, high)], 4)
    return (
        f"{where} should reach a loss of "
        f"{with_loss_unit(loss_in_words(target.median, digits), loss_kind)}, {interval} "
        f"{loss_in_words(low, digits)} to {loss_in_words(high, digits)}; {distance}."
    )


def pinned_median(median: float | None, ends: Interval) -> str:
    """The median with a pinned floor, with a word where it lies outside the interval."""
    is_outside = median is not None and not ends.low <= median <= ends.high
    return _median(median) + (f" ({OUTSIDE})" if is_outside else "")


def pinned_outside(level: float) -> str:
    """Why the median with a pinned floor may lie outside the interval."""
    return (
        f"the {100 * level:g}% interval takes the floor as unknown; a loss outside it is what that "
        "law says, and the runs and all laws together make such a floor unlikely"
    )


def pinned_note(forecast: Forecast) -> str:
    """What the medians with a pinned floor are of, and where one finds others."""
    name = next(iter(forecast.laws.values()))
    held = f"{LAWS[name].floor}=..." if name in LAWS else "..."
    return (
        f"these are of one law, {name}, with the priors of a forecast; scaling forecast --law "
        f"{name} --fix {held} also weighs its variants by backtests and has intervals, and "
        f"scaling fit --law {name} --fix {held} has no priors"
    )


def _labels(targets: Sequence[TargetForecast]) -> list[str]:
    """Each target in one phrase, with digits that tell different budgets apart."""
    digits = digits_apart(t.at["train_flops"] for t in targets if "train_flops" in t.at)
    return [target_label(target.at, digits) for target in targets]


def _target_cells(target: TargetForecast, levels: Sequence[float]) -> list[str]:
    """A target's answers: four decimals where they are supported, else two digits and no median."""
    median = target.median
    allowed = target.in_meaningful_digits().certificate
    if median is None:
        shown = target.in_meaningful_digits().intervals
        ranges = ["[{:.2g}, {:.2g}]".format(*shown[level]) for level in levels]
        last = allowed and allowed.range and "[{:.2g}, {:.2g}]".format(*allowed.range)
        return [_median(median), *ranges, *([last or "none"] if allowed else [])]
    ends = [target.intervals[level] for level in levels]
    places = telling_digits(median, ends, _places(median), decimals=True)
    last = allowed and allowed.range and interval_text(allowed.range, places)
    cells = [f"{median:.{places}f}", *(interval_text(each, places) for each in ends)]
    return [*cells, *([last or "none"] if allowed else [])]


def certified_lines(targets: Sequence[TargetForecast], labels: Sequence[str]) -> list[str]:
    """What the runs alone allow at each target, in a sentence; nothing where nobody asked."""
    first = targets[0].certificate
    if first is None:
        return []
    found = [(label, t.certified) for label, t in zip(labels[:MOST], targets, strict=False)]
    return [f"{CERTIFICATE}: {first.bands}", *(f"{label}: {line}" for label, line in found)]


def _median(value: float | None) -> str:
    return "unsupported" if value is None else f"{value:.{_places(value)}f}"


def _places(loss: float) -> int:
    """Decimals that show a loss to four digits at least, in whatever unit it is."""
    return 4 if loss >= 0.1 else 3 - math.floor(math.log10(loss))


def _standing(target: TargetForecast) -> str:
    if target.supported:
        return target.evidence
    return f"UNSUPPORTED, an order of magnitude only: {target.evidence}"


def _parts(targets: Sequence[TargetForecast]) -> list[Block]:
    """Why the laws have their weights, and what makes the width, at each of the first targets."""
    blocks: list[Block] = []
    for target, label in zip(targets[:MOST_WEIGHED], _labels(targets), strict=False):
        at = f" at {label}" if len(targets) > 1 else ""
        shares = f"parts of the width{at}:  {_shares(target.shares)}"
        drift = [f"drift of ladders{at}:  {because}"] if (because := target.drift_because) else []
        tuning = [f"tuning{at}:  {because}"] if (because := target.tuning_because) else []
        blocks += [
            *_weights(target, label),
            shares,
            *drift,
            *tuning,
            *([""] if len(targets) > 1 else []),
        ]
    if len(targets) > MOST_WEIGHED:
        blocks += [f"({MOST_WEIGHED} of {len(targets)} targets; to_json and --json have all)", ""]
    return blocks


def _weights(target: TargetForecast, label: str) -> list[Block]:
    """Why the laws have their weights at one target; of one law there is nothing to say."""
    if len(target.weights) == 1:
        return []
    because = f"weights of the laws at {label}: {target.weights_because}"
    rows = [
        [
            f"  {name}",
            f"{weight:.0%}",
            f"{target.weight_reasons[name].first_weight:.0%}",
            _share(target.weight_reasons[name].fitted_weight),
            _percent(target.weight_reasons[name].backtest_error),
        ]
        for name, weight in sorted(target.weights.items(), key=lambda item: -item[1])
    ]
    header = ["  law", "weight", "before", "after the fit", "error in backtest"]
    return [because, Table(header, rows), ""]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}%"


def _shares(shares: Mapping[str, float]) -> str:
    largest_first = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in largest_first)
