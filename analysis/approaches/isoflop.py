"""Approach 2, as a cross-check: the best size of each budget, from a parabola through its runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.display import DrawnResult
from analysis.fitting.measurements.signal import require_signal
from analysis.fitting.refits.bootstrap import WEBB_POINTS
from analysis.intervals import LEVEL, Interval, interval_columns
from analysis.tuning.screening import screen
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.limits import Limit, LimitCode, codes
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

#: runs whose compute differs by less than this share belong to one budget
_BUDGET_TOLERANCE = 0.15  # wider than AS_PLANNED: published slices meet their budgets roughly
_FEWEST_SIZES = 4


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One budget: its runs and the minimum of the parabola through them."""

    train_flops: float
    n_runs: int
    optimal_params: float  # NaN where the minimum is not bracketed
    optimal_params_interval: Interval
    optimal_loss: float
    limits: tuple[Limit, ...]  # why its minimum is not bracketed; none where it is


@dataclass(frozen=True, kw_only=True, repr=False)
class IsoflopFit(DrawnResult):
    """N_opt = coefficient * C**exponent over the budgets whose minimum is bracketed."""

    profiles: tuple[Profile, ...]
    exponent: float
    exponent_interval: Interval
    exponent_of_cubics: float  # budgets of fewer than five sizes count with their parabola
    coefficient: float
    confidence_level: float
    limits: tuple[Limit, ...]
    records: Records = field(compare=False)  # the runs

    def to_frame(self) -> "DataFrame":
        """One row per budget: its FLOP and runs, the best size (blank where it is not bracketed)
        with low_90 and high_90 (by the level), the loss there, and the codes of its limits."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "train_flops": profile.train_flops,
                    "n_runs": profile.n_runs,
                    "optimal_params": profile.optimal_params,
                    **interval_columns({self.confidence_level: profile.optimal_params_interval}),
                    "optimal_loss": profile.optimal_loss,
                    "limits": codes(profile.limits),
                }
                for profile in self.profiles
            ]
        )

    def optimal_params(self, train_flops: npt.ArrayLike) -> FloatArray:
        """The size that the line through the minima gives for these budgets."""
        return np.asarray(self.coefficient * np.asarray(train_flops, float) ** self.exponent)


def fit_isoflop(
    records: Source,
    *,
    bootstrap: int = 1000,
    confidence_level: float = LEVEL,
    seed: int = 0,
) -> IsoflopFit:
    """Minima of loss over ln(params) at each budget, and the power of compute they follow.

    Hoffmann et al. 2022, arXiv:2203.15556 (their Approach 2). Only budgets with a bracketed
    minimum count: at least four sizes, a parabola that opens upwards, and its lowest point
    between the second smallest and the second largest size. Intervals come from a wild
    bootstrap of the residuals.

    Read it as a check on the joint fit, which it should not replace: the parabola is a local
    approximation, biased when the sizes are off-centre or far apart (see ``limits``).
    Raises FitError with fewer than two budgets left, and for losses that follow no law.
    """
    records = records_from(records)
    require_signal(records, ("train_flops",))
    used = screen(records, "params", "train_flops")
    rng = np.random.default_rng(seed)
    flops, params, loss = (used.column(c) for c in ("train_flops", "params", "loss"))
    profiles: list[Profile] = []
    minima: list[_Minimum] = []
    for rows in _budgets(flops):
        profile, minimum = _profile(
            flops[rows], np.log(params[rows]), loss[rows], bootstrap, confidence_level, rng
        )
        profiles.append(profile)
        minima += [] if minimum is None else [minimum]
    if len(minima) < 2:
        reasons = "; ".join(
            f"C {p.train_flops:.3g}: {limit.text}" for p in profiles[:4] for limit in p.limits
        )
        raise FitError(
            f"{used.source}: {counted(len(minima), 'budget')} with a bracketed minimum, two are "
            f"needed ({reasons}); add sizes on both sides of the best one"
        )
    centres = np.array([m.log_budget for m in minima])
    slopes, offsets = _lines(centres, np.stack([m.draws for m in minima]))
    cubic_slope = float(_lines(centres, np.array([[m.of_cubic] for m in minima]))[0][0])
    interval = _interval(slopes[1:], confidence_level)
    return IsoflopFit(
        profiles=tuple(profiles),
        exponent=float(slopes[0]),
        exponent_interval=interval,
        exponent_of_cubics=cubic_slope,
        coefficient=float(np.exp(offsets[0])),
        confidence_level=confidence_level,
        records=used,
        notes=records.told,
        limits=_limits(profiles, [m.off_centre for m in minima], float(slopes[0]), cubic_slope),
    )


@dataclass(frozen=True, kw_only=True)
class _Minimum:
    """A bracketed minimum, over ln(params)."""

    log_budget: float
    draws: FloatArray  # (1 + resamples,) the minimum, then those of resampled runs
    of_cubic: float
    off_centre: float  # its distance from the middle of the sizes, as a share of their span


def _profile(
    flops: FloatArray,
    x: FloatArray,
    y: FloatArray,
    bootstrap: int,
    confidence_level: float,
    rng: np.random.Generator,
) -> tuple[Profile, _Minimum | None]:
    """One budget from its runs' compute, ln(params) and loss, each (runs,)."""
    log_budget = float(np.log(flops).mean())
    reason = _why_not_one_budget(flops) or _why_not_bracketed(x, y)
    at, value, draws, minimum = np.nan, np.nan, np.full(bootstrap, np.nan), None
    if reason is None:
        at, value = _lowest(x, y)
        draws = _resampled_minima(x, y, bootstrap, rng)
        minimum = _Minimum(
            log_budget=log_budget,
            draws=np.r_[at, draws],
            of_cubic=_lowest_of_cubic(x, y),
            off_centre=abs(at - (x.min() + x.max()) / 2) / np.ptp(x),
        )
    profile = Profile(
        train_flops=float(np.exp(log_budget)),
        n_runs=len(x),
        optimal_params=float(np.exp(at)),
        optimal_params_interval=_interval(np.exp(draws), confidence_level),
        optimal_loss=float(value),
        limits=() if reason is None else (Limit(LimitCode.NO_BRACKET, reason),),
    )
    return profile, minimum


def _budgets(flops: FloatArray) -> list[npt.NDArray[np.int64]]:
    """Rows of runs that spent about the same compute, by rising compute."""
    order = np.argsort(flops, kind="stable")
    gaps = np.diff(np.log(flops[order])) > np.log1p(_BUDGET_TOLERANCE)
    return [np.asarray(part) for part in np.split(order, np.flatnonzero(gaps) + 1)]


def _why_not_one_budget(flops: FloatArray) -> str | None:
    spread = float(flops.max() / flops.min())
    if spread <= (1 + _BUDGET_TOLERANCE) ** 2:
        return None
    return f"compute varies by a factor {spread:.2g} from run to run: not one budget"


def _why_not_bracketed(x: FloatArray, y: FloatArray) -> str | None:
    sizes = np.unique(np.round(x, 9))
    if len(sizes) < _FEWEST_SIZES:
        return f"{counted(len(sizes), 'size')}, four are needed"
    curvature = np.polyfit(x - x.mean(), y, 2)[0]
    if curvature <= 0:
        return "the parabola through the runs opens downwards"
    at, _ = _lowest(x, y)
    best = float(x[np.argmin(y)])
    for where, what in ((at, "the parabola's minimum"), (best, "the lowest loss")):
        edge = "smallest" if where <= sizes[0] else "largest" if where >= sizes[-1] else None
        if edge:
            return f"{what} is at or beyond the {edge} size: not bracketed"
    return None


def _lowest(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    centre = float(x.mean())
    a, b, c = np.polyfit(x - centre, y, 2)
    return centre - b / (2 * a), c - b * b / (4 * a)


def _lowest_of_cubic(x: FloatArray, y: FloatArray) -> float:
    """The minimum of the cubic inside the range of sizes; the parabola's where it has none."""
    if len(np.unique(np.round(x, 9))) < 5:
        return _lowest(x, y)[0]
    centre = float(x.mean())
    cubic = np.polyfit(x - centre, y, 3)
    roots = np.roots(np.polyder(cubic))
    real = roots[np.isreal(roots)].real
    lows = [r for r in real if np.polyval(np.polyder(cubic, 2), r) > 0]
    inside = [r for r in lows if x.min() <= r + centre <= x.max()]
    return centre + float(inside[0]) if inside else _lowest(x, y)[0]


def _resampled_minima(
    x: FloatArray, y: FloatArray, count: int, rng: np.random.Generator
) -> FloatArray:
    """Vertices of the parabola after the residuals of each size are randomly rescaled."""
    centred = x - x.mean()
    design = np.stack([centred**2, centred, np.ones_like(x)], axis=1)
    solve = np.linalg.pinv(design)
    fitted = design @ (solve @ y)
    groups = np.unique(np.round(x, 9), return_inverse=True)[1]
    inflation = np.sqrt((groups.max() + 1) / max(groups.max() + 1 - 3, 0.5))
    signs = WEBB_POINTS[rng.integers(6, size=(count, groups.max() + 1))][:, groups]
    coefficients = (fitted + inflation * signs * (y - fitted)) @ solve.T
    curvature = np.where(coefficients[:, 0] > 0, coefficients[:, 0], np.nan)
    vertex = -coefficients[:, 1] / (2 * curvature)
    # a draw whose parabola opens downwards has its minimum at an edge
    edge = np.where(coefficients[:, 1] < 0, centred.max(), centred.min())
    kept = np.clip(np.where(np.isnan(vertex), edge, vertex), centred.min(), centred.max())
    return np.asarray(kept + x.mean())


def _lines(centres: FloatArray, minima: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slope and offset of ln N over ln C for each column of ``minima`` (budgets, draws)."""
    shifted = centres - centres.mean()
    slopes = shifted @ minima / (shifted @ shifted)
    return slopes, minima.mean(axis=0) - slopes * centres.mean()


def _interval(draws: FloatArray, confidence_level: float) -> Interval:
    if not len(draws) or not np.isfinite(draws).all():
        return Interval(float("nan"), float("nan"))
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _limits(
    profiles: Sequence[Profile], off_centre: Sequence[float], exponent: float, of_cubics: float
) -> tuple[Limit, ...]:
    found = []
    left_out = sum(1 for p in profiles if p.limits)
    if left_out:
        text = f"{left_out} of {counted(len(profiles), 'budget')} left out: no bracket"
        found.append(Limit(LimitCode.NO_BRACKET, text))
    if max(off_centre) > 0.15:
        text = (
            "the sizes are not centred on the minimum: a parabola is then biased, and the bias "
            "grows with the span of sizes (arXiv:2603.22339); trust the joint fit"
        )
        found.append(Limit(LimitCode.BIASED, text))
    if abs(of_cubics - exponent) > 0.02:
        text = (
            f"cubics through the same runs give exponent {of_cubics:.3f} instead of "
            f"{exponent:.3f}: the profiles are not parabolas"
        )
        found.append(Limit(LimitCode.BIASED, text))
    if len(profiles) - left_out < 4:
        text = "an exponent from fewer than four budgets is rough"
        found.append(Limit(LimitCode.FEW_RUNS, text))
    return tuple(found)
