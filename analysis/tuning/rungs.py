"""Every rung of a ladder: how its training looks, and what fits make of its runs.

A rung is all runs of one shape. Its check (`scaling.extra_columns.rung_health`) decides what its
runs count in fits and forecasts. Clipped steps, spikes and a curve that stands apart are signs to
look at; they change no weight.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.display import Result
from analysis.tuning.gap import checked_gap
from analysis.tuning.rung_gaps import gaps_found
from analysis.tuning.screening import EDGE_REASON, spread_health
from analysis.tuning.trends import (
    LearningRateTrend,
    curve_deviations,
    learning_rate_trend,
    outlying,
)
from scaling.errors import FitError, RecordError
from scaling.extra_columns.rung_health import Health, rung_columns
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

#: What a fit does with a rung, by what its check found; formatted with its weight.
_REASONS = {
    Health.OK: "the rule costs less than 0.1% of the loss, or no more than its standard error",
    Health.SOFT: "the rule misses the best {what}, so the runs count {weight:.2f}",
    Health.CAP: "a cap holds the learning rate, so the runs count {weight:.2f}",
    Health.EDGE: "left out: the best learning rate lies outside what was tried",
}
_UNCHECKED = "not checked: the runs count fully"
_TOLD_BY = ("health", "recipe_arms", "tuning_gap", "clipped_share", "spikes")
_SHOWN = ("width", "depth")


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One shape of the ladder. What was not recorded is None."""

    name: str
    params: float | None
    runs: int
    """Finished runs of this shape, held-out ones too."""
    status: Health | None
    """None: it was not checked."""
    lr_offset: float | None
    """ln of the best learning rate over the rule's; at an edge, of the best one tried."""
    gap: float | None
    """Loss that the recipe is predicted to cost against the best one found, relative."""
    gap_stderr: float | None
    best: str | None
    """The best recipe found, in words; None where the learning rate alone was checked."""
    clipped_share: float | None
    """Share of the steps whose gradient was scaled down, in the run where it is largest."""
    spikes: int | None
    """Jumps of the training loss, over all its runs."""
    curve_deviation: float | None
    """Mean ln distance of its furthest normalised curve from the median curve of the ladder."""
    stands_apart: bool
    """Whether one of its curves fails to collapse on the others."""
    weight: float
    """What each of its runs counts in fits: 1 fully, 0 left out."""
    reason: str
    """Why it counts so much."""


@dataclass(frozen=True, kw_only=True)
class GapTrend:
    """What a steady fall (or growth) with compute makes of the gaps of all checked rungs."""

    rungs: int
    """That were checked."""
    smallest: float
    """Gap at the cheapest run that fits use, relative to the loss."""
    largest: float
    """At the dearest of them."""
    beyond: float
    """At ten times its compute: a forecast takes the gaps off its runs, and adds this to a target
    there."""
    smallest_stderr: float
    largest_stderr: float
    beyond_stderr: float
    change: float
    """From the cheapest to the dearest: below zero the gap falls."""
    change_stderr: float

    @property
    def is_told(self) -> bool:
        """Whether the change is more than two of its standard errors."""
        return abs(self.change) > 2 * self.change_stderr


@dataclass(frozen=True, kw_only=True)
class Stake:
    """What the rule is predicted to cost a run by the trend of the offsets."""

    run: str
    lr_offset: float
    """ln of the best learning rate over the rule's, extrapolated."""
    loss: float
    """Relative."""


@dataclass(frozen=True, kw_only=True, repr=False)
class LadderHealth(Result):
    """All rungs of a ladder, smallest first, and what their offsets say of larger runs."""

    source: str
    rungs: tuple[Rung, ...]
    trend: LearningRateTrend | None
    limits: tuple[Limit, ...]
    """Which rows took no part, and why there is no trend where there is none."""
    stakes: tuple[Stake, ...]
    """At the largest run that fits use and at the largest held-out one, where a trend is real."""
    gap_trend: GapTrend | None = None
    """Of what the recipe costs against the best found; None where fewer than two were checked."""

    def to_frame(self) -> pd.DataFrame:
        """One row per rung, smallest first, with the fields of `Rung`; blank: not recorded."""
        return pd.DataFrame([asdict(rung) for rung in self.rungs])

    def gaps_document(self) -> dict[str, Any]:
        """What JSON says of the gaps to the best found: those of `to_json`, without the rest."""
        document = self._document()
        told = ("name", "status", "gap", "gap_stderr", "best")
        rungs = [{key: rung[key] for key in told} for rung in document["rungs"]]
        return {"rungs": rungs, "gap_trend": document["gap_trend"]}

    def _document(self) -> Any:
        document = super()._document()
        if self.trend is not None:
            document["trend"]["is_real"] = self.trend.is_real
        if self.gap_trend is not None:
            document["gap_trend"]["is_told"] = self.gap_trend.is_told
        return document


def ladder_health(records: Source, curves: pd.DataFrame | None = None) -> LadderHealth:
    """The health of every rung, and of the learning-rate rule along the ladder.

    ``curves`` (columns run_id, step, train_loss) show whether the training curves collapse.
    Raises RecordError where the table says nothing of health.
    """
    records = records_from(records)
    if not any(name in records for name in _TOLD_BY):
        raise RecordError(
            f"{records.source}: says nothing of the health of its rungs; train with "
            "health.check_recipe: true (or check_learning_rate)"
        )
    table = _finished(records)
    known = set(Health)
    if strange := [str(value) for value in table["health"].dropna() if value not in known]:
        raise RecordError(
            f'{records.source}: health is "{strange[0]}"; it is one of {", ".join(Health)}'
        )
    key = rung_columns(table) or [name for name in ("params",) if name in table]
    key = key or ["health"]
    deviations = _deviations(table, curves)
    apart = outlying(deviations)
    groups = [group for _, group in table.groupby(key, dropna=False, sort=False)]
    groups.sort(key=lambda group: float(group["params"].min()) if "params" in group else 0.0)
    trend, refusal = None, "none was checked"
    try:
        if "lr_offset" in records:
            trend, refusal = learning_rate_trend(records), ""
    except (FitError, RecordError) as error:
        refusal = str(error)
    return LadderHealth(
        source=records.source,
        rungs=tuple(_rung(group, key, deviations, apart) for group in groups),
        gap_trend=_gap_trend(records, table),
        trend=trend,
        limits=records.finished.left_out()
        + ((Limit(LimitCode.NO_TREND, refusal),) if refusal else ()),
        stakes=_stakes(table, trend),
        notes=records.told,
    )


def health_limits(used: Records, *, weighed: bool = True) -> tuple[Limit, ...]:
    """What fits and forecasts made of the health of the runs.

    ``used`` is what `analysis.tuning.screening.screen` left. Runs that count less are spoken of
    only where the fit is ``weighed`` by health.
    """
    limits = []
    if left_out := used.dropped_for(LimitCode.EDGE_LEFT_OUT):
        text = f"{_runs(left_out, 'is', 'are')} left out: {EDGE_REASON}"
        limits.append(Limit(LimitCode.EDGE_LEFT_OUT, text))
    if weighed and "health_weight" in used:
        share = used.column("health_weight")
        if count := int(np.sum(share < 1)):
            text = (
                f"{_runs(count, 'counts', 'count')} less (down to {share.min():.2f}): the "
                "learning-rate check of their shape found a loss gap (health soft or cap)"
            )
            limits.append(Limit(LimitCode.COUNTS_LESS, text))
    return tuple(limits)


def _runs(count: int, one: str, many: str) -> str:
    return f"{counted(count, 'run')} {one if count == 1 else many}"


def _finished(records: Records) -> pd.DataFrame:
    table = records.table
    if "health" not in table:
        table = table.assign(health=None)
    return spread_health(table[records.is_finished])


def _deviations(table: pd.DataFrame, curves: pd.DataFrame | None) -> dict[str, float]:
    if curves is None or "steps" not in table or "run_id" not in table:
        return {}
    planned = table[table["steps"].notna()]
    steps = dict(zip(planned["run_id"].astype(str), planned["steps"].astype(int), strict=True))
    return curve_deviations(curves, steps)


def _rung(
    group: pd.DataFrame,
    key: list[str],
    deviations: Mapping[str, float],
    apart: Mapping[str, float],
) -> Rung:
    found = group["health"].dropna()
    status = Health(found.iloc[0]) if len(found) else None
    weight = 0.0 if status is Health.EDGE else float(group["health_weight"].min())
    best = next(iter(gaps_found(group).values()), None)
    what = "learning rate" if best is None else "recipe found"
    reason = _UNCHECKED if status is None else _REASONS[status].format(weight=weight, what=what)
    runs = [str(run) for run in group["run_id"]] if "run_id" in group else []
    own = [deviations[run] for run in runs if run in deviations]
    clipped, spikes = (_known(group, name) for name in ("clipped_share", "spikes"))
    return Rung(
        name=_name(group, key),
        params=float(group["params"].iloc[0]) if "params" in group else None,
        runs=len(group),
        status=status,
        lr_offset=_first(group, "lr_offset"),
        gap=_first(group, "tuning_gap"),
        gap_stderr=_first(group, "tuning_gap_stderr"),
        best=None if best is None else best.words,
        clipped_share=float(clipped.max()) if len(clipped) else None,
        spikes=int(spikes.sum()) if len(spikes) else None,
        curve_deviation=max(own, key=abs) if own else None,
        stands_apart=any(run in apart for run in runs),
        weight=weight,
        reason=reason,
    )


def _name(group: pd.DataFrame, key: list[str]) -> str:
    """The shape in words; what sets one rung apart from another need not be all of it."""
    first: Mapping[Hashable, object] = group.iloc[0].to_dict()
    shown = [name for name in _SHOWN if name in key] or key
    return ", ".join(f"{name} {_plain(first[name])}" for name in shown)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _known(group: pd.DataFrame, name: str) -> "pd.Series":
    if name not in group:
        return pd.Series(dtype=float)
    return pd.to_numeric(group[name], errors="coerce").dropna()


def _first(group: pd.DataFrame, name: str) -> float | None:
    known = _known(group, name)
    return float(known.iloc[0]) if len(known) and math.isfinite(known.iloc[0]) else None


def _gap_trend(records: Records, table: pd.DataFrame) -> GapTrend | None:
    if not {"train_flops", "tuning_gap", "tuning_gap_stderr"} <= set(table):
        return None
    if "held_out" in table:
        table = table[~table["held_out"].astype(bool)]
    table = table[table["train_flops"] > 0]
    checked = int(table["tuning_gap_stderr"].notna().sum())
    if checked < 2:
        return None
    log_compute = np.log(table["train_flops"].to_numpy(dtype=float))
    gap = checked_gap(replace(records, table=table), log_compute)
    if gap is None:
        return None
    ends = [log_compute.min(), log_compute.max(), log_compute.max() + np.log(10)]
    smallest, largest, beyond = (float(one) for one in np.expm1(gap.trend(np.array(ends))))
    errors = (float(one) for one in gap.trend_stderr(np.array(ends)))
    change, change_stderr = gap.change(ends[0], ends[1])
    return GapTrend(
        rungs=checked,
        smallest=smallest,
        largest=largest,
        beyond=beyond,
        **dict(zip(("smallest_stderr", "largest_stderr", "beyond_stderr"), errors, strict=True)),
        change=change,
        change_stderr=change_stderr,
    )


def _stakes(table: pd.DataFrame, trend: LearningRateTrend | None) -> tuple[Stake, ...]:
    if trend is None or not trend.is_real or "train_flops" not in table:
        return ()
    nothing = pd.Series(False, index=table.index)
    hidden = table["held_out"].astype(bool) if "held_out" in table else nothing
    found = []
    for label, some in (("largest fitted run", table[~hidden]), ("held-out run", table[hidden])):
        if len(some):
            run = some.loc[some["train_flops"].idxmax()]
            at = {"width": float(run["width"]), "tokens": float(run["tokens"])}
            found.append(
                Stake(run=label, lr_offset=trend.offset(**at), loss=trend.loss_at_stake(**at))
            )
    return tuple(found)
