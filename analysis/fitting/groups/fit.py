"""One law fitted to groups of runs: each alone, or together with some constants shared."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.fitting.bounded import fit_bounded
from analysis.fitting.fit import as_told
from analysis.fitting.free import fit_free
from analysis.fitting.groups.joint import JointProblem, law_with_floor
from analysis.fitting.groups.result import GroupedFit
from analysis.fitting.groups.split import Groups, split
from analysis.fitting.identifiability import floor_is_bounded
from analysis.fitting.lmfit_bridge import Bounds, checked_bounds, tied_constants
from analysis.fitting.measurements.signal import require_signal
from analysis.fitting.minimising.penalties import Penalty, penalty_named
from analysis.fitting.policy import (
    BY_THE_CALLER,
    FITTED,
    FLOOR_HELD,
    FLOOR_UNTOLD,
    HELD_AT_ZERO,
    RESAMPLES,
    fit_law,
    objective_of,
    runs_taken,
)
from analysis.fitting.problem import Problem, check_given_once, pose, weights_in_words
from analysis.fitting.refits.ceiling import ABOVE_MEASURED
from analysis.fitting.result import Choice, Fit
from analysis.fitting.search import find_optimum
from analysis.intervals import LEVEL
from analysis.tuning.screening import screen
from scaling.errors import FitError, RecordError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.written.formula import law_for, require_own_column
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.tables.notes import printable


def fit_groups(
    records: Source,
    law: str | type[Law] = PowerLaw,
    *,
    by: str,
    share: Sequence[str] = (),
    **how: Any,
) -> GroupedFit:
    """The constants of one law for each group of runs that the column ``by`` makes.

    Without ``share`` each group is fitted alone, as `fit_law` does with the keywords ``how`` (which
    are its own). Constants that ``share`` names are the same in all groups: the groups are fitted
    together, in one search and one bootstrap, so that a group may have fewer runs than the law has
    constants. A group that cannot be fitted is left out, with the reason; the others are fitted.

    Raises FitError where no group can be, and for a shared name that is no constant of the law or
    is tied; RecordError for a missing column.
    """
    records = records_from(records)
    check_given_once(*(how.get(one) or {} for one in ("fix", "bounds", "expressions")))
    objective_of(how.get("objective"), how.get("huber_delta"), 0)
    kind = law_for(law, records, how.get("bounds"))
    require_own_column(kind, how.get("x"))
    groups = split(records, by)
    if groups.by in (*kind.inputs, how.get("x"), "loss"):
        raise FitError(f"--by {printable(by)}: {kind.name} reads it; groups need another column")
    _check_shared(kind, share, how)
    found = _fit_jointly(groups, kind, share, how) if share else _fit_alone(groups, kind, how)
    fits, left_out, limits = found
    if not fits:
        label, why = next(iter(left_out.items()))
        raise FitError(f"--by {groups.by}: no group can be fitted; {printable(label)}: {why}")
    texts = [f"{groups.by} {printable(label)} has no fit: {why}" for label, why in left_out.items()]
    return GroupedFit(
        law=kind.name,
        form=kind.form,
        by=str(groups.by),
        shared=tuple(share),
        fits=fits,
        left_out=left_out,
        source=records.source,
        data_hash=records.data_hash,
        limits=(
            *(Limit(LimitCode.LEFT_OUT, text) for text in texts),
            *groups.blank,
            *limits,
        ),
        notes=groups.records.told,
    )


Found = tuple[dict[str, Fit], dict[str, str], tuple[Limit, ...]]
"""Fits by group, why groups have none, and what limits the groups together."""


def _check_shared(kind: type[Law], share: Sequence[str], how: Mapping[str, Any]) -> None:
    have = ", ".join(kind.constant_names())
    for name in share:
        if name not in kind.constant_names():
            raise FitError(f"--share {printable(name)}: {kind.name} has no such constant ({have})")
        if name in (how.get("expressions") or {}):
            raise FitError(f"--share {name}: --tie gives it; share what it is tied to")
        if name in (how.get("fix") or {}):
            raise FitError(f"--share {name}: --fix holds it in all groups anyway; leave one out")
    if len(set(share)) < len(share):
        raise FitError("--share names a constant twice; say it once")


def _fit_alone(groups: Groups, kind: type[Law], how: Mapping[str, Any]) -> Found:
    fits, left_out = {}, {}
    for place, label in enumerate(groups.labels):
        try:
            fits[label] = fit_law(groups.of(place), kind, **how)
        except (FitError, RecordError) as error:
            left_out[label] = _without_source(error, groups.records)
    return fits, left_out, ()


def _without_source(error: Exception, records: Records) -> str:
    return str(error).removeprefix(f"{records.source}: ")


def _fit_jointly(
    groups: Groups, kind: type[Law], share: Sequence[str], how: Mapping[str, Any]
) -> Found:
    posed, left_out = _posed(groups, kind, share, how)
    if not posed:
        return {}, left_out, ()
    joint = JointProblem(tuple(posed), tuple(p.problem for p in posed.values()), tuple(share))
    fewest = min(part.configurations for part in joint.parts)
    chosen = objective_of(how.get("objective"), how.get("huber_delta"), fewest)
    penalty = penalty_named(chosen.chosen, huber_delta=how.get("huber_delta") or 1e-3)
    ends = _bounds_of_groups(joint, how.get("bounds") or {})
    held = _untold_floors(joint, groups.records, penalty, ends)
    problem = joint.problem(groups.records, dict.fromkeys(held, 0.0))
    asked: tuple[Any, ...] = (
        how.get("bootstrap", RESAMPLES),
        joint.resampling,
        how.get("seed", 0),
        how.get("confidence_level", LEVEL),
    )
    whole = (
        fit_bounded(problem, penalty, ends, *asked) if ends else fit_free(problem, penalty, *asked)
    )
    ties = how.get("expressions") or {}
    decided = {*(how.get("fix") or {}), *(how.get("bounds") or {}), *ties}
    fits = {}
    for label, fit in joint.apart(whole).items():
        problem, choices = posed[label].problem, (posed[label].runs, chosen, _shares(share))
        weights = weights_in_words(how.get("weights"), problem)
        fit = as_told(replace(fit, choices=choices, tied=ties, weights=weights), problem)
        fits[label] = _with_floor(fit, decided)
    return fits, left_out, tuple(_of_all(limit) for limit in whole.limits)


def _shares(share: Sequence[str]) -> Choice:
    return Choice(about="shared by all groups", chosen=", ".join(share), because=BY_THE_CALLER)


def _of_all(limit: Limit) -> Limit:
    return Limit(limit.code, f"all groups: {limit.text}")


@dataclass(frozen=True)
class _Posed:
    problem: Problem
    runs: Choice


def _posed(
    groups: Groups, kind: type[Law], share: Sequence[str], how: Mapping[str, Any]
) -> tuple[dict[str, _Posed], dict[str, str]]:
    """The problem of each group with the shared constants given, and why a group has none."""
    x = how.get("x")
    columns = (x,) if x else kind.inputs
    fixed, ties = dict(how.get("fix") or {}), tied_constants(kind, how.get("expressions") or {})
    given = {name: _some_value(kind, name) for name in share}
    posed, left_out = {}, {}
    for place, label in enumerate(groups.labels):
        try:
            usable = screen(groups.of(place), *columns, or_zero=kind.may_be_zero)
            runs, choice = runs_taken(usable, kind, x, how.get("frontier"))
            require_signal(runs, columns)
            problem = pose(
                runs,
                kind,
                x=x,
                fixed={**given, **fixed},
                weights=how.get("weights"),
                cluster=how.get("cluster"),
                tied=ties,
            )
        except (FitError, RecordError) as error:
            left_out[label] = _without_source(error, groups.records)
        else:
            posed[label] = _Posed(replace(problem, fixed=fixed), choice)
    return posed, left_out


def _some_value(kind: type[Law], name: str) -> float:
    """A value that the law may have of a constant which is found later."""
    low, high = kind.bounds()[name]
    if name == kind.floor:
        return 0.0
    if np.isfinite(low) and np.isfinite(high):
        return (low + high) / 2
    return low + 1 if np.isfinite(low) else min(0.0, high - 1)


def _bounds_of_groups(joint: JointProblem, bounds: Bounds) -> Bounds:
    if not bounds:
        return {}
    checked_bounds(joint.parts[0].law, bounds)  # refused by the names that the caller used
    law, numbers = joint.law, range(1, len(joint.parts) + 1)
    return {law.own(name, g): ends for name, ends in bounds.items() for g in numbers}


def _untold_floors(
    joint: JointProblem, records: Records, penalty: Penalty, bounds: Bounds
) -> list[str]:
    """The floors of groups, by the names of the law of groups, that the runs do not tell."""
    floor = joint.parts[0].law.floor
    if floor is None:
        return []
    problem = joint.problem(records)
    floors = dict.fromkeys(joint.law.own(floor, g) for g in range(1, len(joint.parts) + 1))
    names = [n for n in floors if n not in {*problem.fixed, *problem.tied, *bounds}]
    if not names:
        return []
    model = problem.model()
    optimum = find_optimum(problem, model, penalty)
    asked = {n: replace(problem, law=law_with_floor(problem.law, n)) for n in names}
    return [n for n, one in asked.items() if not floor_is_bounded(one, model, penalty, optimum)]


def _with_floor(fit: Fit, decided: Collection[str]) -> Fit:
    """The fit with what became of its floor, as `fit_law` says it."""
    floor = type(fit.law).floor
    if floor is None:
        return fit
    value = float(fit.law.constants()[floor])
    if floor in fit.fixed and floor not in decided:
        told = Choice(about="floor", chosen=HELD_AT_ZERO, because=FLOOR_UNTOLD)
        untold = {**fit.unidentified, floor: FLOOR_UNTOLD}
        limits = (FLOOR_HELD, *fit.limits)
        return replace(fit, choices=(*fit.choices, told), unidentified=untold, limits=limits)
    if floor in decided:
        told = Choice(about="floor", chosen="set by hand", because=BY_THE_CALLER)
    else:
        told = Choice(about="floor", chosen=FITTED, because="the runs rule out a floor of zero")
    fit = replace(fit, choices=(*fit.choices, told))
    assert fit.records is not None
    if value < fit.records.column("loss").min():
        return fit
    text = f"{ABOVE_MEASURED}: {floor} lies at {value:.4g}"
    high = Limit(LimitCode.FLOOR_TOO_HIGH, text)
    untold = {**fit.unidentified, floor: ABOVE_MEASURED}
    return replace(fit, limits=(high, *fit.limits), unidentified=untold)
