"""Sealed forecasts: what was predicted, from what and when, fixed before the run it speaks of.

    forecast  --seal-->  Seal  (kept in the run store by name, in a chain)

The digest of all that a seal says is kept beside it and in the next seal, so that a changed one is
noticed; `analysis.evaluation.verdicts` holds it against the runs that have landed since.
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.forecasting.answer.result import Forecast, TargetForecast
from analysis.intervals import Interval, intervals_from
from analysis.tuning.screening import screen
from scaling.answerable import AS_PLANNED
from scaling.columns import MUST_AGREE, NATS_PER_TOKEN
from scaling.errors import ForecastError, RecordError
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.tables.reading import Reading
from scaling.tables.rows.conditions import listed
from scaling.version import installed_version

#: Statuses of runs whose loss is on its way, or foretold: no forecast of them can be sealed.
_BEGUN = ("running", "settled")
#: Statuses of runs of which nothing is known without a loss.
_BLANK = ("finished", "planned")
#: What a document raises that no `Seal.to_json` of this version wrote.
_NOT_WRITTEN_HERE = (
    RecordError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)


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
    known: Mapping[str, float | None] | None = None
    """The runs at its targets that its source held at sealing, those outside ``where`` too, with
    their losses: none of these can verify it. None where the whole source was not looked at."""
    chain: str = ""  # which chain of seals it stands in, and where
    number: int = 0
    previous: str = ""  # the digest of the seal before it

    @property
    def how(self) -> Reading:
        """How its source is read. Raises RecordError for what is no such wish."""
        return Reading(columns=self.columns, **self.reading)

    @property
    def digest(self) -> str:
        """SHA-256 of its JSON document, first 16 digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The seal as one JSON document."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Seal":
        """The seal that `to_json` wrote. Raises ForecastError where the text is none."""
        try:
            document = json.loads(text)
            _require_kinds(document)
            return cls._from_document(document)
        except _NOT_WRITTEN_HERE as error:
            raise ForecastError(
                f"no sealed forecast of this version of the toolkit: {error!r}"
            ) from error

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> "Seal":
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


def _require_kinds(document: Mapping[str, Any]) -> None:
    """Raise one of _NOT_WRITTEN_HERE where a value is of no kind that a seal has."""
    numbers: list[object] = []
    texts: list[object] = [document[name] for name in ("name", "sealed_at", "source", "law")]
    for target in document["targets"]:
        numbers += [*target["at"].values(), target["decades_beyond"]]
        numbers += [end for ends in target["intervals"].values() for end in ends]
        numbers += [] if target["median"] is None else [target["median"]]
        numbers += [target["at"][name] for name in target["asked"]]
    for name in ("seen_runs", "where"):
        texts += document[name]
    for name in ("columns", "measured_on"):
        texts += document.get(name, {}).values()
    reading = document.get("reading", {})
    texts += reading.get("units", {}).values()
    texts += [value for name, value in reading.items() if name != "units"]
    numbers += [loss for loss in (document.get("known") or {}).values() if loss is not None]
    wrong = [one for one in numbers if not isinstance(one, int | float)]
    wrong += [one for one in texts if not isinstance(one, str)]
    if wrong:
        raise TypeError(f"{str(wrong[0])[:40]} is of another kind")
    Reading(columns=document.get("columns", {}), **reading)


def seal_forecast(
    forecast: Forecast,
    name: str,
    records: Source,
    asked: Sequence[str] = (),
    where: str | Sequence[str] = (),
    unfiltered: Source | None = None,
) -> Seal:
    """Fix a forecast made from ``records`` under a name.

    ``where`` are the row filters that the records were read with: scoring reads them so again.
    ``unfiltered`` is the same source without them: a run in it at a target is no verdict later.

    ``asked`` names the quantities that were asked for (default: all that describe the target). A
    budget asked for alone is later met by the best run at that budget.

    Raises ForecastError if one of its targets has been run or is being run among ``records``, which
    would be no forecast, or if ``where`` leaves a target out, which could then never be scored.
    """
    records, where = records_from(records), listed(where)
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
        _require_to_come(target, records)
    everything = records if unfiltered is None else records_from(unfiltered)
    is_whole = unfiltered is not None or not where
    known = {
        run.name: run.loss
        for target in targets
        for run in runs_at(target, everything)
        if run.loss is not None or run.status not in _BLANK
    }
    table = records.table
    recipes = table["recipe"].dropna().unique() if "recipe" in table else []
    return Seal(
        name=name,
        sealed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        source=forecast.source,
        data_hash=forecast.data_hash,
        seen_runs=tuple(map(str, table["run_id"])) if "run_id" in table else (),
        recipe=", ".join(map(str, recipes)),
        code_version=code_version(),
        law=forecast.law,
        targets=targets,
        columns=dict(records.names),
        reading=records.reading.beyond_columns,
        where=where,
        measured_on=_measured_on(records),
        known=known if is_whole else None,
    )


@dataclass(frozen=True, kw_only=True)
class RunAtTarget:
    """A run of a table at a sealed target; its loss is None where it has none yet."""

    row: int  # its position in the table
    name: str
    loss: float | None
    status: str


def runs_at(target: SealedTarget, records: Records) -> list[RunAtTarget]:
    """The runs at this target, held-out and unfinished ones too, in the table's order.

    They are matched by what was asked for, to within 2%; a run that has not finished by what it was
    planned to be, where the table says that.
    """
    if any(name not in records for name in target.asked):
        return []
    here = np.ones(len(records), dtype=bool)
    for name in target.asked:
        value = records.column(name)
        if (planned := f"planned_{name}") in records:
            to_be = records.column(planned)
            value = np.where(records.is_finished | ~np.isfinite(to_be), value, to_be)
        with np.errstate(invalid="ignore", divide="ignore"):
            here &= np.abs(np.log(value / target.at[name])) < AS_PLANNED
    losses = records.column("loss") if "loss" in records else np.full(len(records), np.nan)
    names, statuses = records.row_names, records.status.to_numpy()
    return [
        RunAtTarget(
            row=int(row),
            name=names[row],
            loss=float(losses[row]) if np.isfinite(losses[row]) else None,
            status=str(statuses[row]),
        )
        for row in np.flatnonzero(here)
    ]


def measured_on(records: Records) -> pd.DataFrame:
    """What each run (a row) was measured on, as text: a column of each of MUST_AGREE that is known.

    The kind of a loss is known of every table; "" is a cross-entropy in nats per token.
    """
    found = {name: records.table[name].astype(object) for name in MUST_AGREE if name in records}
    kinds = found.get("loss_kind", pd.Series(None, index=records.table.index, dtype=object))
    kinds = kinds.where(kinds.notna(), records.loss_kind).astype(str)
    found["loss_kind"] = kinds.where(~kinds.isin(NATS_PER_TOKEN), "")
    return pd.DataFrame(
        {name: values.map(str, na_action="ignore") for name, values in found.items()}
    )


def _measured_on(records: Records) -> dict[str, str]:
    """What the losses of the usable runs were measured on, as far as the table says."""
    usable = measured_on(screen(records))
    known = {name: usable[name].dropna() for name in usable}
    return {name: str(values.iloc[0]) for name, values in known.items() if len(values)}


def _require_to_come(target: SealedTarget, records: Records) -> None:
    """Refuse a target at which a run has landed, or is on its way."""
    for run in runs_at(target, records):
        has_landed = run.status == "finished" and run.loss is not None
        if has_landed or run.status in _BEGUN:
            place = ", ".join(f"{key} {target.at[key]:.4g}" for key in target.asked)
            raise ForecastError(
                f"a run at {place} has already {'landed' if has_landed else 'begun'} ({run.name}); "
                "seal forecasts of runs that do not exist yet"
            )


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
