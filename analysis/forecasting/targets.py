"""What is asked of a forecast: points in compute, in size and tokens, or in any other column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scaling.arrays import FloatArray
from scaling.errors import ForecastError


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Points to forecast: column name -> values, all of one length.

    ``train_flops`` alone asks for the loss at the compute-optimal split; ``params`` and
    ``tokens`` for that very run; any other column for the loss along that column.
    """

    columns: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        lengths = {len(values) for values in self.columns.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ForecastError("targets: give at least one point, and as many of each column")
        for name, values in self.columns.items():
            wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if len(wrong):
                raise ForecastError(
                    f"targets: {name} is {values[wrong[0]]:g} (point {wrong[0] + 1}); "
                    "a forecast needs a finite value above zero"
                )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @classmethod
    def flops(cls, *train_flops: float) -> "Targets":
        """The loss at these training budgets, split optimally between size and tokens."""
        return cls(columns={"train_flops": _array(train_flops)})

    @classmethod
    def runs(cls, params: Sequence[float], tokens: Sequence[float]) -> "Targets":
        """The loss of runs of these sizes on so many tokens."""
        return cls(columns={"params": _array(params), "tokens": _array(tokens)})

    @classmethod
    def along(cls, column: str, *values: float) -> "Targets":
        """The loss at these values of one column."""
        return cls(columns={column: _array(values)})

    @classmethod
    def from_table(cls, points: pd.DataFrame, x: str | None = None) -> "Targets":
        """Targets from a table under our column names: ``x``, params and tokens, or train_flops."""
        names = [str(name) for name in points.columns]
        for wanted in ([x],) if x else (["params", "tokens"], ["train_flops"]):
            if all(name in names for name in wanted):
                return cls(columns={str(n): _column(points, str(n)) for n in wanted})
        need = x or "params and tokens, or train_flops"
        raise ForecastError(
            f"points: no column {need} (it has: {', '.join(names[:12])}); rename, or give --x"
        )


def _array(values: Sequence[float]) -> FloatArray:
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def _column(points: pd.DataFrame, name: str) -> FloatArray:
    values = pd.to_numeric(points[name], errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        written = points[name].iloc[wrong[0]]
        is_blank = pd.isna(written) or not str(written).strip()
        written_as = "blank" if is_blank else f'"{written}", not a number'
        raise ForecastError(
            f"points: {name} is {written_as} (point {wrong[0] + 1}); mend it or leave the point out"
        )
    return np.asarray(values)
