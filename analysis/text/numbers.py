"""Numbers as people read them, for figures and reports alike."""

import math
import re
from collections.abc import Iterable

from scaling.columns import COLUMNS

_UNITS = (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3))
_LONG = (("trillion", 1e12), ("billion", 1e9), ("million", 1e6), ("thousand", 1e3))
_SUPERSCRIPTS = str.maketrans(
    "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
)
MINUS = "\u2212"
_NEGATIVE = re.compile(r"(?<= )-(?=[\d.])")  # no dash, and no flag of a command
TIMES = "\u00d7"


def count_in_words(value: float, digits: int = 3, *, spelt_out: bool = False) -> str:
    """A count, to three digits 15.4k, 2.29M, 70B; or 15.4 thousand, spelt out. From a thousand
    trillion on, as compute is: a power of ten."""
    rounded = float(f"{value:.{digits}g}")
    if not math.isfinite(value) or rounded >= 1000 * _UNITS[0][1] or 0 < rounded < 1e-4:
        return number_in_words(rounded, digits)
    for (unit, scale), (word, _) in zip(_UNITS, _LONG, strict=True):
        if rounded >= scale:
            told = f"{rounded / scale:.{digits}g}"
            told = f"{rounded / scale:.0f}" if "e" in told else told  # 700M, to one digit
            return f"{told}{f' {word}' if spelt_out else unit}"
    return f"{rounded:.{digits}g}"


def flops_in_words(value: float, digits: int = 2) -> str:
    """Compute as a power of ten, in plain text; 0 of a run that has just begun."""
    if value == 0:
        return "0"
    mantissa, power = _scientific(value, digits)
    return f"{mantissa} {TIMES} 10{str(power).translate(_SUPERSCRIPTS)}"


def digits_apart(values: Iterable[float], least: int = 3) -> int:
    """The fewest digits, ``least`` to 6, that write different values differently."""
    different = set(values)
    enough = (d for d in range(least, 6) if _written(different, d) == len(different))
    return next(enough, 6)


def _written(values: set[float], digits: int) -> int:
    return len({f"{value:.{digits - 1}e}" for value in values})


def flops_in_math(value: float) -> str:
    """Compute as a power of ten with two digits, for the labels of a figure."""
    mantissa, power = _scientific(value, 2)
    return rf"${mantissa}\times10^{{{power}}}$"


def loss_in_words(value: float, digits: int = 4) -> str:
    """A loss to four digits, trailing zeros kept."""
    return f"{value:#.{digits}g}".rstrip(".")


def rough_in_words(value: float) -> str:
    """A loss to two digits, for a forecast that supports no more."""
    return f"{value:.2g}"


def number_in_words(value: float, digits: int = 4) -> str:
    """Any number: plain where that is short, else with a power of ten; a true minus sign."""
    if not math.isfinite(value):
        return "\u221e" if value > 0 else f"{MINUS}\u221e" if value < 0 else "\u2013"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        rounded = abs(float(f"{value:.{digits}g}"))
        places = max(0, digits - 1 - math.floor(math.log10(rounded)))
        return f"{value:.{places}f}".replace("-", MINUS)
    mantissa, power = _scientific(abs(value), digits)
    sign = MINUS if value < 0 else ""
    return f"{sign}{mantissa} {TIMES} 10{str(power).translate(_SUPERSCRIPTS)}"


def percent_in_words(value: float, *, signed: bool = False) -> str:
    """A percentage to two decimals at most; with its sign where errors have one."""
    text = f"{value:+.2f}" if signed else f"{value:.2g}" if value < 10 else f"{value:.0f}"
    return text.replace("-", MINUS) + "%"


def factor_in_words(decades: float) -> str:
    """How many times, from decades: 3.3 times, 100 times."""
    factor = 10**decades
    if factor < 99.5:
        return f"{factor:.2g} times"
    rounded = float(f"{factor:.2g}")
    return (
        f"{rounded:,.0f} times"
        if rounded < 1e6
        else f"{count_in_words(rounded, spelt_out=True)} times"
    )


def in_print(sentence: str) -> str:
    """A sentence made for a terminal, for a page: a capital first, where it does not begin with
    the name of a column, and true minus signs."""
    first = sentence.partition(" ")[0]
    if first not in COLUMNS and "_" not in first:
        sentence = f"{sentence[:1].upper()}{sentence[1:]}"
    return _NEGATIVE.sub(MINUS, sentence.replace("+-", "\u00b1"))


def amount_in_words(value: float) -> str:
    """Money or hours to three digits, from a thousand to the unit: 0.0312, 12.5, 13,412."""
    if value >= 999_999.5:
        return count_in_words(value)
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def hours_in_words(hours: float) -> str:
    """A duration to three digits: 40 s, 12.5 min, 9.3 h, 12 days."""
    for unit, seconds, most in (("s", 1, 99.5), ("min", 60, 99.5), ("h", 3600, 47.95)):
        if hours * 3600 / seconds < most:
            return f"{hours * 3600 / seconds:.3g} {unit}"
    days = hours / 24
    return f"{days:.3g} days" if days < 999.5 else f"{count_in_words(days)} days"


def bytes_in_words(value: float) -> str:
    """Memory to three digits: 16 kB, 80 GB."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g} B"


def energy_in_words(kwh: float) -> str:
    """Energy to three digits: 31 Wh, 4.2 MWh."""
    for unit, scale in (("GWh", 1e6), ("MWh", 1e3), ("kWh", 1.0)):
        if kwh >= 0.9995 * scale:
            return f"{kwh / scale:.3g} {unit}"
    return f"{1000 * kwh:.3g} Wh"


def _scientific(value: float, digits: int) -> tuple[str, int]:
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    return mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa, int(power)
