"""What one law of groups says of new runs, where the groups share constants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.display import Result, plain_values
from analysis.fitting.groups.result import GroupedFit
from analysis.fitting.groups.split import group_named
from analysis.fitting.prediction import checked_level
from analysis.fitting.result import Fit
from analysis.intervals import LEVEL, Interval, interval_columns
from scaling.arrays import FloatArray
from scaling.columns import canonical_name
from scaling.errors import FitError
from scaling.limits import Limit, LimitCode, codes
from scaling.points import in_our_units
from scaling.tables.cells.numbers import read_numbers
from scaling.tables.notes import printable

if TYPE_CHECKING:
    from pandas import DataFrame

_LEAST_DRAWS = 4000  # of a new run: a draw of the constants with noise


@dataclass(frozen=True, kw_only=True)
class GroupPoint:
    """What the law of its group says of one new run."""

    at: Mapping[str, float]
    group: str
    median: float | None  # nats per token; None where the group's runs do not support a number
    intervals: Mapping[float, Interval]  # level -> range of a new run; empty where unsupported
    limits: tuple[Limit, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class GroupedPrediction(Result):
    """New runs of several groups, by one law of which the groups share constants."""

    law: str
    form: str
    by: str
    shared: tuple[str, ...]
    points: tuple[GroupPoint, ...]
    source: str
    data_hash: str
    limits: tuple[Limit, ...]

    def to_frame(self) -> "DataFrame":
        """One row a point: its inputs, its group, median, low_90 and high_90 (by the levels), and
        the codes of what limits it."""
        rows = [
            {**one.at, self.by: one.group, "median": one.median}
            | interval_columns(one.intervals)
            | {"limits": codes(one.limits)}
            for one in self.points
        ]
        return pd.DataFrame(rows)

    def beside(self, points: "DataFrame") -> "DataFrame":
        """The table of points that was asked about, with the columns median, low_90, high_90."""
        levels = dict.fromkeys(level for one in self.points for level in one.intervals)
        blank = dict.fromkeys(levels, Interval(float("nan"), float("nan")))
        added = pd.DataFrame(
            [
                {"median": p.median, **interval_columns({**blank, **p.intervals})}
                for p in self.points
            ],
            index=points.index,
        )
        if taken := [name for name in added if name in points.columns]:
            raise FitError(f'points: column "{taken[0]}" exists already; rename it first')
        return pd.concat([points, added.astype(float)], axis=1)

    def _document(self) -> Any:
        names = ("law", "form", "by", "shared", "points", "source", "data_hash", "limits", "notes")
        return {name: plain_values(getattr(self, name)) for name in names}


def predict_groups(
    grouped: GroupedFit,
    points: pd.DataFrame,
    *,
    confidence_levels: Sequence[float] = (LEVEL,),
    seed: int = 0,
) -> GroupedPrediction:
    """The loss (nats per token) of new runs, one a row of ``points``, by the law of its group.

    ``points`` have the column of the groups and those that the law reads, or train_flops alone for
    a law that splits a budget; spelt as in the runs' table or in a common way. Intervals are of a
    new run: the bootstrap's constants, and the scatter of the runs about the law, of all groups
    where they share constants. A point that its group's runs do not support has no number.

    Raises FitError for a fit without bootstrap, a missing column, a group without runs, and values
    that are no numbers above zero.
    """
    for level in confidence_levels:
        checked_level(level)
    if any(fit.draws is None for fit in grouped.fits.values()):
        raise FitError("intervals of new runs need bootstrap draws; fit with some")
    if points.empty:
        raise FitError("points: no rows; give one row a run to predict")
    if (records := next(iter(grouped.fits.values())).records) is not None:
        points = in_our_units(points, records)
    spelt, labels = _spelt(grouped, points), _labels(grouped, points)
    at = _inputs(grouped, points, spelt)
    found: dict[int, GroupPoint] = {}
    for number, label in enumerate(dict.fromkeys(labels)):
        rows = [i for i, one in enumerate(labels) if one == label]
        theirs = {name: values[rows] for name, values in at.items()}
        rng = np.random.default_rng([seed, number])
        answers = _of_group(grouped, label, theirs, confidence_levels, rng)
        found |= dict(zip(rows, answers, strict=True))
    of_fits = [
        Limit(limit.code, f"{grouped.by} {printable(label)}: {limit.text}")
        for label, fit in grouped.fits.items()
        if label in labels
        for limit in fit.limits
    ]
    return GroupedPrediction(
        law=grouped.law,
        form=grouped.form,
        by=grouped.by,
        shared=grouped.shared,
        points=tuple(found[i] for i in range(len(points))),
        source=grouped.source,
        data_hash=grouped.data_hash,
        limits=(_one_law(grouped), *grouped.limits, *of_fits),
        notes=grouped.notes,
    )


def _one_law(grouped: GroupedFit) -> Limit:
    groups = f"groups that share {', '.join(grouped.shared)}" if grouped.shared else "each group"
    return Limit(
        LimitCode.ONE_LAW,
        f"one law of {groups}, without backtests: intervals are of a new run if that law is right; "
        "no other law and no drift of ladders is in them",
    )


def _of_group(
    grouped: GroupedFit,
    label: str,
    at: Mapping[str, FloatArray],
    levels: Sequence[float],
    rng: np.random.Generator,
) -> list[GroupPoint]:
    count = len(next(iter(at.values())))
    given = [{name: float(values[i]) for name, values in at.items()} for i in range(count)]
    if label in grouped.left_out:
        why = f"{grouped.by} {printable(label)} has no fit: {grouped.left_out[label]}"
        none = Limit(LimitCode.UNSUPPORTED, why)
        return [
            GroupPoint(at=one, group=label, median=None, intervals={}, limits=(none,))
            for one in given
        ]
    fit = grouped.fits[label]
    asked: dict[str, Any] = dict(at)
    said = fit.predict(**asked)
    losses = _new_runs(fit, said.at, _scatter(grouped, label), rng)
    middle = np.median(losses, axis=0)
    ends = {v: np.quantile(losses, [(1 - v) / 2, (1 + v) / 2], axis=0) for v in levels}
    found = []
    for i, (one, against) in enumerate(zip(given, said.limits, strict=True)):
        told = {} if against else {v: Interval(*map(float, e[:, i])) for v, e in ends.items()}
        median = None if against else float(middle[i])
        found.append(GroupPoint(at=one, group=label, median=median, intervals=told, limits=against))
    return found


def _new_runs(
    fit: Fit, at: Mapping[str, FloatArray], scatter: "_Scatter", rng: np.random.Generator
) -> FloatArray:
    """Losses of new runs (draws, points): constants of the bootstrap, each with the noise of a
    run."""
    assert fit.draws is not None
    drawn = np.asarray(fit.draws.loss(*(np.ravel(at[name]) for name in fit.columns)))
    count = max(len(drawn), _LEAST_DRAWS)
    which = np.resize(np.arange(len(drawn)), count)
    noise = scatter.log_stderr * rng.standard_t(scatter.spare, size=(count, drawn.shape[1]))
    out: FloatArray = drawn[which] * np.exp(noise)
    return out


@dataclass(frozen=True)
class _Scatter:
    """How far runs lie from the law, by the residuals of so many runs beyond its constants."""

    log_stderr: float
    spare: int


def _scatter(grouped: GroupedFit, label: str) -> _Scatter:
    fits = list(grouped.fits.values()) if grouped.shared else [grouped.fits[label]]
    residuals = np.concatenate([fit.log_residuals for fit in fits])
    free = sum(
        len([n for n in fit.law.constants() if n not in {*fit.fixed, *fit.tied}]) for fit in fits
    )
    free -= (len(fits) - 1) * len([n for n in grouped.shared if n not in fits[0].fixed])
    spare = max(len(residuals) - free, 1)
    return _Scatter(float(np.sqrt((residuals**2).sum() / spare)), spare)


def _spelt(grouped: GroupedFit, points: pd.DataFrame) -> dict[str, str]:
    """Our name of each column of the points -> as it is spelt there."""
    records = next(iter(grouped.fits.values())).records
    found = {str(name): str(name) for name in points.columns}
    for name in map(str, points.columns):
        ours = records.name_of(name) if records is not None else canonical_name(name) or name
        found.setdefault(ours, name)
    return found


def _labels(grouped: GroupedFit, points: pd.DataFrame) -> list[str]:
    spelt = _spelt(grouped, points)
    if grouped.by not in spelt:
        raise FitError(
            f'points: no column "{printable(grouped.by)}", by which the runs are grouped'
        )
    labels = []
    have = [*grouped.fits, *grouped.left_out]
    for row, value in enumerate(points[spelt[grouped.by]]):
        label = group_named(value, have)
        if label is None:
            some = ", ".join(map(printable, have[:8]))
            raise FitError(
                f'points: {printable(grouped.by)} is "{printable(str(value))}" in row {row + 2}, '
                f"and no run is (there are: {some})"
            )
        labels.append(label)
    return labels


def _inputs(
    grouped: GroupedFit, points: pd.DataFrame, spelt: Mapping[str, str]
) -> dict[str, FloatArray]:
    """The columns of the points that the law reads, or their budgets, each (points,)."""
    first = next(iter(grouped.fits.values()))
    names: Sequence[str] = first.columns
    splits = hasattr(first.law, "optimal_params") and first.columns == ("params", "tokens")
    if splits and not set(names) <= set(spelt) and "train_flops" in spelt:
        names = ("train_flops",)
    found = {}
    for name in names:
        if name not in spelt:
            has = ", ".join(printable(str(c)) for c in list(points.columns)[:12])
            raise FitError(f'points: no column "{printable(name)}" (they have: {has})')
        values = read_numbers(points[spelt[name]])[0].to_numpy(dtype=np.float64)
        allowed = values >= 0 if name in first.law.may_be_zero else values > 0
        if (bad := np.flatnonzero(~(np.isfinite(values) & allowed))).size:
            cell = printable(str(points[spelt[name]].iloc[int(bad[0])]))
            raise FitError(f'points: {printable(name)} is "{cell}" in row {int(bad[0]) + 2}')
        found[name] = values
    return found
