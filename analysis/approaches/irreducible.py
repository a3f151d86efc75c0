"""Where the loss levels off, by several laws over several ranges of runs: no one of them is right.

The floor of one law is known as well as the law is: where small runs fall in another way than large
ones, its bootstrap interval is narrow around a wrong value. So laws are fitted to all runs and to
the larger ones alone, as corrections to scaling are looked for in physics by leaving the smallest
systems out, and the floors of all their refits are pooled, each fit counting alike. A fit whose
search did not converge, or that would level off above losses that were measured, does not count. A
fit that does not tell its floor does: it says how far the floor is open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from analysis.display import Result
from analysis.fitting.measurements.signal import require_signal
from analysis.fitting.measurements.validation_luck import evaluation_stderr
from analysis.fitting.policy import fit_with_free_floor
from analysis.fitting.result import Fit, FitStatus
from analysis.intervals import LEVEL, Interval
from analysis.tuning.screening import screen
from scaling.arrays import FloatArray
from scaling.errors import FitError, ScalingError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla, Overtraining
from scaling.limits import Limit, LimitCode, first_of
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS = ("law", "runs", "n_runs", "floor", "low", "high", "because")
#: Laws that level off and are quick to refit a thousand times.
LAWS: tuple[type[Law], ...] = (PowerLaw, Chinchilla, Overtraining)
#: How much of the span of log compute is left out below, and what the rest is called.
RANGES = {"all runs": 0.0, "the upper three fifths": 0.4}
_QUANTILES = 1000  # of each fit's refits, so that each counts alike
TOO_FEW = 3  # fits that count; with fewer little speaks of what the laws do not know


@dataclass(frozen=True, kw_only=True)
class FloorOfOne:
    """What one law makes of the floor over one range of runs, nats per token."""

    law: str
    runs: str  # the range, in words
    n_runs: int
    floor: float | None  # of the best fit; None where there is no fit
    interval: Interval | None  # of its refits; None where it does not count
    because: str  # why it does not count; "" where it does


@dataclass(frozen=True, kw_only=True, repr=False)
class IrreducibleLoss(Result):
    """The loss that no scale removes, nats per token, with what each fit makes of it.

    ``intervals`` are of the source of the data, over all that it might give; ``measured`` of the
    same on the validation set that these losses were measured on, whose luck all runs share.
    """

    floor: float | None  # median of the refits; None where no fit counts
    intervals: Mapping[float, Interval]  # by confidence level
    measured: Mapping[float, Interval]
    lowest_loss: float
    evaluation_stderr: float | None  # of one loss over its validation set; None: not in the table
    fits: tuple[FloorOfOne, ...]
    n_runs: int
    seed: int
    source: str
    data_hash: str
    limits: tuple[Limit, ...]
    records: Records | None = field(default=None, compare=False)

    def to_frame(self) -> "DataFrame":
        """One row per fit: law, runs, n_runs, floor, the ends of its interval (blank where it does
        not count), and why it does not."""
        import pandas as pd

        rows = []
        for one in self.fits:
            low, high = one.interval or (np.nan, np.nan)
            row = {"law": one.law, "runs": one.runs, "n_runs": one.n_runs, "floor": one.floor}
            rows.append({**row, "low": low, "high": high, "because": one.because})
        return pd.DataFrame(rows, columns=[*_COLUMNS])


def irreducible_loss(
    records: Source,
    *,
    x: str | None = None,
    confidence_levels: Sequence[float] = (LEVEL,),
    seed: int = 0,
) -> IrreducibleLoss:
    """The loss that no scale removes: power law of compute, Chinchilla and shared exponents, over
    all runs and over the larger ones, 1000 bootstrap refits each, pooled.

    ``x`` is a column that stands for compute; laws of size and tokens then take no part. Where no
    fit counts, or the losses follow no law, the interval reaches from zero to the lowest loss, and
    ``limits`` say so. The standard error of the validation set (``loss_stderr``) is in
    ``intervals`` and not in ``measured``. Raises FitError where there are no usable runs.
    """
    records = records_from(records)
    column = x or "train_flops"
    used = screen(records, column)
    if not len(used):
        raise FitError(f"{records.source}: no usable run has a loss and {column}")
    nothing = _no_signal(records, column)
    found = [
        _of_one(name, share, law, used, column, x, confidence_levels[0], seed)
        for name, share in RANGES.items()
        for law in (LAWS if x is None else (PowerLaw,))
        if nothing is None
    ]
    lowest, stderr = float(used.column("loss").min()), evaluation_stderr(used)
    pools = [floors for _, floors in found if floors is not None]
    pooled = np.sort(np.concatenate(pools)) if pools else None
    limits = _limits(tuple(one for one, _ in found), nothing, stderr)
    return IrreducibleLoss(
        floor=None if pooled is None else float(np.median(pooled)),
        intervals={k: _reach(pooled, lowest, k, stderr or 0.0, seed) for k in confidence_levels},
        measured={k: _reach(pooled, lowest, k, 0.0, seed) for k in confidence_levels},
        lowest_loss=lowest,
        evaluation_stderr=stderr,
        fits=tuple(one for one, _ in found),
        n_runs=len(used),
        seed=seed,
        source=used.source,
        data_hash=used.data_hash,
        limits=(*limits, *used.left_out()),
        records=used,
        notes=records.told,
    )


def _of_one(
    runs: str,
    share: float,
    law: type[Law],
    records: Records,
    column: str,
    x: str | None,
    confidence_level: float,
    seed: int,
) -> tuple[FloorOfOne, FloatArray | None]:
    """One law over one range of runs; and evenly spaced quantiles of its refits' floors, where they
    count."""
    log_x = np.log(records.column(column))
    least = log_x.min() + share * np.ptp(log_x) - 1e-9
    some = records.select(log_x >= least, "of little compute")
    try:
        fit = fit_with_free_floor(some, law, x=x, confidence_level=confidence_level, seed=seed)
    except ScalingError as error:
        because = str(error).removeprefix(f"{records.source}: ")
        none = FloorOfOne(
            law=law.name, runs=runs, n_runs=len(some), floor=None, interval=None, because=because
        )
        return none, None
    because, refits = _why_not(fit), None
    floor = str(law.floor)
    if fit.draws is not None and not because:
        chances = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        refits = np.quantile(np.asarray(fit.draws.constants()[floor]), chances)
    one = FloorOfOne(
        law=law.name,
        runs=runs,
        n_runs=fit.n_runs,
        floor=float(fit.law.constants()[floor]),
        interval=None if refits is None else _interval(refits, confidence_level),
        because=because,
    )
    return one, refits


def _why_not(fit: Fit) -> str:
    """Why the floor of a fit does not count; "" where it does."""
    if first_of(LimitCode.FLOOR_TOO_HIGH, fit.limits) is not None:
        return "it would level off above a loss that was measured"
    if fit.status is FitStatus.NOT_CONVERGED:
        return "its search did not converge"
    return "its refits tell no interval" if fit.draws is None else ""


def _reach(
    pooled: FloatArray | None, lowest: float, level: float, stderr: float, seed: int
) -> Interval:
    """The interval of the pooled floors with a normal error of this size added, that of one
    validation set; from zero to the lowest loss where there are none."""
    if pooled is None:
        return Interval(0.0, lowest + stderr * float(ndtri((1 + level) / 2)))
    chances = (np.arange(len(pooled)) + 0.5) / len(pooled)
    errors = np.random.default_rng(seed).permutation(ndtri(chances))
    return _interval(np.maximum(pooled + stderr * errors, 0.0), level)


def _interval(values: FloatArray, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _no_signal(records: Records, column: str) -> str | None:
    """Why these losses follow no law; None where they may."""
    try:
        require_signal(records, (column,))
    except FitError as error:
        return str(error).removeprefix(f"{records.source}: ")
    return None


def _limits(fits: Sequence[FloorOfOne], nothing: str | None, stderr: float | None) -> list[Limit]:
    counting, limits = [one for one in fits if not one.because], []
    if not counting:
        text = "no fit tells where the loss levels off, but that it is between zero and the lowest "
        text += "loss" + (f": {nothing}" if nothing else "")
        code = LimitCode.UNSUPPORTED if nothing else LimitCode.FLOOR_NOT_IDENTIFIED
        limits.append(Limit(code, text))
    elif (laws := len({one.law for one in counting})) == 1 or len(counting) < TOO_FEW:
        text = f"the floor rests on {counted(len(counting), 'fit')} of {counted(laws, 'law')}: "
        text += "what another law would say is not in its interval"
        limits.append(Limit(LimitCode.ONE_LAW, text))
    if stderr is None:
        text = "the table has no loss_stderr: the luck of the validation set, which all runs share "
        text += "and the floor with them, is not in the interval"
        limits.append(Limit(LimitCode.EVALUATION_SHARED, text))
    return limits
