"""How far runs reach, and how far beyond them anything is a number to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.fitting.measurements.flops_per_param_token import (
    USUAL,
    FlopsPerParamToken,
    flops_per_param_token,
)
from scaling.answerable import ROUNDING, SPANNED_REACH, supported_reach
from scaling.arrays import DECADE, FloatArray
from scaling.limits import Limit, LimitCode
from scaling.records import Records

WIDEST = float(np.log(1.5))  # log width of the 90% interval beyond which digits say nothing
_WORK = "params x tokens"  # what compute grows with in a law of both


def too_far(distance: float, spanned: float, backtested: float) -> tuple[Limit, ...]:
    """Why nothing this far out is a number to read; nothing where it may be. All in decades."""
    text = f"{distance:.2f} decades beyond the data, which span {spanned:.2f}"
    if distance > SPANNED_REACH * spanned + ROUNDING:
        return (Limit(LimitCode.UNSUPPORTED, text),)
    if distance > supported_reach(spanned, backtested) + ROUNDING:
        tested = f"backtested to {backtested:.2f}" if backtested else "and no backtest was made"
        return (Limit(LimitCode.UNSUPPORTED, f"{text}, {tested}"),)
    return ()


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What the runs behind a fit span."""

    ranges: Mapping[str, tuple[float, float]]  # input column -> its least and its largest value
    flops_per_param_token: FlopsPerParamToken  # of the runs; the usual one of a law without both

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Reach":
        """The reach of a JSON document."""
        ranges = {name: (low, high) for name, (low, high) in document["ranges"].items()}
        flops = FlopsPerParamToken.from_dict(document["flops_per_param_token"])
        return cls(ranges=ranges, flops_per_param_token=flops)

    @property
    def spanned(self) -> float:
        """Decades of params times tokens, or of the input that spans least."""
        ranges = {_WORK: self.ranges[_WORK]} if _WORK in self.ranges else self.ranges
        return min(
            float(np.log(high / low)) / DECADE if low else np.inf for low, high in ranges.values()
        )

    def beyond(self, at: Mapping[str, FloatArray]) -> FloatArray:
        """Decades (points,) outside the runs in whichever input lies farthest out; 0 inside."""
        at = {**at, _WORK: at["params"] * at["tokens"]} if _WORK in self.ranges else at
        with np.errstate(divide="ignore", invalid="ignore"):  # of inputs that are zero
            outside = [
                np.fmax(np.log(at[name] / high), np.log(low / at[name])) / DECADE
                for name, (low, high) in self.ranges.items()
            ]
        return np.asarray(np.maximum(np.max(outside, axis=0), 0.0))


def reach_of(records: Records, columns: Sequence[str]) -> Reach:
    """How far these runs reach in the inputs of a law."""
    values = {name: records.column(name) for name in columns}
    flops = FlopsPerParamToken(limit=USUAL)
    if {"params", "tokens"} <= set(columns):
        n, d = values["params"], values["tokens"]
        if "train_flops" in records:
            compute = records.column("train_flops")
            known = np.isfinite(compute) & (compute > 0)
            flops = flops_per_param_token(*(np.log(v[known]) for v in (n, d, compute)))
        values[_WORK] = n * d
    ranges = {name: (float(v.min()), float(v.max())) for name, v in values.items()}
    return Reach(ranges=ranges, flops_per_param_token=flops)
