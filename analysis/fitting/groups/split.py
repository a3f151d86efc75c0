"""Runs by the values of a column: the one way in which all answers by groups come by them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from scaling.arrays import IntArray
from scaling.errors import FitError
from scaling.extra_columns.groups import in_groups
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.tables.notes import printable
from scaling.words import counted

MOST_GROUPS = 60


@dataclass(frozen=True)
class Groups:
    """The runs that have a group, and which."""

    by: str | None  # our name of the column; None where all runs are one group
    labels: tuple[str, ...]  # sorted
    records: Records  # without the runs whose group is blank
    number: IntArray  # (runs,): place of each run's group in ``labels``
    n_blank: int = 0  # runs whose group is blank

    @property
    def blank(self) -> tuple[Limit, ...]:
        """That runs without a group took no part."""
        text = f"left out: {self.by} is blank ({self.n_blank:,})"
        return (Limit(LimitCode.LEFT_OUT, text),) if self.n_blank else ()

    def of(self, place: int) -> Records:
        """The runs of one group; no other run counts as left out."""
        table = self.records.table[self.number == place]
        return replace(self.records, table=table, dropped=())


def split(records: Records, by: str) -> Groups:
    """The groups that a column makes. Raises RecordError for a missing column, and FitError for one
    that is blank, or has so many values that it names runs."""
    column = records.name_of(by)
    records.require(column)
    records = in_groups(records, column)
    kept = records.select(records.table[column].notna(), f"{column} is blank")
    values = kept.table[column].map(label_of)
    labels = tuple(sorted(values.unique()))
    where = f"{records.source}: --by {printable(by)}"
    if not labels:
        raise FitError(f"{where}: the column is blank in all runs")
    if len(labels) > MOST_GROUPS:
        raise FitError(
            f"{where} has {counted(len(labels), 'value')}, and groups are {MOST_GROUPS} at most; "
            "name a column that many runs share"
        )
    place = {label: number for number, label in enumerate(labels)}
    number = np.array([place[v] for v in values], dtype=np.int64)
    return Groups(column, labels, kept, number, len(records) - len(kept))


def label_of(value: object) -> str:
    """What a group is called that has this value: a whole number has no decimals, however its
    column is stored."""
    whole = isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer()
    return f"{float(value):.0f}" if whole else str(value)  # type: ignore[arg-type]


def group_named(value: object, labels: Sequence[str]) -> str | None:
    """Which of the groups a cell of a table of points names; None for no group of theirs."""
    if (label := label_of(value)) in labels:
        return label
    try:
        label = label_of(float(str(value)))
    except ValueError:
        return None
    return label if label in labels else None
