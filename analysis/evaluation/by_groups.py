"""Backtests of each group of runs by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.display import Result
from analysis.evaluation.backtest import Backtest, backtest
from analysis.fitting.groups.split import split
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from scaling.errors import FitError, ForecastError, RecordError
from scaling.limits import Limit, LimitCode
from scaling.sources import Source, records_from
from scaling.tables.notes import printable

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True, repr=False)
class GroupedBacktest(Result):
    """How forecasts of each group, from its own runs alone, turned out."""

    by: str
    law: str
    groups: Mapping[str, Backtest]
    left_out: Mapping[str, str]  # group -> why it has no backtest
    source: str
    data_hash: str
    limits: tuple[Limit, ...]  # of the groups together; each backtest has its own

    def to_frame(self) -> "DataFrame":
        """One row a hidden run and origin, as `Backtest.to_frame` has them, the group first."""
        import pandas as pd

        frames = {label: scored.to_frame() for label, scored in self.groups.items()}
        return pd.concat(frames, names=[self.by])


def backtest_groups(
    records: Source, *, by: str, options: ForecastOptions = DEFAULT
) -> GroupedBacktest:
    """The backtest of each group of runs that the column ``by`` makes, from its own runs alone.

    A group that has none is left out, with the reason. Raises ForecastError where no group has one,
    RecordError for a missing column and FitError for one that makes no groups.
    """
    records = records_from(records)
    found = split(records, by)
    scored, left_out = {}, {}
    for place, label in enumerate(found.labels):
        try:
            scored[label] = backtest(found.of(place), options=options)
        except (FitError, ForecastError, RecordError) as error:
            left_out[label] = str(error).removeprefix(f"{records.source}: ")
    column = printable(str(found.by))
    if not scored:
        label, why = next(iter(left_out.items()))
        raise ForecastError(f"--by {column}: no group has a backtest; {printable(label)}: {why}")
    texts = [f"{column} {printable(label)} has no backtest: {w}" for label, w in left_out.items()]
    return GroupedBacktest(
        by=str(found.by),
        law=options.law_name,
        groups=scored,
        left_out=left_out,
        source=records.source,
        data_hash=records.data_hash,
        limits=(*(Limit(LimitCode.LEFT_OUT, text) for text in texts), *found.blank),
        notes=found.records.told,
    )
