"""What a check of a published finding says: an estimate, its interval, and what papers say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from analysis.display import Result
from analysis.forecasting.weighing.noise import DEFAULT_NOISE, FEWEST_REPEATS
from analysis.intervals import Interval
from scaling.arrays import FloatArray, IntArray
from scaling.limits import Limit, LimitCode, codes

if TYPE_CHECKING:
    from pandas import DataFrame

ASSUMED_FREEDOM = 4.0  # of a scatter that nothing of the runs tells


@dataclass(frozen=True, kw_only=True)
class PublishedValue:
    """What a paper says of a quantity: values from ``low`` to ``high`` agree with it."""

    text: str
    low: float
    high: float
    source: str  # authors, year, where it stands


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One quantity: what these runs say, beside what papers do."""

    name: str
    quantity: str
    estimate: float | None  # None where the runs cannot tell; ``limits`` say why
    interval: Interval | None
    about: str  # what it rests on
    published: tuple[PublishedValue, ...]
    limits: tuple[Limit, ...] = ()

    def agrees(self, value: PublishedValue) -> bool | None:
        """Whether the interval and the published value overlap; None without an interval."""
        if self.interval is None:
            return None
        return bool(self.interval.low <= value.high and self.interval.high >= value.low)


@dataclass(frozen=True, kw_only=True, repr=False)
class PublishedFindings(Result):
    """Findings of the literature, checked on these runs.

    Read it as: the interval is of the quantity on this ladder; that a published value lies in it
    says no more than that these runs do not deny it.
    """

    findings: tuple[Finding, ...]
    confidence_level: float
    noise: float  # of one run, in ln loss
    noise_from: str
    source: str
    data_hash: str
    limits: tuple[Limit, ...] = ()

    def to_frame(self) -> "DataFrame":
        """One row a quantity: name, quantity, estimate, low, high, about, published, limits."""
        import pandas as pd

        rows = []
        for one in self.findings:
            low, high = one.interval or (np.nan, np.nan)
            rows.append(
                {
                    "name": one.name,
                    "quantity": one.quantity,
                    "estimate": np.nan if one.estimate is None else one.estimate,
                    "low": low,
                    "high": high,
                    "about": one.about,
                    "published": "; ".join(f"{v.text} ({v.source})" for v in one.published),
                    "limits": codes(one.limits),
                }
            )
        return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How far a run lies from the mean of its configuration, in ln loss."""

    sigma: float
    freedom: float
    from_where: str

    def times(self, level: float) -> float:
        """How many standard errors an interval at this level reaches to each side."""
        return float(student.ppf((1 + level) / 2, self.freedom))


def scatter_of(log_loss: FloatArray, configuration: IntArray) -> Scatter:
    """The pooled scatter of repeated configurations (runs,), or what is usual where there are
    fewer than four spare runs."""
    counts = np.bincount(configuration)
    means = np.bincount(configuration, log_loss) / np.maximum(counts, 1)
    spare = len(log_loss) - int(np.sum(counts > 0))
    if spare < FEWEST_REPEATS:
        usual = f"taken for granted: {100 * DEFAULT_NOISE:g}% of the loss, as few runs are repeated"
        return Scatter(sigma=DEFAULT_NOISE, freedom=ASSUMED_FREEDOM, from_where=usual)
    sigma = float(np.sqrt(np.sum((log_loss - means[configuration]) ** 2) / spare))
    return Scatter(sigma=sigma, freedom=float(spare), from_where="repeated runs")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Configurations with a size, tokens and a loss: the mean over the seeds of each."""

    log_params: FloatArray  # (cells,)
    log_tokens: FloatArray
    log_flops: FloatArray
    log_loss: FloatArray
    runs: FloatArray  # seeds
    width: FloatArray  # NaN where unknown
    depth: FloatArray
    batch_tokens: FloatArray

    def __len__(self) -> int:
        return len(self.log_loss)

    def error(self, noise: Scatter) -> FloatArray:
        """(cells,) Standard error of the mean ln loss."""
        return np.asarray(noise.sigma / np.sqrt(self.runs))


def unanswered(name: str, quantity: str, why: str, published: Sequence[PublishedValue]) -> Finding:
    """A quantity that the runs cannot tell, and why."""
    return Finding(
        name=name,
        quantity=quantity,
        estimate=None,
        interval=None,
        about="",
        published=tuple(published),
        limits=(Limit(LimitCode.NO_ANSWER, why),),
    )
