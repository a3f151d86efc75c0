"""Confidence intervals and their levels: one type and one default for the whole analysis."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scaling.errors import ForecastError

#: The confidence level of every interval, in Python and on the command line, unless others are
#: asked for.
LEVEL = 0.9
#: The confidence levels at which backtests are scored, whatever else is asked for.
LEVELS = (0.5, 0.8, 0.9, 0.95)
#: Two levels this close are one: 1 - .1 and .9 differ in the last digit.
SAME_LEVEL = 1e-9


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
