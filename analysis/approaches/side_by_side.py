"""Approaches 1 and 2 beside a joint fit: do simpler readings of the runs give the same exponent?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.approaches.envelope import EnvelopeFit, fit_envelope
from analysis.approaches.isoflop import IsoflopFit, fit_isoflop
from analysis.display import Result
from analysis.intervals import LEVEL, Interval, in_decimals
from scaling.errors import ScalingError
from scaling.limits import Limit, LimitCode, codes, texts
from scaling.sources import Source, records_from
from scaling.tables.notes import Note

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True, repr=False)
class CrossCheck(Result):
    """The exponent of optimal size with compute by one approach, or why it gives none."""

    approach: str
    exponent: float | None
    interval: Interval | None
    limits: tuple[Limit, ...]  # where the literature shows its bias, or why it gives no exponent

    def to_frame(self) -> "DataFrame":
        """One row: the approach, its exponent (blank where there is none), the ends of its
        interval, and the codes of its limits."""
        import pandas as pd

        low, high = self.interval or (math.nan, math.nan)
        exponent = math.nan if self.exponent is None else self.exponent
        row = {"approach": self.approach, "exponent": exponent, "low": low, "high": high}
        return pd.DataFrame([{**row, "limits": codes(self.limits)}])

    @property
    def line(self) -> str:
        """The check in one line."""
        if self.exponent is None or self.interval is None:
            return f"{self.approach}: no answer ({'; '.join(texts(self.limits))})"
        if not all(map(math.isfinite, self.interval)):
            return f"{self.approach}: optimal size ~ C^{self.exponent:.3f}, no interval"
        return f"{self.approach}: optimal size ~ {power_text(self.exponent, self.interval)}"


def power_text(exponent: float, interval: Interval) -> str:
    """A power of compute and the interval of its exponent."""
    return "C^{} [{}, {}]".format(*in_decimals(exponent, interval, 3))


def cross_checks(
    records: Source, *, confidence_level: float = LEVEL, bootstrap: int = 1000, seed: int = 0
) -> tuple[CrossCheck, CrossCheck]:
    """The envelope (Approach 1) and the IsoFLOP profiles (Approach 2) of these runs.

    Hoffmann et al. 2022, arXiv:2203.15556. Read them as checks on the joint fit: both are biased
    where profiles are lopsided, and their intervals know nothing of that.
    """
    records = records_from(records)

    def envelope() -> EnvelopeFit:
        return fit_envelope(
            records, bootstrap=bootstrap, confidence_level=confidence_level, seed=seed
        )

    def isoflop() -> IsoflopFit:
        return fit_isoflop(
            records, bootstrap=bootstrap, confidence_level=confidence_level, seed=seed
        )

    return (
        _checked("approach 1 (envelope)", envelope, records.told),
        _checked("approach 2 (IsoFLOP)", isoflop, records.told),
    )


def _checked(
    approach: str, fit: Callable[[], EnvelopeFit | IsoflopFit], told: tuple[Note, ...]
) -> CrossCheck:
    try:
        found = fit()
    except ScalingError as error:
        refused = (Limit(LimitCode.NO_ANSWER, str(error)),)
        return CrossCheck(
            approach=approach, exponent=None, interval=None, limits=refused, notes=told
        )
    return CrossCheck(
        approach=approach,
        exponent=found.exponent,
        interval=found.exponent_interval,
        limits=found.limits,
        notes=told,
    )
