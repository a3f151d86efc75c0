"""Confidence intervals and their levels: one type and one default for the whole analysis."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scaling.errors import ForecastError

#: The confidence level of every interval, in Python and on the command line, unless others are
#: asked for.
LEVEL = 0.9
#: The confidence levels at which backtests are scored, whatever else is asked for.
LEVELS = (0.5, 0.8, 0.9, 0.95)
#: Two levels this close are one: 1 - .1 and .9 differ in the last digit.
SAME_LEVEL = 1e-9
#: Ends this close, relative, are one number: they differ by rounding.
SAME_END = 1e-9
#: An interval is written in no more digits.
MOST_DIGITS = 12


class Interval(NamedTuple):
    """A two-sided confidence interval, in the unit of the quantity it brackets."""

    low: Any
    high: Any


def interval_at(intervals: Mapping[float, Interval], level: float) -> Interval:
    """The interval at a confidence level, whatever arithmetic the level came from.

    Raises ForecastError naming the levels that there are.
    """
    for known, ends in intervals.items():
        if math.isclose(known, level, abs_tol=SAME_LEVEL):
            return ends
    have = ", ".join(f"{known:g}" for known in intervals) or "none"
    raise ForecastError(f"confidence level {level:g} is not in the forecast (it has {have})")


def intervals_from(document: Mapping[str, Sequence[float]]) -> dict[float, Interval]:
    """The intervals of a JSON document, by level as a number again."""
    return {float(level): Interval(*ends) for level, ends in document.items()}


def interval_columns(intervals: Mapping[float, Interval], of: str = "") -> dict[str, Any]:
    """The ends of intervals as columns of a table: low_90, high_90 and so on, by level; with
    ``of``, what the intervals are of, as its first word."""
    columns: dict[str, Any] = {}
    for level, (low, high) in intervals.items():
        for end, value in (("low", low), ("high", high)):
            columns[f"{of}_{end}_{100 * level:.10g}".lstrip("_")] = value
    return columns


def holding(interval: Interval, value: float) -> Interval:
    """The interval, as far as the estimate that it belongs to where percentiles leave it out."""
    return Interval(min(interval.low, value), max(interval.high, value))


def outwards(interval: Interval, digits: int = 2) -> Interval:
    """An interval of positive numbers with so many digits, whose ends lie no further in."""
    ends = []
    for value, rounded in zip(interval, (math.floor, math.ceil), strict=True):
        if not (math.isfinite(value) and value > 0):
            ends.append(float(value))
            continue
        place = 10.0 ** (digits - 1 - math.floor(math.log10(value)))
        ends.append(float(f"{rounded(round(value * place, 6)) / place:.{digits}g}"))
    return Interval(*ends)


def telling_digits(
    estimate: float | None,
    intervals: Iterable[Sequence[float]],
    least: int,
    *,
    decimals: bool = False,
    of_estimate: int = 0,
) -> int:
    """The fewest digits, ``least`` or more, in which intervals tell their ends apart and hold their
    estimate as they are written: significant digits, or ``decimals``.

    All are written with as many, the estimate with ``of_estimate`` at least. Without an estimate
    ``least`` is all that means something.
    """
    known = [ends for ends in intervals if all(map(math.isfinite, ends))]
    if estimate is None or not math.isfinite(estimate):
        return least
    form = "f" if decimals else "g"
    for digits in range(least, MOST_DIGITS):
        middle = float(f"{estimate:.{max(digits, of_estimate)}{form}}")
        if all(_told(middle, estimate, ends, f".{digits}{form}") for ends in known):
            return digits
    return MOST_DIGITS


def _told(written: float, estimate: float, ends: Sequence[float], form: str) -> bool:
    low, high = (float(f"{end:{form}}") for end in ends)
    are_apart = low < high or math.isclose(*ends, rel_tol=SAME_END)
    return are_apart and (low <= written <= high or not ends[0] <= estimate <= ends[1])


def in_decimals(estimate: float, interval: Sequence[float], least: int = 4) -> tuple[str, str, str]:
    """An estimate, and the ends of its interval, in ``least`` decimals or as many as it takes."""
    digits = telling_digits(estimate, [interval], least, decimals=True)
    written, low, high = (f"{value:.{digits}f}" for value in (estimate, *interval))
    return written, low, high
