"""What speaks against a verdict on a sealed forecast, and what no check of it can show.

Each check compares two things that are hard to change alike: when the forecast was sealed and when
the run began, what the seal and the run say of what losses were measured on, what a run's loss is
and what it was when it was told first.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from analysis.evaluation.sealed import RunAtTarget, Seal, SealedTarget, measured_on, runs_at
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.store.seals.chain import CLOCKS_DIFFER, Publication, in_words, sealed_time
from scaling.store.stored_runs import RunTimes
from scaling.words import counted

_SAME = 1e-9  # by which one loss, told twice by one source, may differ
_ROUNDED = 1e-4  # by which it may where another source tells it


def landed_runs(seal: Seal, target: SealedTarget, records: Records) -> list[RunAtTarget]:
    """The finished runs at a target that the forecast had not seen."""
    return [
        run
        for run in runs_at(target, records)
        if run.status == "finished" and run.loss is not None and run.name not in seal.seen_runs
    ]


def measured_alike(seal: Seal, records: Records) -> tuple[set[int], list[Limit]]:
    """The rows that do not say they were measured on something else than the seal speaks of, and
    what to say of runs at its targets that do, or of which nobody says."""
    given = measured_on(records)
    other = pd.DataFrame(
        {
            name: given[name].notna() & (given[name] != sealed)
            for name, sealed in seal.measured_on.items()
            if name in given
        },
        index=given.index,
    )
    alike = set(np.flatnonzero(~other.any(axis=1).to_numpy()).tolist())
    here = [run for target in seal.targets for run in landed_runs(seal, target, records)]
    apart = [run for run in here if run.row not in alike]
    limits = []
    if apart:
        row = apart[0].row
        name = str(other.columns[other.iloc[row].to_numpy()][0])
        given_as = given[name].iloc[row] or "cross-entropy"
        sealed_as = seal.measured_on[name] or "cross-entropy"
        text = (
            f"{counted(len(apart), 'run')} at its targets not counted: {name} of {apart[0].name} "
            f"is {given_as}, but the forecast was sealed for {sealed_as}; their losses do not "
            "compare"
        )
        limits.append(Limit(LimitCode.OTHER_EVALUATION, text))
    unsaid = [name for name in ("eval_hash", "tokenizer_hash") if name not in seal.measured_on]
    unsaid += [
        name
        for name in seal.measured_on
        if name not in given or any(pd.isna(given[name].iloc[run.row]) for run in here)
    ]
    if here and unsaid:
        text = f"not compared, since the seal or the run does not say: {', '.join(unsaid)}"
        limits.append(Limit(LimitCode.NOT_PROVED, text))
    return alike, limits


def clock_doubts(seal: Seal, times: Mapping[str, RunTimes]) -> tuple[Limit, ...]:
    """Whether the clock was behind: a run that the forecast was made from began after it.

    The end of a run in the store does not tell: it moves whenever a fact is added to the run.
    """
    sealed = _sealed(seal)
    seen = [times[run] for run in seal.seen_runs if run in times]
    latest = max((one.began or one.ended or sealed for one in seen), default=sealed)
    if latest - sealed <= CLOCKS_DIFFER:
        return ()
    text = (
        f"dated {in_words(sealed)}, but a run that it was made from is of {in_words(latest)}: "
        "a clock was set back"
    )
    return (Limit(LimitCode.ALTERED, text),)


def too_late(seal: Seal, run: RunAtTarget, times: RunTimes, records: Records) -> tuple[Limit, ...]:
    """Whether a run had begun, or was known, at sealing; or that nobody can say."""
    sealed, limits = _sealed(seal), list[Limit]()
    if _was_known(seal, run, "run_id" in records):
        text = f"sealed when {run.name} was in its source already" + (
            f", left out by --where {' '.join(seal.where)}" if seal.where else ""
        )
        limits.append(Limit(LimitCode.SEALED_LATE, text))
    for verb, time in (("ended", times.ended), ("began", times.began)):
        if time and time <= sealed:
            text = (
                f"sealed after the run {verb}: sealed {in_words(sealed)}, {run.name} {verb} "
                f"{in_words(time)}"
            )
            limits.append(Limit(LimitCode.SEALED_LATE, text))
            break
    if times.began is None and not limits:
        text = (
            f"time cannot be compared: {records.source} does not say when {run.name} began "
            "(a column started_at)"
        )
        limits.append(Limit(LimitCode.TIME_UNKNOWN, text))
    if seal.where and seal.known is None:
        text = f"not looked at when it was sealed: what --where {' '.join(seal.where)} left out"
        limits.append(Limit(LimitCode.NOT_PROVED, text))
    return tuple(limits)


def _was_known(seal: Seal, run: RunAtTarget, has_names: bool) -> bool:
    """By its name, where runs have names of their own, or by its loss to the last digit."""
    known = seal.known or {}
    if run.name in known and (has_names or known[run.name] is None):
        return True
    return any(loss == run.loss for loss in known.values())


def retold(run: RunAtTarget, told: Sequence[float]) -> tuple[Limit, ...]:
    """Whether the store was told another loss of a run than its row has."""
    others = [loss for loss in told if not _is_close(loss, run.loss, _SAME)]
    if not others:
        return ()
    text = (
        f"the store was told a loss of {others[0]:.6g} of {run.name}, whose row says {run.loss:.6g}"
    )
    return (Limit(LimitCode.ALTERED, text),)


def changes(
    noted: Sequence[Mapping[str, Any]], landed: Sequence[RunAtTarget], source: str
) -> list[Limit]:
    """The runs that verified a target before and are no more what they were, or are gone."""
    limits = []
    for one in noted:
        tolerance = _SAME if one["source"] == source else _ROUNDED
        if not any(_is_close(one["loss"], run.loss, tolerance) for run in landed):
            text = (
                f"first verified {one['at']} by {one['run']} of {one['source']} with a loss of "
                f"{one['loss']:.6g}, which no run at this target has any more"
            )
            limits.append(Limit(LimitCode.ALTERED, text))
    return limits


def _is_close(one: float, other: float | None, tolerance: float) -> bool:
    return other is not None and abs(one - other) <= tolerance * abs(one)


def not_proved(
    is_kept: bool, published: Publication | None, begins: Sequence[datetime], measured_by: str
) -> str:
    """What a seal does not show, as it stands, in one line.

    ``begins`` are the times at which its runs began, where these are known; ``measured_by`` is the
    source of the losses that it was held against, "" where none have landed.
    """
    claims = [_when_unproved(is_kept, published, begins)]
    claims.append("that no other forecast of its runs was ever sealed")
    if measured_by:
        claims.append(f"that the losses and times in {measured_by} are what they were")
    return "; ".join(claims)


def _when_unproved(is_kept: bool, published: Publication | None, begins: Sequence[datetime]) -> str:
    if not is_kept:
        return "when it was sealed, and that it is what was sealed: it was not looked up in a store"
    if published is None:
        return (
            "when it was sealed: it was held against no publication, and whoever controls the "
            "store and its clock can make all of this anew"
        )
    if published.at is None:
        return "when the digest that was given was published"
    at = datetime.fromisoformat(published.at)
    if any(began <= at for began in begins):
        return (
            f"that it was sealed before its run began: {published.where} is of {in_words(at)}, "
            "after that"
        )
    if published.remotes:
        others = " and ".join(published.remotes)
        return f"since when {others} has {published.where}, which its own log may show"
    return f"that {published.where} was not made later: no remote has it"


def _sealed(seal: Seal) -> datetime:
    found = sealed_time({"sealed_at": seal.sealed_at})
    if found is None:
        raise ForecastError(f'"{seal.name}" does not say when it was sealed: {seal.sealed_at}')
    return found
