"""Budgets, prices, durations and memory as people write them: one reader for each.

1e21  10x                                         FLOP, or times what the largest run took
2.5/h  2.5USD/h  $2.50/h  EUR 3 per GPU hour     an hour of one device
90min  36h  10d  2 weeks                          a duration; a bare number has no unit
80GB  80GiB  141e9                                memory; a bare number is bytes
"""

import math
import re
from dataclasses import dataclass

from scaling.tables.cells.numbers import number

_HOUR = r"(?:/|per)\s*(?:(?:device|gpu|tpu|chip|card)[- ]?)?(?:h|hr|hrs|hours?)"
_PRICE = re.compile(
    r"(?P<before>[^\d\s.,+-]*)\s*(?P<value>[+-]?\d[\d.,_']*(?:e[+-]?\d+)?|[+-]?\.\d+)\s*(?P<after>[^\d\s./,]*)\s*"
    rf"(?P<per>{_HOUR})?",
    re.IGNORECASE,
)
_SIGNS = {"$": "USD", "\u20ac": "EUR", "\u00a3": "GBP", "\u00a5": "JPY", "us$": "USD"}
_CODE = re.compile(r"[a-z]{3}", re.IGNORECASE)
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "wk", "week", "weeks"), 7 * 86400.0),
}
_BYTES = {
    **{"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
    **{"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40},
}
_TIMES = re.compile("(?P<factor>.+?)\\s*[xX\u00d7]")
_MEASURED = re.compile(r"(?P<value>[\d.,_e+-]*\d)\s*(?P<unit>[a-z]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Multiple:
    """A budget as a multiple of the compute of the largest run that fits may use."""

    factor: float

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.factor:.10g}x"


@dataclass(frozen=True, kw_only=True)
class Price:
    """What an hour of one device costs."""

    per_device_hour: float
    currency: str = ""
    """Its code, such as USD; empty where it was not said."""

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.per_device_hour:g} {self.currency}".strip()


def budget(text: str) -> float | Multiple:
    """The budget that a person wrote. Raises ValueError for anything else."""
    times = _TIMES.fullmatch(text.strip())
    return Multiple(number(times["factor"])) if times else number(text)


def price(text: str) -> Price:
    """The price of a device hour that a person wrote. Raises ValueError for anything else."""
    found = _PRICE.fullmatch(text.strip()) if len(text) < 100 else None
    example = "write it as 2.5/h, 2.5USD/h or EUR 2.5/h"
    if found is None:
        raise ValueError(f'"{text[:40]}" is no price of a device hour; {example}')
    named = [found[side].strip() for side in ("before", "after") if found[side].strip()]
    known = {_SIGNS.get(name.lower(), name.upper()) for name in named}
    odd = [name for name in named if name.lower() not in _SIGNS and not _CODE.fullmatch(name)]
    if odd:
        raise ValueError(f'"{text[:40]}": {odd[0]} is no currency; {example}')
    if len(known) > 1:
        raise ValueError(f'"{text[:40]}" names two currencies; give one')
    value = _positive(found["value"], text, f"a price; {example}")
    return Price(per_device_hour=value, currency=next(iter(known), ""))


def duration(text: str) -> float:
    """The seconds that a person wrote. Raises ValueError for anything else, a bare number too."""
    found = _MEASURED.fullmatch(text.strip()) if len(text) < 100 else None
    scale = _SECONDS.get(found["unit"].lower()) if found else None
    if found is None or scale is None:
        raise ValueError(f'"{text[:40]}" is no duration; write it as 36h, 10d or 2 weeks')
    return _positive(found["value"], text, "a duration") * scale


def memory(text: str) -> float:
    """The bytes that a person wrote. Raises ValueError for anything else."""
    found = _MEASURED.fullmatch(text.strip()) if len(text) < 100 else None
    scale = _BYTES.get(found["unit"].lower()) if found else None
    if found is None or scale is None:
        raise ValueError(f'"{text[:40]}" is no size of memory; write it as 80GB or 80GiB')
    return _positive(found["value"], text, "a size of memory") * scale


def _positive(digits: str, text: str, what: str) -> float:
    value = number(digits)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f'"{text[:40]}" is not {what}: give a finite number above zero')
    return value
