"""Numbers as people write them: one reader for tables, the command line, filters and YAML.

    10M  1.5B  1.4 trillion tokens  124,439,808  1_000_000  1e21  1.5x10^21  3 ZFLOP  45%

Where a comma stands for the decimal point, the caller says so (`decimal_commas` finds out).
"""

import math
import re
import unicodedata
from typing import TYPE_CHECKING

from scaling.columns import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_PREFIXES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
_SCALES = {
    **{"k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "mm": 1e6, "mn": 1e6, "mio": 1e6},
    **{"million": 1e6, "millions": 1e6, "mil": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9},
    **dict.fromkeys(("millionen", "millones"), 1e6),
    **dict.fromkeys(("mrd", "milliard", "milliards", "milliarden"), 1e9),
    **{"billions": 1e9, "g": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12},
}
_FLOP_DAY = re.compile(r"(peta|p)[- ]?(f|flops?)?(/s)?[- ]?days?")
_FLOP = re.compile(r"(?P<prefix>[kmgtpezy]|kilo|mega|giga|tera|peta|exa|zetta|yotta)?flops?")
_NOUNS = re.compile(r"\s*(params?|parameters?|tokens?|toks?|nats?|per token|/ ?token)\s*$")
_POWER = re.compile(r"[x*\u00d7\u00b7]?\s*10\s*(\^|\*\*)\s*(?P<up>[+-]?\d+)")
_RAISED = re.compile("[\u207a\u207b\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<digits>\d[\d.,_'\u2019 \u00a0\u2009\u202f]*|[.,]\d+)"
    r"(?P<exponent>[eE][+-]?\d+)?(?P<rest>.*)",
    re.DOTALL,
)
#: Cells that say that there is no number.
_BLANK = frozenset(("", "-", "--", "---", "n/a", "na", "nan", "none", "null", "?", "tbd", "nil"))
_BLANK |= {"\u2014", "\u2013", "<na>", "#n/a", "#na", "undefined"}
_LEAD = r"[\s\"'~\u2248]*[+-]?"
_DECIMAL = re.compile(_LEAD + r"(\d+,(\d{1,2}|\d{4,})|0,\d+|\d{4,},\d+)(?![\d.,])")
_THOUSANDS = re.compile(_LEAD + r"\d{1,3}((,\d{3}){2,}(\.\d+)?\b|(,\d{3})+\.\d)")
_POINT = re.compile(_LEAD + r"(\d+\.(\d{1,2}|\d{4,})|0?\.\d+)(?![\d.,])")
_BY_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_WITHOUT_POINT = re.compile(r"[+-]?(\d+(,\d+)?|[1-9]\d{0,2}(\.\d{3})+(,\d+)?)")
_ENOUGH = 2000  # different cells that tell a column's style


#: A spread behind a value: 2.31 +- 0.02, 2.31 (2).
_SPREAD = re.compile(
    r"(.*\d)\s*((\u00b1|\+/?-|\\pm)\s*[\d.,]+(e-?\d+)?|\((\d{1,3}|\d?[.,]\d+)\))\s*", re.IGNORECASE
)
_MARKS = "*\u2020\u2021\u00a7\u2191\u2193 "  # emphasis and footnotes around a number
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:[.,]\d+)?) ?([kmbt])(?![a-z0-9])", re.IGNORECASE)


def size_in_name(name: str) -> float | None:
    """The size in the name of a model ("pythia-70m", "1.4B-deduped"); None without one or with
    several."""
    found = {(digits.replace(",", "."), unit.lower()) for digits, unit in _SIZE.findall(name)}
    if len(found) != 1:
        return None
    ((digits, unit),) = found
    return number(f"{digits}{unit}")


def is_blank(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.strip().lower() in _BLANK


def unit_factor(unit: str) -> float | None:
    """What a number is multiplied by for the unit behind it ("M", "B tokens", "PF-days"); None
    where the unit is none that scales."""
    text = _in_ascii(unit).strip().lower()
    if bracketed := re.fullmatch(r"[(\[]([^()\[\]]*)[)\]]", text):
        text = bracketed[1].strip()
    if found := _POWER.fullmatch(_NOUNS.sub("", text)):
        return float(10.0 ** int(found["up"]))
    if re.fullmatch(r"[x*]?\s*1e\+?\d+", text):
        return float(text.lstrip("x* "))
    if _FLOP_DAY.fullmatch(text):
        return 86400e15
    if found := _FLOP.fullmatch(text):
        return _PREFIXES.get((found["prefix"] or "")[:1], 1.0)
    if text == "%":
        return 0.01
    text = re.sub(r"^in\s+", "", _NOUNS.sub("", f" {text}").strip()).strip()
    text = text.removesuffix(".")  # Mio.
    return 1.0 if not text else _SCALES.get(text)


def number(text: str, decimal_comma: bool = False) -> float:
    """The number that a person wrote. Raises ValueError for anything else, blanks included."""
    stripped = _in_ascii(text).strip().lstrip("~\u2248").strip() if len(text) < 200 else text
    try:
        if decimal_comma and ("," in stripped or _BY_POINTS.fullmatch(stripped)):
            raise ValueError  # where commas are decimal points, points part thousands
        return float(stripped)  # underscores between digits are Python's own
    except ValueError:
        pass
    found = _NUMBER.fullmatch(stripped)
    if found is None or len(text) >= 200:
        raise ValueError(f'"{text[:40]}" is not a number')
    factor = unit_factor(found["rest"])
    digits = _plain_digits(found["digits"].strip(), decimal_comma)
    if factor is None or digits is None:
        raise ValueError(f'"{text[:40]}" is not a number')
    value = float(f"{found['sign']}{digits}{found['exponent'] or ''}") * factor
    return round(value) * 1.0 if factor > 1 and abs(value) < 2**53 and _is_whole(value) else value


def _in_ascii(text: str) -> str:
    """Raised digits as a power, and a typographer's minus as a minus."""
    if text.isascii():
        return text
    raised = _RAISED.sub(lambda found: f"^{unicodedata.normalize('NFKC', found[0])}", text)
    return raised.replace("\u2212", "-")


def _is_whole(value: float) -> bool:
    """Whether a scaled number is whole but for the rounding of its product."""
    return abs(value - round(value)) < 1e-6 * max(1.0, abs(value) * 1e-9)


def _plain_digits(digits: str, decimal_comma: bool) -> str | None:
    """The digits as Python reads them; None where they are grouped as nobody groups them."""
    if decimal_comma:
        digits = digits.translate(str.maketrans(",.", ".,"))
    whole, point, part = digits.partition(".")
    if point and "." in part:  # 1.234.567 can only be thousands
        whole, point, part = digits.replace(".", ","), "", ""
    for mark in (",", "_", "'", "\u2019", " ", "\u00a0", "\u2009", "\u202f"):
        if mark in whole:
            first, *groups = whole.split(mark)
            if not 0 < len(first) <= 3 or any(len(group) != 3 for group in groups):
                return None
            whole = "".join((first, *groups))
    return f"{whole}{point}{part}" if (whole + part).isdecimal() else None


def decimal_commas(values: "pd.Series") -> bool | None:
    """Whether the commas in a column of text are decimal points; None where they do not tell."""
    cells = [cell for cell in values.dropna().unique()[:_ENOUGH] if isinstance(cell, str)]
    if any(_THOUSANDS.match(cell) for cell in cells):
        return False
    if any(_DECIMAL.match(cell) for cell in cells):
        return True
    return False if any(_POINT.match(cell) for cell in cells) else None


def has_commas(values: "pd.Series") -> bool:
    """Whether any cell of a column of text holds a comma."""
    return any(isinstance(c, str) and "," in c for c in values.dropna().unique()[:_ENOUGH])


def has_thousands_by_points(values: "pd.Series") -> bool:
    """Whether a column of text holds numbers such as 1.000 and none with a decimal point, so that
    its points part thousands where the commas of its table are decimal points."""
    cells = [c.strip() for c in values.dropna().unique()[:_ENOUGH] if isinstance(c, str)]
    numbers = [cell for cell in cells if not is_blank(cell)]
    return any(map(_BY_POINTS.fullmatch, numbers)) and all(map(_WITHOUT_POINT.fullmatch, numbers))


def by_points(values: "pd.Series") -> "pd.Series":
    """Which cells are numbers such as 1.000, whose point may be a decimal one or part thousands."""
    return values.map(lambda c: isinstance(c, str) and bool(_BY_POINTS.fullmatch(c.strip())))


def read_numbers(values: "pd.Series", decimal_comma: bool = False) -> "tuple[pd.Series, pd.Series]":
    """The cells of a column as floats, NaN where a cell is blank, and which cells are neither."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(values.dtype):
        return pd.Series(math.nan, index=values.index), values.notna()
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype("float64"), pd.Series(False, index=values.index)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return pd.Series(math.nan, index=values.index), values.notna()
    cells = values.astype(object)
    known = {cell: _cell(cell, decimal_comma) for cell in set(filter(_is_cell, cells))}
    found = [known[c] if _is_cell(c) else None for c in cells]
    numbers = pd.Series([math.nan if n is None else n for n in found], index=values.index)
    return numbers.astype("float64"), pd.Series([n is None for n in found], index=values.index)


def _is_cell(value: object) -> bool:
    """Whether a value may be a number: no truth value (which equals 1 or 0), list or object."""
    if isinstance(value, str):
        return True
    is_truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
    return not (is_truth or hasattr(value, "__len__"))


def _cell(cell: object, decimal_comma: bool) -> float | None:
    """The number in a cell, NaN for a blank, None for anything else."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        cell = cell.strip().strip("\"'")  # quoted twice, or marked as text in Excel's way
        if cell[:1] == "<" and cell[-1:] == ">":
            cell = re.sub(r"<[^<>]*>", "", cell)
        cell = cell.strip(_MARKS) if cell[-1:] in _MARKS else cell
        if (found := _SPREAD.fullmatch(cell)) and len(cell) < 200:
            cell = found[1]
        if is_blank(cell):
            return math.nan
        try:
            return number(cell, decimal_comma)
        except (ValueError, OverflowError):
            return None
    try:
        return float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan if str(cell) in ("<NA>", "NaT") else None


def comma_styles(table: "pd.DataFrame", by_separator: bool) -> dict[str, bool]:
    """For each column of text with commas, whether they are decimal points.

    A column whose cells do not tell goes with the others of its table; without any, a loss and
    other small numbers have decimals, and sizes have thousands.
    """
    found: dict[str, bool | None] = {}
    for name in table.columns:
        if table[name].dtype.kind not in "fiubM" and has_commas(table[name]):
            found[str(name)] = decimal_commas(table[name])
    told = {verdict for verdict in found.values() if verdict is not None}
    shared = told.pop() if len(told) == 1 else None
    styles = {}
    if shared:  # decimal commas elsewhere: points part thousands
        text = [c for c in table if c != "loss" and table[c].dtype.kind not in "fiubM"]
        more = {str(c): True for c in text if c not in found and has_thousands_by_points(table[c])}
        found |= more
    for name, verdict in found.items():
        is_size = name in COLUMNS and COLUMNS[name].kind == "size"
        own = verdict if verdict is not None else shared
        styles[name] = own if own is not None else by_separator or not is_size
    return styles
