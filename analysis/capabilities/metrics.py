"""Metrics with a best and a worst value, such as accuracies and error rates, as shares."""

import difflib
from dataclasses import dataclass

import numpy as np

from scaling.arrays import FloatArray
from scaling.errors import RecordError
from scaling.records import Records
from scaling.tables.cells.losses import (
    is_error_rate,
    of_two_units,
    rises_with_quality,
    top_of_range,
)
from scaling.tables.notes import printable


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column of a table whose values lie between a worst and a best one."""

    name: str  # the table's own
    values: FloatArray  # (runs,) as the table has them; NaN where it has none
    worst: float
    best: float

    @property
    def shares(self) -> FloatArray:
        """How far each value lies on the way from the worst to the best (runs,)."""
        return self.shares_of(self.values)

    def shares_of(self, values: FloatArray) -> FloatArray:
        """The same of any values."""
        return np.asarray((values - self.worst) / (self.best - self.worst))

    def values_of(self, shares: FloatArray) -> FloatArray:
        """In the table's own unit."""
        return np.asarray(self.worst + shares * (self.best - self.worst))


def has_a_range(name: str, better: str | None) -> bool:
    """Whether a metric is forecast within its range: one whose name is that of an accuracy or an
    error rate, or of which ``better`` says that more is better."""
    return better == "higher" or rises_with_quality(name) or is_error_rate(name)


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def metric_of(records: Records, name: str, better: str | None = None) -> Metric:
    """The column ``name`` of the records, whose best value is 1 (100 in percent), or 0 of an error
    rate.

    ``better`` is "higher" or "lower"; None goes by the name. Raises RecordError where the column is
    missing, its name does not say which is better, a value lies outside the range, or some values
    are shares and others look like percentages.
    """
    column = records.name_of(name)
    if column not in records:
        theirs = {
            _letters(c): c for c in (records.names.get(o, o) for o in map(str, records.table))
        }
        near = difflib.get_close_matches(_letters(name), theirs, n=1, cutoff=0.6)
        near = near or [one for one in theirs if _letters(name) in one]
        hint = f'; did you mean "{printable(theirs[near[0]])}"?' if near else ""
        raise RecordError(f'{records.source}: no column "{printable(name)}"{hint}')
    values = records.column(column)
    rises = better == "higher" if better else rises_with_quality(name)
    if better is None and not rises and not is_error_rate(name):
        raise RecordError(
            f'{records.source}: the name "{name}" does not say whether more of it is better; say '
            "--better higher or --better lower"
        )
    known = values[np.isfinite(values)]
    top = top_of_range(known, name)
    if top is None:
        row = records.row_names[int(np.flatnonzero(values > 1)[0])]
        raise RecordError(f"{records.source} {row}: {of_two_units(known, name)}")
    outside = np.flatnonzero(np.isfinite(values) & ((values < 0) | (values > top)))
    if len(outside):
        row = records.row_names[outside[0]]
        raise RecordError(
            f'{records.source} {row}: "{name}" is {values[outside[0]]:g}, outside its range: a '
            "share lies between 0 and 1, a percentage between 0 and 100; mend it, or forecast "
            "what has no range with --columns loss=NAME"
        )
    return Metric(name=name, values=values, worst=0.0 if rises else top, best=top if rises else 0.0)
