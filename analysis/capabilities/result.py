"""What a forecast of a metric says: the better route's answer, and the other's beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.display import DrawnResult
from analysis.intervals import Interval, interval_columns
from scaling.limits import Limit, codes
from scaling.records import Records

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True)
class RouteForecast:
    """What one route says of one new run, in the metric's own unit."""

    median: float | None  # None where the target is not supported
    intervals: Mapping[float, Interval]  # confidence level -> range for a new run's value
    backtest_error: float | None  # mean absolute error on hidden runs as far ahead; None without
    weights: Mapping[str, float]  # fitted way -> its weight in this route


@dataclass(frozen=True, kw_only=True)
class MetricTarget:
    """The forecast of the metric of one new run."""

    at: Mapping[str, float]  # params, tokens, train_flops; at least what was asked
    route: str  # the one that missed hidden runs by less, whose numbers these are
    median: float | None  # None where it is not supported
    intervals: Mapping[float, Interval]
    routes: Mapping[str, RouteForecast]  # both, the other for comparison
    decades_beyond: float  # how far outside the runs, 0 inside
    limits: tuple[Limit, ...]

    @property
    def supported(self) -> bool:
        """Whether its median may be read as a number."""
        return self.median is not None


@dataclass(frozen=True, kw_only=True, repr=False)
class MetricForecast(DrawnResult):
    """Forecasts of a metric of new runs from one table, with what its backtests found."""

    metric: str
    worst: float  # the ends of its range, which no number here leaves
    best: float
    source: str
    data_hash: str
    runs: int
    backtests: int
    targets: tuple[MetricTarget, ...]
    limits: tuple[Limit, ...]
    seed: int
    records: Records | None = field(default=None, compare=False)

    def to_frame(self) -> "DataFrame":
        """One row per target: where it is, the route, median (blank where it is not supported),
        low_90 and high_90 (by the levels), decades_beyond, and the codes of its limits."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    **target.at,
                    "route": target.route,
                    "median": target.median,
                    **interval_columns(target.intervals),
                    "decades_beyond": target.decades_beyond,
                    "limits": codes(target.limits),
                }
                for target in self.targets
            ]
        ).astype({"median": float})
