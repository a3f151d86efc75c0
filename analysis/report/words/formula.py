"""Formulas from docstrings, such as ``A N**-alpha``, as a reader of HTML expects them."""

import re

from markupsafe import Markup, escape

from analysis.text.numbers import MINUS
from scaling.laws.written.formula import is_formula
from scaling.tables.notes import printable

_GREEK = {
    "alpha": "\u03b1",
    "beta": "\u03b2",
    "gamma": "\u03b3",
    "eta": "\u03b7",
}
_POWER = re.compile(r"(?:\*\*|\^)(?:\(([^()]*)\)|(-?\w+))")
_WORD = re.compile(r"\b(alpha|beta|gamma|eta)\b")


def formula_in_html(text: str) -> Markup:
    """Powers as superscripts, Greek letters as letters, minus signs as such."""
    safe = str(escape(text)).replace("-", MINUS)
    powers = _POWER.sub(
        lambda found: f"<sup>{found[1] or found[2]}</sup>", safe.replace(f"**{MINUS}", "**-")
    )
    powers = powers.replace("<sup>-", f"<sup>{MINUS}")
    return Markup(_WORD.sub(lambda found: _GREEK[found[0]], powers))


def constant_name(name: str) -> str:
    """A constant's or derived number's name, for a table."""
    return _GREEK.get(name, name.replace("_", " ").replace("params", "size"))


def law_name(name: str) -> str:
    """What a law is called in a sentence; a formula as it was written."""
    return printable(name) if is_formula(name) else name.replace("_", " ")


def law_title(name: str) -> str:
    """What a law is called in a heading; a formula as it was written."""
    return printable(name) if is_formula(name) else name.replace("_", " ").title()
