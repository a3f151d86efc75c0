"""Approach 1, as a cross-check: the best run at every compute, and how its size grows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.display import Result
from analysis.fitting.measurements.signal import require_signal
from analysis.intervals import LEVEL, Interval
from analysis.tuning.screening import screen
from scaling.arrays import FloatArray, IntArray
from scaling.errors import FitError
from scaling.limits import Limit, LimitCode
from scaling.sources import Source, records_from
from scaling.words import counted


@dataclass(frozen=True, kw_only=True, repr=False)
class EnvelopeFit(Result):
    """N_opt = coefficient * C**exponent over the runs that no cheaper run beats."""

    train_flops: tuple[float, ...]  # of the runs on the envelope, rising
    params: tuple[float, ...]
    loss: tuple[float, ...]
    exponent: float
    exponent_interval: Interval
    coefficient: float
    confidence_level: float
    limits: tuple[Limit, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per run on the envelope, by rising train_flops: its params and its loss."""
        return pd.DataFrame(
            {"train_flops": self.train_flops, "params": self.params, "loss": self.loss}
        )

    def optimal_params(self, train_flops: npt.ArrayLike) -> FloatArray:
        """The size that the line through the envelope gives for these budgets."""
        return np.asarray(self.coefficient * np.asarray(train_flops, float) ** self.exponent)


def fit_envelope(
    records: Source,
    *,
    bins_per_decade: int = 3,
    bootstrap: int = 1000,
    confidence_level: float = LEVEL,
    seed: int = 0,
) -> EnvelopeFit:
    """The size of the best run in each slice of compute, as a power of compute.

    Hoffmann et al. 2022, arXiv:2203.15556 (their Approach 1). Compute is cut into slices; the
    lowest loss of a slice is on the envelope if no cheaper run beats it. Intervals resample
    clusters: repeats of a configuration, or rows of a run, together (`Records.clusters`).
    Here: from final losses, not from whole training curves.

    Read it as a check: the best of several noisy runs is lucky, and its size comes from a coarse
    grid. Raises FitError with fewer than three runs on the envelope, and for losses that follow no
    law.
    """
    records = records_from(records)
    require_signal(records, ("train_flops",))
    used = screen(records, "params", "train_flops")
    flops, params, loss = (used.column(c) for c in ("train_flops", "params", "loss"))
    slices = np.floor(np.log10(flops) * bins_per_decade + 1e-9).astype(np.int64)
    ranked = np.lexsort((loss, slices))
    on = _envelope(ranked, slices, loss)
    if len(on) < 3:
        raise FitError(
            f"{used.source}: {counted(len(on), 'run')} on the lower envelope, three are needed; "
            "add budgets, or raise bins_per_decade"
        )
    exponent, coefficient = _line(flops[on], params[on])
    rng = np.random.default_rng(seed)
    draws, labels = [], pd.factorize(used.clusters)[0]
    clusters, of_ranked = int(labels.max()) + 1, labels[ranked]
    for _ in range(bootstrap):
        drawn = np.zeros(clusters, dtype=bool)
        drawn[rng.integers(clusters, size=clusters)] = True
        best = _envelope(ranked[drawn[of_ranked]], slices, loss)
        if len(np.unique(flops[best])) >= 3:
            draws.append(_line(flops[best], params[best])[0])
    tail = (1 - confidence_level) / 2
    ends = np.quantile(draws, [tail, 1 - tail]) if draws else (np.nan, np.nan)
    lucky = "the best of several noisy runs is lucky: losses on an envelope are biased low"
    limits = [Limit(LimitCode.BIASED, lucky)]
    if len(np.unique(np.round(np.log(params[on]), 6))) < 4:
        few = "fewer than four sizes are on the envelope: the exponent follows the grid"
        limits.append(Limit(LimitCode.FEW_RUNS, few))
    return EnvelopeFit(
        train_flops=tuple(map(float, flops[on])),
        params=tuple(map(float, params[on])),
        loss=tuple(map(float, loss[on])),
        exponent=exponent,
        exponent_interval=Interval(float(ends[0]), float(ends[1])),
        coefficient=coefficient,
        confidence_level=confidence_level,
        limits=tuple(limits),
        notes=records.told,
    )


def _envelope(ranked: IntArray, slices: IntArray, loss: FloatArray) -> IntArray:
    """Rows of the lowest loss in each slice of compute that beats every cheaper slice, of rows
    ``ranked`` by slice and loss."""
    best = ranked[np.r_[True, np.diff(slices[ranked]) > 0]]
    falling = loss[best] < np.r_[np.inf, np.minimum.accumulate(loss[best])[:-1]]
    return np.asarray(best[falling])


def _line(flops: FloatArray, params: FloatArray) -> tuple[float, float]:
    """Exponent and coefficient of params over flops."""
    x, y = np.log(flops), np.log(params)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    return slope, float(np.exp(y.mean() - slope * x.mean()))
