"""Which of two recipes is better, by how much compute, and how surely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from analysis.decisions.two_recipes.effective_compute import (
    Advantage,
    Frontiers,
    advantage,
    frontiers,
)
from analysis.decisions.two_recipes.pairing import Pairs, pair
from analysis.display import DrawnResult
from analysis.forecasting.answer.support import target_limits
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import check_distance, pose
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.weighing.forecaster import Forecaster, log_forecast, prepare
from analysis.forecasting.weighing.optimum import best_log_params
from analysis.intervals import Interval, interval_columns
from scaling.arrays import DECADE, FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode, codes
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

AHEAD = (1.0, 10.0)  # times the largest common budget: where arms are compared unless asked
FEWEST_CELLS = 2
FEWEST_RUNGS = 3  # that a promotion rests on
_DRAWS = 1000
_OF_ROWS = (LimitCode.LEFT_OUT, LimitCode.PROVISIONAL)
_RUNG = 0.15  # budgets that differ by less are one rung
_CROSSES = 0.5  # share of draws that cross within the cells and the targets


@dataclass(frozen=True, kw_only=True)
class PairedCell:
    """One common cell: what each arm reached, and what that says."""

    params: float | None
    tokens: float | None
    flops_a: float
    flops_b: float
    loss_a: float
    loss_b: float
    multiplier: float  # of A's compute to do as well as B did


@dataclass(frozen=True, kw_only=True)
class RungAdvantage:
    """The cells of one budget together."""

    train_flops: float
    cells: int
    multiplier: float
    intervals: Mapping[float, Interval]


@dataclass(frozen=True, kw_only=True)
class ComparedTarget:
    """B against A at one budget; no numbers where A's forecast is not supported there."""

    train_flops: float
    decades_beyond: float  # the common cells
    multiplier: float | None  # of A's compute to do as well as B: above 1, B is better
    multiplier_intervals: Mapping[float, Interval]
    wall_multiplier: float | None  # the same in device time; None where runs were not timed
    wall_multiplier_intervals: Mapping[float, Interval]
    loss_difference: float | None  # of B less that of A, at their best: below 0, B is better
    loss_difference_intervals: Mapping[float, Interval]
    probability_b_is_better: float | None  # the recipe
    probability_b_run_wins: float | None  # one new run of each
    limits: tuple[Limit, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class ArmComparison(DrawnResult):
    """B against A: the multiplier of A's compute by which it would do as well as B.

    Intervals hold the scatter of runs, the choice of A's law and its constants, how the advantage
    may drift beyond the cells, and what a line misses of that.
    """

    a: str  # where the runs of each arm are from
    b: str
    paired_by: tuple[str, ...]
    cells: tuple[PairedCell, ...]
    rungs: tuple[RungAdvantage, ...]
    targets: tuple[ComparedTarget, ...]
    drift: float  # factor by which the multiplier changes over a decade of compute
    drift_intervals: Mapping[float, Interval]
    crossing: float | None  # FLOP at which neither is better; None where none is likely
    crossing_interval: Interval | None
    p_value: float  # of such cells if the recipes were equally good
    significant: bool  # at 1 less the first confidence level
    confidence_level: float
    limits: tuple[Limit, ...]

    def to_frame(self) -> "DataFrame":
        """One row per target: multiplier, wall_multiplier and loss_difference with the ends of
        their intervals, the probabilities, decades_beyond, the codes of its limits."""
        import pandas as pd

        rows = []
        for target in self.targets:
            row: dict[str, Any] = {"train_flops": target.train_flops}
            for name in ("multiplier", "wall_multiplier", "loss_difference"):
                row[name] = getattr(target, name)
                row |= interval_columns(getattr(target, f"{name}_intervals"), of=name)
            for name in ("probability_b_is_better", "probability_b_run_wins", "decades_beyond"):
                row[name] = getattr(target, name)
            rows.append({**row, "limits": codes((*target.limits, *self.limits))})
        return pd.DataFrame(rows)

    def verdict(self, least: float = 1.0) -> "Verdict":
        """Whether B should be promoted over A: by the interval of the multiplier at the last
        target, and by every rung."""
        return _verdict(self, least)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A promotion decision, and what it rests on."""

    decision: str  # promote, reject, undecided
    least: float  # the multiplier that was asked for
    because: str


def compare(
    a: Source,
    b: Source,
    *train_flops: Any,
    options: ForecastOptions = DEFAULT,
) -> ArmComparison:
    """B against A at these budgets (the largest common one and ten times it, unless asked).

    Runs are paired by cell: size and tokens, else width, depth and tokens, else budgets. Raises
    ForecastError where arms have fewer than two cells in common, or were measured on different
    evaluation sets, and as `forecast` does where A is no ladder.
    """
    first, second = records_from(a), records_from(b)
    pairs = pair(first, second)
    if len(pairs.cells) < FEWEST_CELLS:
        raise ForecastError(
            f"{first.source} and {second.source} have one cell in common; two are needed at least"
        )
    question = pose(first, ("train_flops",), options)
    forecaster = prepare(question, options)
    largest = float(np.exp(pairs.column("log_flops").max()))
    asked = train_flops or tuple(factor * largest for factor in AHEAD)
    budgets = np.asarray(Targets.flops(*asked).columns["train_flops"], np.float64)
    rng = np.random.default_rng([options.seed, 3])
    reach = np.concatenate([np.log(budgets), pairs.column("log_flops").ravel()])
    curves = frontiers(forecaster, np.sort(reach), _DRAWS, rng)
    found = advantage(pairs, curves, forecaster, rng)
    levels = options.confidence_levels
    crossing, ends = _crossing(found, pairs, budgets, levels[0])
    return ArmComparison(
        a=first.source,
        b=second.source,
        paired_by=pairs.by,
        cells=_cells(pairs, found),
        rungs=_rungs(pairs, found, levels),
        targets=_targets(pairs, forecaster, curves, found, budgets, options, rng),
        drift=float(np.exp(np.median(found.drift))),
        drift_intervals=_intervals(np.exp(found.drift), levels),
        crossing=crossing,
        crossing_interval=ends,
        p_value=found.p_value,
        significant=found.p_value < 1 - levels[0],
        confidence_level=levels[0],
        limits=(
            *pairs.limits,
            *(one for one in question.limits if one.code not in _OF_ROWS),  # said of each arm
            *_timing_limits(first, second, pairs),
        ),
        notes=(*first.told, *second.told),
    )


def _targets(
    pairs: Pairs,
    forecaster: Forecaster,
    curves: Frontiers,
    found: Advantage,
    budgets: FloatArray,
    options: ForecastOptions,
    rng: np.random.Generator,
) -> tuple[ComparedTarget, ...]:
    against = _support(forecaster, np.log(budgets), options)
    pace = _pace(pairs, rng, len(found.level))
    noise = np.sqrt(2.0) * forecaster.ensemble.noise.scale
    targets = []
    for budget, limits in zip(budgets, against, strict=True):
        log_m = found.at(float(np.log10(budget)), rng)
        here = np.full((len(log_m), 1), np.log(budget))
        before, after = curves.at(here)[:, 0], curves.at(here + log_m[:, None])[:, 0]
        fall = after - before
        told: dict[str, Any] = dict.fromkeys(_NUMBERS)
        draws = {"multiplier": np.exp(log_m), "loss_difference": np.exp(after) - np.exp(before)}
        if pace is not None:
            draws["wall_multiplier"] = np.exp(log_m + pace)
        told |= {f"{name}_intervals": {} for name in _SPREAD}
        if not limits:
            told |= {name: float(np.median(values)) for name, values in draws.items()}
            told |= {
                f"{name}_intervals": _intervals(v, options.confidence_levels)
                for name, v in draws.items()
            }
            told["probability_b_is_better"] = float(np.mean(log_m > 0))
            run = fall + noise * rng.standard_normal(len(fall))
            told["probability_b_run_wins"] = float(np.mean(run < 0))
        beyond = found.beyond(float(np.log10(budget)))
        targets.append(
            ComparedTarget(train_flops=float(budget), decades_beyond=beyond, limits=limits, **told)
        )
    return tuple(targets)


_SPREAD = ("multiplier", "wall_multiplier", "loss_difference")
_NUMBERS = (*_SPREAD, "probability_b_is_better", "probability_b_run_wins")


def _support(
    forecaster: Forecaster, log_budgets: FloatArray, options: ForecastOptions
) -> tuple[tuple[Limit, ...], ...]:
    """Why A's own forecast at each budget would be no number; nothing where it would be one."""
    inputs = log_budgets[:, None]
    if len(forecaster.ladder.inputs) == 2:
        log_n = best_log_params(forecaster, log_budgets)
        inputs = np.column_stack([log_n, forecaster.ladder.flops.log_tokens(log_budgets, log_n)])
    check_distance(forecaster.ladder.distance(inputs, log_budgets))
    return target_limits(forecaster, log_forecast(forecaster, inputs, log_budgets, options))


def _pace(pairs: Pairs, rng: np.random.Generator, draws: int) -> FloatArray | None:
    """ln FLOP a second of B over that of A (draws,); None where cells were not timed."""
    ratio = pairs.column("log_rate", 1) - pairs.column("log_rate", 0)
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) < FEWEST_CELLS:
        return None
    spread = ratio.std(ddof=1) / np.sqrt(len(ratio))
    return np.asarray(ratio.mean() + spread * rng.standard_t(len(ratio) - 1, size=draws))


def _timing_limits(a: Records, b: Records, pairs: Pairs) -> tuple[Limit, ...]:
    if not np.isfinite(pairs.column("log_rate")).all():
        return ()
    names = [
        set(arm.table["device"].dropna().astype(str)) if "device" in arm.table else set()
        for arm in (a, b)
    ]
    if names[0] == names[1]:
        return ()
    text = "the arms were timed on different devices: the multiplier of wall time has that in it"
    return (Limit(LimitCode.OTHER_DEVICE, text),)


def _cells(pairs: Pairs, found: Advantage) -> tuple[PairedCell, ...]:
    cells = []
    for cell, log_m in zip(pairs.cells, found.of_cells, strict=True):
        named = dict(zip(pairs.by, cell.key, strict=True))
        (flops_a, flops_b), (loss_a, loss_b) = map(np.exp, (cell.log_flops, cell.log_loss))
        cells.append(
            PairedCell(
                params=named.get("params"),
                tokens=named.get("tokens"),
                flops_a=float(flops_a),
                flops_b=float(flops_b),
                loss_a=float(loss_a),
                loss_b=float(loss_b),
                multiplier=float(np.exp(log_m)),
            )
        )
    return tuple(cells)


def _rungs(pairs: Pairs, found: Advantage, levels: Sequence[float]) -> tuple[RungAdvantage, ...]:
    """The cells of each budget together: their mean, and how far their scatter leaves it open."""
    compute = pairs.column("log_flops", 1)
    order = np.argsort(compute, kind="stable")
    gaps = np.flatnonzero(np.diff(compute[order]) > np.log1p(_RUNG)) + 1
    rungs = []
    for rows in np.split(order, gaps):
        weights = found.slopes[rows] ** 2
        mean = float(np.average(found.of_cells[rows], weights=weights))
        error = found.sigma / float(np.sqrt(weights.sum()))
        ends = {
            level: Interval(
                *np.exp(
                    mean + error * student.ppf([(1 - level) / 2, (1 + level) / 2], found.freedom)
                )
            )
            for level in levels
        }
        rungs.append(
            RungAdvantage(
                train_flops=float(np.exp(compute[rows].mean())),
                cells=len(rows),
                multiplier=float(np.exp(mean)),
                intervals={k: Interval(*map(float, v)) for k, v in ends.items()},
            )
        )
    return tuple(rungs)


def _crossing(
    found: Advantage, pairs: Pairs, budgets: FloatArray, level: float
) -> tuple[float | None, Interval | None]:
    """Where neither arm is better, if most draws have such a place among cells and targets, and
    the advantage is known to grow or to shrink: arms that never differ cross nowhere."""
    low = float(pairs.column("log_flops", 1).min()) / DECADE
    high = max(found.last, float(np.log10(budgets.max())))
    with np.errstate(all="ignore"):
        at = found.centre - found.level / found.drift
    inside = np.isfinite(at) & (at >= low) & (at <= high)
    drift = np.quantile(found.drift, [(1 - level) / 2, (1 + level) / 2])
    if inside.mean() < _CROSSES or drift[0] <= 0 <= drift[1]:
        return None, None
    ends = np.quantile(at[np.isfinite(at)], [(1 - level) / 2, (1 + level) / 2])
    return float(10 ** np.median(at[inside])), Interval(*(float(10.0 ** min(e, 300)) for e in ends))


def _intervals(draws: FloatArray, levels: Sequence[float]) -> dict[float, Interval]:
    return {
        level: Interval(*map(float, np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])))
        for level in levels
    }


def _verdict(found: ArmComparison, least: float) -> Verdict:
    """Promote where the interval at the last target lies above ``least`` and no rung denies it;
    reject where it lies below."""
    target, level = found.targets[-1], found.confidence_level
    where = f"at {target.train_flops:.3g} FLOP"
    if target.multiplier is None:
        return Verdict(decision="undecided", least=least, because=f"{where} no number is supported")
    low, high = target.multiplier_intervals[level]
    span = f"the {100 * level:g}% interval of the multiplier {where}, [{low:.3g}, {high:.3g}],"
    if high < least:
        return Verdict(decision="reject", least=least, because=f"{span} lies below {least:g}")
    if low <= least:
        return Verdict(decision="undecided", least=least, because=f"{span} holds {least:g}")
    if len(found.rungs) < FEWEST_RUNGS:
        few = f"of {counted(len(found.rungs), 'rung')}, and a promotion takes {FEWEST_RUNGS}"
        return Verdict(
            decision="undecided", least=least, because=f"{span} lies above, but is {few}"
        )
    denied = [rung for rung in found.rungs if rung.intervals[level].high < least]
    if denied:
        rung = f"{denied[0].train_flops:.3g} FLOP"
        return Verdict(
            decision="undecided",
            least=least,
            because=f"{span} lies above, but that of {rung} below",
        )
    every = f"and no rung of {len(found.rungs)} denies it"
    return Verdict(decision="promote", least=least, because=f"{span} lies above {least:g}, {every}")
