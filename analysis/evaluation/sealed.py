"""Sealed forecasts: what was predicted, from what and when, fixed before the run it speaks of.

    forecast  --seal-->  Seal  (kept in the run store by name)
    Seal + the runs that have landed since  --score-->  Verdicts

The digest of all that a seal says is kept beside it, so that a changed one is noticed. Its score
counts only runs that the forecast did not see.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.display import Result
from analysis.forecasting.result import Forecast, TargetForecast
from analysis.intervals import Interval, intervals_from
from analysis.tuning.screening import screen
from scaling.answerable import AS_PLANNED
from scaling.columns import MUST_AGREE
from scaling.errors import ForecastError, RecordError, ScalingError
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.version import installed_version


@dataclass(frozen=True, kw_only=True)
class SealedTarget:
    """One prediction: where, its median if it has one, and the interval at each level."""

    at: Mapping[str, float]
    asked: tuple[str, ...]  # the quantities of `at` that were asked for: a run matches by these
    median: float | None  # None where the runs supported an order of magnitude only
    intervals: Mapping[float, Interval]  # by confidence level
    decades_beyond: float


@dataclass(frozen=True, kw_only=True)
class Seal:
    """A forecast with all that is needed to hold it to its word."""

    name: str
    sealed_at: str  # UTC, ISO 8601
    source: str
    data_hash: str
    seen_runs: tuple[str, ...]  # run ids that the forecast was made from, where the table has them
    recipe: str
    code_version: str
    law: str
    targets: tuple[SealedTarget, ...]
    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> the source's spelling
    where: tuple[str, ...] = ()  # the row filters that the source was read with
    reading: Mapping[str, Any] = field(default_factory=dict)  # units and the like, if any
    measured_on: Mapping[str, str] = field(default_factory=dict)  # evaluation set, tokenizer ...

    @property
    def digest(self) -> str:
        """SHA-256 of its JSON document, first 16 digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The seal as one JSON document."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Seal":
        """The seal that `to_json` wrote."""
        document: dict[str, Any] = json.loads(text)
        targets = tuple(
            SealedTarget(
                at=target["at"],
                asked=tuple(target["asked"]),
                median=target["median"],
                intervals=intervals_from(target["intervals"]),
                decades_beyond=target["decades_beyond"],
            )
            for target in document["targets"]
        )
        lists = {"seen_runs": tuple(document["seen_runs"]), "where": tuple(document["where"])}
        return cls(**{**document, **lists, "targets": targets})


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
            return f"{head}: an order of magnitude only, {measured} ({held})"
        return (
            f"{head}: predicted {self.predicted:.4f}, {measured}, error {self.error:+.2%} ({held})"
        )


def seal_forecast(
    forecast: Forecast,
    name: str,
    records: Source,
    asked: Sequence[str] = (),
    where: Sequence[str] = (),
) -> Seal:
    """Fix a forecast made from ``records`` under a name.

    ``where`` are the row filters that the records were read with: scoring reads them so again.

    ``asked`` names the quantities that were asked for (default: all that describe the target). A
    budget asked for alone is later met by the best run at that budget.

    Raises ForecastError if one of its targets has already been run, which would be no forecast, or
    if ``where`` leaves a target out, which could then never be scored.
    """
    records = records_from(records)
    targets = tuple(
        SealedTarget(
            at=dict(target.at),
            asked=tuple(asked) or tuple(target.at),
            median=target.median,
            intervals=dict(target.intervals),
            decades_beyond=target.decades_beyond,
        )
        for target in map(TargetForecast.in_meaningful_digits, forecast.targets)
    )
    for target in targets:
        _require_within(target, where)
        landed = _runs_at(target, records)
        if landed:
            place = ", ".join(f"{key} {target.at[key]:.4g}" for key in target.asked)
            raise ForecastError(
                f"a run at {place} has already landed ({landed[0][0]}); seal forecasts of runs "
                "that do not exist yet"
            )
    table = records.table
    recipes = table["recipe"].dropna().unique() if "recipe" in table else []
    return Seal(
        name=name,
        sealed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        source=forecast.source,
        data_hash=forecast.data_hash,
        seen_runs=tuple(map(str, table["run_id"])) if "run_id" in table else (),
        recipe=", ".join(map(str, recipes)),
        code_version=code_version(),
        law=forecast.law,
        targets=targets,
        columns=dict(records.names),
        reading=records.reading.beyond_columns,
        where=tuple(where),
        measured_on=_measured_on(records),
    )


def score_seal(seal: Seal, records: Records) -> tuple[Verdict, ...]:
    """How the seal's predictions fared on the finished runs that it had not seen.

    A prediction whose run has not landed yet has no verdict. Runs are matched by the target's own
    quantities to within 2%. Raises RecordError where the records lack these or the loss, and
    ForecastError where they were measured on another evaluation set, tokenizer or data.
    """
    records.require("loss", *dict.fromkeys(name for t in seal.targets for name in t.asked))
    records = _measured_alike(seal, records)
    verdicts = []
    for target in seal.targets:
        landed = [found for found in _runs_at(target, records) if found[0] not in seal.seen_runs]
        if target.asked == ("train_flops",):  # the loss at a budget is that of its best run
            landed = sorted(landed, key=lambda found: found[1])[:1]
        verdicts += [_verdict(seal, target, run, loss) for run, loss in landed]
    return tuple(verdicts)


@dataclass(frozen=True, kw_only=True, repr=False)
class SealStanding(Result):
    """One sealed forecast and where it stands: its verdicts, or why there are none."""

    seal: Seal
    verdicts: tuple[Verdict, ...]
    limits: tuple[Limit, ...]  # its source cannot be read, or no run of it has landed yet

    def to_frame(self) -> pd.DataFrame:
        """One row per verdict: where its run is, predicted (blank where it is not supported) and
        measured loss, error (predicted / measured - 1), and which intervals held."""
        rows = [
            {
                **verdict.at,
                "run": verdict.run,
                "predicted": verdict.predicted,
                "measured": verdict.measured,
                "error": verdict.error,
                **{f"inside_{100 * k:.10g}": held for k, held in verdict.inside.items()},
            }
            for verdict in self.verdicts
        ]
        columns = None if rows else ["run", "predicted", "measured", "error"]
        return pd.DataFrame(rows, columns=columns)

    @property
    def waiting(self) -> tuple[SealedTarget, ...]:
        """The predictions whose run has not landed yet."""
        landed = [verdict.at for verdict in self.verdicts]
        return tuple(target for target in self.seal.targets if target.at not in landed)


def standings_of(
    documents: Mapping[str, str], load: Callable[[Seal], Records]
) -> tuple[SealStanding, ...]:
    """Where every sealed forecast stands, oldest first.

    ``documents`` are JSON by name, as the run store keeps them; ``load`` reads the source of one.
    A source that cannot be read is said in its standing and stops no other.
    """
    standings = []
    for document in documents.values():
        seal = Seal.from_json(document)
        try:
            standings.append(standing_of(seal, load(seal)))
        except ScalingError as error:
            refused = Limit(LimitCode.NO_ANSWER, f"not scored: {error}")
            standings.append(SealStanding(seal=seal, verdicts=(), limits=(refused,)))
    return tuple(standings)


def standing_of(seal: Seal, records: Source) -> SealStanding:
    """The seal with its verdicts on these records; raises what `score_seal` does."""
    records = records_from(records)
    verdicts = score_seal(seal, records)
    waiting = (Limit(LimitCode.WAITING, "none of its runs has landed yet"),)
    return SealStanding(seal=seal, verdicts=verdicts, limits=() if verdicts else waiting)


def record_line(standings: Sequence[SealStanding]) -> str:
    """The record of all sealed forecasts in a sentence: how many landed, error, hits."""
    verdicts = [verdict for standing in standings for verdict in standing.verdicts]
    waiting = sum(len(standing.waiting) for standing in standings)
    summary = f"{len(standings)} sealed forecasts: {len(verdicts)} verdicts, {waiting} waiting"
    if not verdicts:
        return summary
    errors = [abs(verdict.error) for verdict in verdicts if verdict.error is not None]
    levels = dict.fromkeys(level for verdict in verdicts for level in verdict.inside)
    hits = []
    for level in levels:
        own = [verdict.inside[level] for verdict in verdicts if level in verdict.inside]
        hits.append(f"{sum(own)} of {len(own)} inside the {100 * level:g}% interval")
    mean = [f"mean error {np.mean(errors):.2%}"] if errors else []
    return "; ".join([summary, *mean, ", ".join(hits)])


def _measured_on(records: Records) -> dict[str, str]:
    """What the losses of the usable runs were measured on, as far as the table says."""
    usable = screen(records)
    known = {name: usable.table[name].dropna() for name in MUST_AGREE if name in usable}
    return {name: str(values.iloc[0]) for name, values in known.items() if len(values)}


def _measured_alike(seal: Seal, records: Records) -> Records:
    """The runs that do not say they were measured on something else; ForecastError if none is."""
    alike = records
    for name, sealed in seal.measured_on.items():
        if name not in alike:
            continue
        given = alike.table[name].dropna().astype(str)
        if len(given) and len(given) == len(alike) and not (given == sealed).any():
            raise ForecastError(
                f'{records.source}: {name} is {given.iloc[0]}, but "{seal.name}" was sealed for '
                f"{sealed}; their losses do not compare: verify it on runs like those it was made "
                "from"
            )
        other = alike.table[name].notna() & (alike.table[name].astype(str) != sealed)
        alike = alike.select(~other.to_numpy(), f"{name} is not {sealed}")
    return alike


def _require_within(target: SealedTarget, where: Sequence[str]) -> None:
    """Refuse a filter on the target's own quantities that the target does not pass."""
    own = Records(pd.DataFrame([dict(target.at)]), source="target")
    for condition in where:
        try:
            passes = len(own.where(condition))
        except RecordError:  # it speaks of another column
            continue
        if not passes:
            raise ForecastError(
                f'--where "{condition}" leaves out the target itself, so its run could never be '
                "scored; loosen it, or mark runs as held_out and use scaling study --seal"
            )


def _verdict(seal: Seal, target: SealedTarget, run: str, loss: float) -> Verdict:
    return Verdict(
        seal=seal.name,
        at=target.at,
        run=run,
        predicted=target.median,
        measured=loss,
        error=None if target.median is None else target.median / loss - 1,
        inside={level: low <= loss <= high for level, (low, high) in target.intervals.items()},
    )


def _runs_at(target: SealedTarget, records: Records) -> list[tuple[str, float]]:
    """(run, loss) of the finished runs at this target, held-out ones too."""
    if any(name not in records for name in (*target.asked, "loss")):
        return []
    losses, names = records.column("loss"), records.row_names
    here = np.isfinite(losses) & records.is_finished
    for name in target.asked:
        with np.errstate(invalid="ignore", divide="ignore"):
            here &= np.abs(np.log(records.column(name) / target.at[name])) < AS_PLANNED
    return [(names[i], float(losses[i])) for i in np.flatnonzero(here)]


def code_version() -> str:
    """The installed version and, in a clone, the commit and whether files were changed."""
    root, installed = Path(__file__).parents[2], installed_version()
    if not (root / ".git").exists():  # else git would describe whatever the folder lies in
        return installed
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return installed
    return f"{installed} ({described})"
