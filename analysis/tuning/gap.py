"""What bad tuning adds to each run of a ladder, from the checks of its shapes.

A check (of the learning rate alone, or of the recipe: `analysis.tuning.rung_gaps`) says by how much
one run of a shape, the cheapest, lies above what the best recipe found would reach. A forecast
needs that for every run, and at its targets. Three things are known of it: it is never below zero;
where a recipe is wrong at one end of a ladder the gap falls (or grows) steadily with compute; and
shapes differ from that trend. So

    gap measured on shape r  ~  A exp(-delta (c_r - c_smallest)) + tau u_r + stderr_r v_r

with u, v standard normal, and A integrated out on a grid of (delta, tau). Checks that found nothing
leave every run where it was.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray, IntArray
from scaling.extra_columns.rung_health import rung_columns
from scaling.limits import Limit, LimitCode
from scaling.records import Records

DECADES_TO_HALVE = (0.2, 0.3, 0.5, 0.8, 1.3, 2.0, 4.0, np.inf, -3.0)  # the last grows
SCATTER = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.03)  # of shapes around the trend, in ln loss
LARGEST_GAP = 0.03  # standard deviation of A before any check
WORTH_A_WORD = 0.002  # of the loss; checks of well-tuned runs err by .1%
SMALLEST_ERROR = 0.0005  # of a measured gap: what one validation set cannot tell


@dataclass(frozen=True, kw_only=True)
class TuningGap:
    """The ln loss that bad tuning adds, for runs and along compute."""

    expected: FloatArray  # (runs,) zero or above
    variance: FloatArray  # (runs,)
    chances: FloatArray  # (grid,) of each pair of delta and tau
    amplitude: FloatArray  # (grid,) A under it
    precision: FloatArray  # (grid,) of A, one over its variance
    decay: FloatArray  # (grid,) delta, per unit of ln compute
    log_smallest: float  # ln compute where the trend is A

    def select(self, keep: npt.NDArray[Any]) -> "TuningGap":
        """The same for some of the runs."""
        return replace(self, expected=self.expected[keep], variance=self.variance[keep])

    def trend(self, log_compute: FloatArray) -> FloatArray:
        """What a run at this compute (points,) of a shape that was not checked would carry."""
        return self.chances @ (self.amplitude[:, None] * self._shape(log_compute))

    def trend_stderr(self, log_compute: FloatArray) -> FloatArray:
        """(points,) Standard error of the trend there, without the scatter of shapes around it."""
        return self._told(self._shape(log_compute))[1]

    def change(self, log_from: float, log_to: float) -> tuple[float, float]:
        """By how much the trend rises from one compute to another, with its standard error."""
        low, high = self._shape(np.array([log_from, log_to])).T
        rise, stderr = self._told((high - low)[:, None])
        return float(rise[0]), float(stderr[0])

    def _told(self, form: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(points,) Mean and standard error of A times this form (grid, points), over the grid."""
        means = self.amplitude[:, None] * form
        mean = self.chances @ means
        variance = self.chances @ (form**2 / self.precision[:, None] + (means - mean) ** 2)
        return mean, np.sqrt(variance)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What was taken off, where that is worth a word."""
        if self.expected.max() < WORTH_A_WORD:
            return ()
        taken = 100 * self.expected
        text = (
            f"checks of rungs: {taken.min():.1f} to {taken.max():.1f}% of the loss taken off for "
            "missing the best recipe found; what the same recipe would cost a target is added"
        )
        return (Limit(LimitCode.TUNING_TAKEN_OFF, text),)

    def _shape(self, log_compute: FloatArray) -> FloatArray:
        return _falling(self.decay, np.asarray(log_compute) - self.log_smallest)


def checked_gap(usable: Records, log_compute: FloatArray) -> TuningGap | None:
    """The gap of every run of a table; None where none carries a check."""
    if "tuning_gap" not in usable or "tuning_gap_stderr" not in usable:
        return None
    stderr = usable.column("tuning_gap_stderr")  # known on the run that was checked, as the gap is
    gap = np.where(np.isfinite(stderr), usable.column("tuning_gap"), np.nan)
    if not np.isfinite(gap).any():
        return None
    key = rung_columns(usable.table)
    shape = usable.table.groupby(key, dropna=False).ngroup() if key else np.arange(len(usable))
    return tuning_gap(log_compute, np.asarray(shape, dtype=np.intp), gap, stderr)


def tuning_gap(
    log_compute: FloatArray, shape: IntArray, measured: FloatArray, stderr: FloatArray
) -> TuningGap:
    """The gap of every run, from checks of some.

    All (runs,): ``shape`` has one number for all runs of one shape, ``measured`` the relative gap
    found on a run and ``stderr`` its standard error, both NaN on runs that carry no check.
    """
    carries = np.isfinite(measured) & np.isfinite(stderr)
    gap = np.log1p(np.maximum(measured[carries], 0.0))
    # Two seeds tell a standard error poorly: half of it comes from all checks together.
    own = np.maximum(stderr[carries], SMALLEST_ERROR) ** 2
    error = (own + own.mean()) / 2
    smallest = float(log_compute.min())
    at = log_compute[carries] - smallest
    rate = np.log(2) / (np.array(DECADES_TO_HALVE) * np.log(10))
    decay, scatter = (v.ravel() for v in np.meshgrid(rate, SCATTER, indexing="ij"))
    form = _falling(decay, at)  # (grid, checks)
    spread = error + scatter[:, None] ** 2
    precision = (form**2 / spread).sum(axis=1) + LARGEST_GAP**-2
    amplitude = np.maximum((form * gap / spread).sum(axis=1) / precision, 0.0)
    left = gap - amplitude[:, None] * form
    fitness = -0.5 * (
        (left**2 / spread + np.log(spread)).sum(axis=1)
        + (amplitude / LARGEST_GAP) ** 2
        + np.log(precision)
    )
    chances = np.exp(fitness - fitness.max())
    chances = chances / chances.sum()
    # How much of a shape's departure from the trend is its own, and not error of its check.
    share = scatter[:, None] ** 2 / spread
    trend = amplitude[:, None] * _falling(decay, log_compute - smallest)  # (grid, runs)
    doubt = _falling(decay, log_compute - smallest) ** 2 / precision[:, None]
    means, variances = trend, doubt + scatter[:, None] ** 2
    for number, which in enumerate(shape[carries]):
        runs = shape == which
        kept = share[:, number, None]
        means = np.where(runs, trend + kept * left[:, number, None], means)
        checked = (1 - kept) ** 2 * doubt + kept * error[number]
        variances = np.where(runs, checked, variances)
    expected = chances @ means
    variance = chances @ (variances + (means - expected) ** 2)
    return TuningGap(
        expected=np.maximum(expected, 0.0),
        variance=variance,
        chances=chances,
        amplitude=amplitude,
        precision=precision,
        decay=decay,
        log_smallest=smallest,
    )


def _falling(decay: FloatArray, beyond: FloatArray) -> FloatArray:
    """exp(-delta (c - c_smallest)), (grid, points); a growing gap at most triples."""
    return np.asarray(np.exp(np.clip(-decay[:, None] * beyond, -50.0, np.log(3.0))))
