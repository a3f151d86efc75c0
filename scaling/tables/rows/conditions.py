"""Filters of rows: "column op value", numbers compared as numbers and text as text."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scaling.columns import COLUMNS
from scaling.errors import RecordError
from scaling.tables.cells.numbers import comma_styles, number, read_numbers
from scaling.tables.cells.statuses import TRUTHS, as_flag, status_of
from scaling.tables.notes import printable

if TYPE_CHECKING:
    import pandas as pd

_FORM = re.compile(
    r"^\s*(?P<column>.+?)\s*(?P<op>==|!=|<=|>=|<|>|=)\s*(?P<value>.+?)\s*$", re.DOTALL
)
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def listed(where: str | Sequence[str]) -> tuple[str, ...]:
    """The texts of conditions; one that stands alone is one, not its letters."""
    return (where,) if isinstance(where, str) else tuple(where)


@dataclass(frozen=True)
class Condition:
    """One condition on one column."""

    text: str
    column: str
    op: str
    value: str

    @classmethod
    def of(cls, text: str) -> "Condition":
        """The condition that a person wrote. Raises RecordError for any other form."""
        match = _FORM.match(text)
        if match is None:
            raise RecordError(
                f'--where "{printable(text)}": not of the form "column op value" '
                "(op is one of == != < <= > >=), for example --where 'params >= 10M'"
            )
        column, value = (match[part].strip("\"'") for part in ("column", "value"))
        return cls(printable(text), column, match["op"], value)

    def is_of_written(self, name: str, theirs: str) -> bool:
        """Whether the condition is on numbers as they are written: the column bears the table's own
        name ("params (M) > 100"), and the number has no unit of its own."""
        is_own = self.column == theirs != name
        is_number = name in COLUMNS and COLUMNS[name].kind in ("size", "loss", "number")
        return is_own and is_number and re.search(r"[a-df-zA-DF-Z%]", self.value) is None

    def holds(self, name: str, values: "pd.Series", written: "pd.Series") -> npt.NDArray[np.bool_]:
        """Which cells (rows,) of the column ``name`` fulfil it; a blank number fulfils only !=, and
        a blank among text is the empty text. A status is what our word for it is, and what the
        table has ``written``.

        Raises RecordError where numbers are compared with text, or text is put in an order.
        """
        compare = _OPERATORS[self.op]
        if name in COLUMNS and COLUMNS[name].kind == "flag":
            return np.asarray(compare(values.map(as_flag), as_flag(self.value)), dtype=bool)
        if name == "status":
            return self._holds_of_status(values, written)
        if values.dtype == bool and self.value.lower() in TRUTHS and self.op in ("==", "=", "!="):
            return np.asarray(compare(values, as_flag(self.value)), dtype=bool)
        numbers, bad = read_numbers(values)
        if self.value and numbers.notna().any() and bad.sum() <= numbers.notna().sum():
            try:
                return np.asarray(compare(numbers, self._number(name)), dtype=bool)
            except ValueError as error:
                raise RecordError(
                    f'--where "{self.text}": {name} holds numbers, and "{printable(self.value)}" '
                    "is none"
                ) from error
        if self.op not in ("==", "=", "!="):
            raise RecordError(
                f'--where "{self.text}": {name} holds text, which has no order; use == or !='
            )
        return np.asarray(compare(_as_text(values), self.value), dtype=bool)

    def _holds_of_status(self, values: "pd.Series", written: "pd.Series") -> npt.NDArray[np.bool_]:
        if self.op not in ("==", "=", "!="):
            raise RecordError(f'--where "{self.text}": a status has no order; use == or !=')
        ours = status_of(self.value) or self.value
        same = _as_text(written) == self.value
        if self.value:
            same |= _as_text(values) == ours
        return np.asarray(~same if self.op == "!=" else same, dtype=bool)

    def _number(self, name: str) -> float:
        """The number to compare with, its comma read as that of a cell of this column would be."""
        import pandas as pd

        styles = comma_styles(pd.DataFrame({name: [self.value]}, dtype=object), False)
        return number(self.value, styles.get(name, False))


def _as_text(values: "pd.Series") -> "pd.Series":
    """Cells as text; a blank is the empty one."""
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()
