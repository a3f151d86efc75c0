"""What is asked of a forecast: points in compute, in size and tokens, or in any other column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from scaling.arrays import FloatArray, IntArray
from scaling.errors import ForecastError
from scaling.tables.cells.numbers import comma_styles, number, read_numbers
from scaling.tables.files.raw import BY_SEPARATOR

_CONTRADICTS = 8.0  # C / (6 N D), either way: no attention, head or recipe explains more


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

    def at(self, places: IntArray) -> "Targets":
        """The points at these places."""
        return Targets(columns={name: values[places] for name, values in self.columns.items()})

    @classmethod
    def flops(cls, *train_flops: npt.ArrayLike) -> "Targets":
        """The loss at these training budgets in FLOP, split optimally between size and tokens.

        Numbers, lists, arrays or columns of a table: ``Targets.flops(1e21, 1e22)`` and
        ``Targets.flops([1e21, 1e22])`` are the same.
        """
        return cls(columns={"train_flops": _joined("train_flops", train_flops)})

    @classmethod
    def runs(cls, params: npt.ArrayLike, tokens: npt.ArrayLike) -> "Targets":
        """The loss of runs of these sizes on so many tokens: as many of one as of the other, or a
        single one of either for all."""
        n, d = _joined("params", [params]), _joined("tokens", [tokens])
        n, d = (np.repeat(v, len(w)) if len(v) == 1 else v for v, w in ((n, d), (d, n)))
        return cls(columns={"params": n, "tokens": d})

    @classmethod
    def along(cls, column: str, *values: npt.ArrayLike) -> "Targets":
        """The loss at these values of one column; numbers, lists, arrays or columns of a table."""
        return cls(columns={column: _joined(column, values)})

    @classmethod
    def from_table(cls, points: pd.DataFrame, x: str | None = None) -> "Targets":
        """Targets from a table under our column names: ``x``, params and tokens, or train_flops."""
        names = [str(name) for name in points.columns]
        for wanted in ([x],) if x else (["params", "tokens"], ["train_flops"]):
            if all(name in names for name in wanted):
                commas = comma_styles(points[wanted], points.attrs.get(BY_SEPARATOR, False))
                read = {str(n): _column(points, str(n), commas.get(str(n), False)) for n in wanted}
                if x is None:
                    _check_compute(points, read)
                return cls(columns=read)
        need = x or "params and tokens, or train_flops"
        raise ForecastError(
            f"points: no column {need} (it has: {', '.join(names[:12])}); rename, or give --x"
        )


def _check_compute(points: pd.DataFrame, read: Mapping[str, FloatArray]) -> None:
    """Refuse points of which a column would be passed over: a size beside compute alone, and
    compute that is not that of size and tokens."""
    if "params" not in read:
        beside = [name for name in ("params", "tokens") if name in points]
        if beside:
            raise ForecastError(
                f"points: {beside[0]} and train_flops name no run; give params and tokens, or "
                f"leave {beside[0]} out for the best split of train_flops"
            )
    elif "train_flops" in points:
        given = read_numbers(points["train_flops"], False)[0].to_numpy(dtype=np.float64)
        taken = 6 * read["params"] * read["tokens"]
        with np.errstate(all="ignore"):
            odd = np.flatnonzero(np.abs(np.log(given / taken)) > np.log(_CONTRADICTS))
        if len(odd):
            raise ForecastError(
                f"points: train_flops is {given[odd[0]]:.3g} (point {odd[0] + 1}), and 6 N D of "
                f"params and tokens {taken[odd[0]]:.3g}; mend it, or leave one of them out"
            )


def _joined(name: str, values: Sequence[npt.ArrayLike]) -> FloatArray:
    """Numbers and arrays of numbers as one array (points,)."""
    try:
        read = [number(value) if isinstance(value, str) else value for value in values]
        parts = [np.ravel(np.asarray(value, dtype=np.float64)) for value in read]
    except (TypeError, ValueError) as error:
        hint = ""
        if any(str(v).rstrip("]')\"")[-1:] in ("x", "X", "\u00d7") for v in values):
            hint = f'; ten times the largest run is 10 * runs.column("{name}").max()'
        problem = f"targets: {name} holds something that is not a number{hint}"
        raise ForecastError(problem) from error
    return np.concatenate(parts) if parts else np.empty(0)


def _column(points: pd.DataFrame, name: str, decimal_comma: bool) -> FloatArray:
    values = read_numbers(points[name], decimal_comma)[0].to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        written = points[name].iloc[wrong[0]]
        is_blank = pd.isna(written) or not str(written).strip()
        written_as = "blank" if is_blank else f'"{written}", not a number'
        raise ForecastError(
            f"points: {name} is {written_as} (point {wrong[0] + 1}); mend it or leave the point out"
        )
    return np.asarray(values)
