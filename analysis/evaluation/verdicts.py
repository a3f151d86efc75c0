"""Verdicts on sealed forecasts: the runs that landed since, and what speaks against counting them.

    Seal + its runs + what the store shows of both  --standing_of-->  SealStanding

A verdict counts where the seal is what it was, was sealed before the run began, and the run was
measured on what the seal speaks of. What speaks against that is a limit, with both sides' facts;
what nothing here can show is a limit too, `LimitCode.NOT_PROVED`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from analysis.display import Result
from analysis.evaluation.seal_checks import (
    changes,
    clock_doubts,
    landed_runs,
    measured_alike,
    not_proved,
    retold,
    too_late,
)
from analysis.evaluation.sealed import RunAtTarget, Seal, SealedTarget
from scaling.errors import ForecastError, ScalingError
from scaling.limits import Limit, LimitCode, texts
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.store.seals.chain import KeptSeal, Publication, SealChain
from scaling.store.stored_runs import RunTimes, StoredRuns, times_in
from scaling.words import counted

#: Limits with which a verdict does not count.
UNCOUNTED = (LimitCode.ALTERED, LimitCode.SEALED_LATE)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one sealed prediction fared: measured loss, error, and which intervals held it."""

    seal: str
    at: Mapping[str, float]
    run: str
    predicted: float | None
    measured: float
    error: float | None  # predicted / measured - 1: above zero means predicted too high
    inside: Mapping[float, bool]  # by confidence level
    began: str | None = None  # when its run began and ended, UTC; None where nobody says
    ended: str | None = None
    counted: bool = True
    limits: tuple[Limit, ...] = ()

    @property
    def line(self) -> str:
        """The verdict as a sentence."""
        where = ", ".join(f"{name} {value:.4g}" for name, value in self.at.items())
        held = ", ".join(
            f"{'inside' if ok else 'OUTSIDE'} {100 * level:.10g}%"
            for level, ok in self.inside.items()
        )
        head, measured = f"{self.seal} at {where}", f"measured {self.measured:.4f}"
        if self.predicted is None or self.error is None:
            told = f"{head}: an order of magnitude only, {measured} ({held})"
        else:
            told = (
                f"{head}: predicted {self.predicted:.4f}, {measured}, error {self.error:+.2%} "
                f"({held})"
            )
        return told if self.counted else f"{told}; NOT COUNTED"


@dataclass(frozen=True, kw_only=True, repr=False)
class SealStanding(Result):
    """One sealed forecast and where it stands: its verdicts, and what limits them."""

    seal: Seal
    verdicts: tuple[Verdict, ...]
    limits: tuple[Limit, ...]
    source: str = ""  # the runs that it was held against
    count: int = 0  # how many seals its chain has had; 0 where it was not looked up in a store
    published: Publication | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per verdict: where its run is, predicted (blank where it is not supported) and
        measured loss, error (predicted / measured - 1), which intervals held, and whether it
        counts."""
        rows = [
            {
                **verdict.at,
                "run": verdict.run,
                "predicted": verdict.predicted,
                "measured": verdict.measured,
                "error": verdict.error,
                **{f"inside_{100 * k:.10g}": held for k, held in verdict.inside.items()},
                "counted": verdict.counted,
            }
            for verdict in self.verdicts
        ]
        columns = None if rows else ["run", "predicted", "measured", "error", "counted"]
        return pd.DataFrame(rows, columns=columns)

    @property
    def waiting(self) -> tuple[SealedTarget, ...]:
        """The predictions whose run has not landed yet."""
        landed = [verdict.at for verdict in self.verdicts]
        return tuple(target for target in self.seal.targets if target.at not in landed)


def standings_of(
    chain: SealChain,
    load: Callable[[Seal], Records],
    stored: Callable[[str], StoredRuns | None] = lambda source: None,
) -> tuple[SealStanding, ...]:
    """Where every sealed forecast of a store stands, oldest first.

    ``load`` reads the source of one; ``stored`` is what the store knows of a source's runs. A
    source that cannot be read is said in its standing and stops no other. Raises ForecastError
    where seals are known to have been, and none is left.
    """
    seals, unread = [], []
    for kept in chain.seals:
        try:
            if kept.document is not None:  # else the chain's limits say why
                seals.append((kept, Seal.from_json(kept.document)))
        except ForecastError as error:
            unread.append(Limit(LimitCode.SEAL_MISSING, f'"{kept.name}" is not read: {error}'))
    chain = replace(chain, limits=(*chain.limits, *unread))
    standings = []
    for kept, seal in seals:
        try:
            records = load(seal)
            standing = standing_of(
                seal, records, kept=kept, chain=chain, stored=stored(records.source)
            )
        except ScalingError as error:
            refused = Limit(LimitCode.NO_ANSWER, f"not scored: {error}")
            standing = SealStanding(
                seal=seal,
                verdicts=(),
                limits=(*kept.limits, refused, *chain.limits),
                count=chain.count,
                published=kept.published,
            )
        standings.append(standing)
    if chain.limits and not standings:
        raise ForecastError("; ".join(limit.text for limit in chain.limits))
    return tuple(standings)


def standing_of(
    seal: Seal,
    records: Source,
    *,
    kept: KeptSeal | None = None,
    chain: SealChain | None = None,
    stored: StoredRuns | None = None,
) -> SealStanding:
    """The seal with its verdicts on the finished runs among these that it had not seen.

    ``kept`` is the seal as the store has it, in its ``chain``; ``stored`` what the store knows of
    the runs. Without them the times are those that the table says, and what could not be looked up
    is said. Runs are matched by the target's own quantities to within 2%. Raises RecordError where
    the records lack these or the loss.
    """
    records = records_from(records)
    records.require("loss", *dict.fromkeys(name for t in seal.targets for name in t.asked))
    doubts = kept.limits if kept else ()
    times = times_in(records) | (stored.times if stored else {})
    doubts += clock_doubts(seal, times)
    alike, apart = measured_alike(seal, records)
    by_target = [
        [run for run in landed_runs(seal, target, records) if run.row in alike]
        for target in seal.targets
    ]
    told = stored.losses(run.name for runs in by_target for run in runs) if stored else {}
    noted = kept.verified if kept else ()
    verdicts, changed = [], list[Limit]()
    for number, (target, landed) in enumerate(zip(seal.targets, by_target, strict=True)):
        own = [one for one in noted if one.get("target") == number]
        altered = changes(own, landed, records.source)
        changed += altered
        if target.asked == ("train_flops",):  # the loss at a budget is that of its best run
            landed = sorted(landed, key=lambda run: run.loss or 0.0)[:1]
        for run in landed:
            run_times = times.get(run.name, RunTimes())
            against = (
                *too_late(seal, run, run_times, records),
                *retold(run, told.get(run.name, ())),
            )
            speaking = (*doubts, *altered, *against)
            counts = not any(limit.code in UNCOUNTED for limit in speaking)
            verdicts.append(_verdict(seal, target, run, run_times, against, counts))
    published = kept.published if kept else None
    limits = [*doubts, *changed, *apart, *(chain.limits if chain else ())]
    if not verdicts:
        limits.append(Limit(LimitCode.WAITING, "none of its runs has landed yet"))
    begins = [datetime.fromisoformat(one.began) for one in verdicts if one.began]
    open_claims = not_proved(bool(kept), published, begins, records.source if verdicts else "")
    limits.append(Limit(LimitCode.NOT_PROVED, f"not proved: {open_claims}"))
    return SealStanding(
        seal=seal,
        verdicts=tuple(verdicts),
        limits=tuple(limits),
        source=records.source,
        count=chain.count if chain else 0,
        published=published,
        notes=records.told,
    )


def verified_runs(standing: SealStanding) -> list[dict[str, Any]]:
    """The runs that verify a seal, as its store notes them: later changes of them then show."""
    return [
        {
            "target": number,
            "source": standing.source,
            "run": verdict.run,
            "loss": verdict.measured,
        }
        for verdict in standing.verdicts
        for number, target in enumerate(standing.seal.targets)
        if target.at == verdict.at
    ]


@dataclass(frozen=True, kw_only=True)
class CoverageSoFar:
    """How many measured losses lay inside their sealed intervals of one confidence level."""

    level: float
    inside: int
    verdicts: int


def coverage_so_far(standings: Sequence[SealStanding]) -> tuple[CoverageSoFar, ...]:
    """By confidence level, over all verdicts that count."""
    verdicts = [one for standing in standings for one in standing.verdicts if one.counted]
    levels = dict.fromkeys(level for verdict in verdicts for level in verdict.inside)
    found = []
    for level in levels:
        own = [verdict.inside[level] for verdict in verdicts if level in verdict.inside]
        found.append(CoverageSoFar(level=level, inside=sum(own), verdicts=len(own)))
    return tuple(found)


def record_line(standings: Sequence[SealStanding]) -> str:
    """The record of all sealed forecasts in a sentence: how many landed, error, hits."""
    all_verdicts = [verdict for standing in standings for verdict in standing.verdicts]
    verdicts = [verdict for verdict in all_verdicts if verdict.counted]
    uncounted = len(all_verdicts) - len(verdicts)
    waiting = sum(len(standing.waiting) for standing in standings)
    summary = (
        f"{counted(len(standings), 'sealed forecast')}: {counted(len(verdicts), 'verdict')}"
        f"{f', {uncounted} not counted' if uncounted else ''}, {waiting} waiting"
    )
    limits = [limit for standing in standings for limit in standing.limits]
    missing = texts(limits, of=(LimitCode.SEAL_MISSING,))
    if not verdicts:
        return "; ".join([summary, *missing])
    errors = [abs(verdict.error) for verdict in verdicts if verdict.error is not None]
    hits = [
        f"{one.inside} of {one.verdicts} inside the {100 * one.level:g}% interval"
        for one in coverage_so_far(standings)
    ]
    mean = [f"mean error {np.mean(errors):.2%}"] if errors else []
    return "; ".join([summary, *mean, ", ".join(hits), *missing])


def unproved(standings: Sequence[SealStanding]) -> list[str]:
    """What no verdict of these shows, a sentence each: times that nobody says, and the like."""
    limits = [limit for standing in standings for limit in standing.limits]
    limits += [limit for one in standings for verdict in one.verdicts for limit in verdict.limits]
    return texts(limits, of=(LimitCode.TIME_UNKNOWN, LimitCode.NOT_PROVED))


def _verdict(
    seal: Seal,
    target: SealedTarget,
    run: RunAtTarget,
    times: RunTimes,
    limits: tuple[Limit, ...],
    counts: bool,
) -> Verdict:
    loss = run.loss or 0.0
    began, ended = (
        time.isoformat(timespec="seconds") if time else None for time in (times.began, times.ended)
    )
    return Verdict(
        seal=seal.name,
        at=target.at,
        run=run.name,
        predicted=target.median,
        measured=loss,
        error=None if target.median is None else target.median / loss - 1,
        inside={level: low <= loss <= high for level, (low, high) in target.intervals.items()},
        began=began,
        ended=ended,
        counted=counts,
        limits=limits,
    )
