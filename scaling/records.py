"""The runs table: the one seam between training and analysis, where public tables enter too.

One row is one finished measurement of one model; `scaling.columns` says what each column means.
Facts are stored raw, conventions are chosen by the analysis. What a reader or a filter leaves
out it keeps in ``dropped`` with a reason, so that no run vanishes in silence.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from scaling.arrays import BoolArray, FloatArray, IntArray
from scaling.columns import COLUMNS, MUST_AGREE, UNSTATED_KIND, canonical_name
from scaling.display import Block, Displayed, Section, Table
from scaling.errors import RecordError
from scaling.limits import Limit, LimitCode
from scaling.tables.cells.losses import kind_of, metric_hint, stray_note
from scaling.tables.cells.numbers import read_numbers
from scaling.tables.files.raw import BY_SEPARATOR, RawTable, flat_frame
from scaling.tables.files.read import read_file
from scaling.tables.files.write import write_table
from scaling.tables.filling import fill_in
from scaling.tables.heading_words import put_aside
from scaling.tables.notes import Note, NoteCode, printable
from scaling.tables.reading import Reading, as_written, flops_in_doubt, understand, units_in_doubt
from scaling.tables.rows.conditions import Condition, listed
from scaling.tables.rows.configurations import (
    configurations,
    families_told,
    repeats_note,
    settings_that_vary,
    spread_told,
)
from scaling.tables.rows.dropped import DroppedRun, limits_of, rows_left_out
from scaling.tables.rows.runs import histories
from scaling.tables.rows.summaries import runs_alone
from scaling.words import counted


@dataclass(frozen=True, repr=False)
class Records(Displayed):
    """Runs as a table, with what was left out, what was made of it, and where they come from."""

    table: pd.DataFrame
    dropped: tuple[DroppedRun, ...] = ()
    notes: tuple[Note, ...] = ()
    source: str = "records"
    names: Mapping[str, str] = field(default_factory=dict)  # our name -> the source's spelling
    unclear: Mapping[str, str] = field(default_factory=dict)  # our name -> why the table has none
    filled_in: Mapping[str, str] = field(default_factory=dict)  # our name -> what it follows from
    reading: Reading = field(default_factory=Reading)  # how the table was asked to be read
    raw: pd.DataFrame | None = field(default=None, repr=False, compare=False)  # to the letter
    screened: bool = False  # whether they are what `usable` left
    whole: "Records | None" = field(default=None, repr=False, compare=False)  # screened from these
    grouped_by: str | None = None  # the column whose groups are answered each by itself

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, column: str) -> bool:
        return column in self.table.columns

    def blocks(self) -> list[Block]:
        """How many runs, what is known of them from where to where, and how they were read."""
        rows = []
        for name in self.table.columns:
            if name in COLUMNS and COLUMNS[name].kind in ("size", "loss"):
                known = self.column(name)[np.isfinite(self.column(name))]
                ends = [f"{known.min():.4g}", f"{known.max():.4g}"] if len(known) else ["-", "-"]
                theirs = self.filled_in.get(name, self.names.get(name, name))
                rows.append([name, theirs, *ends, f"{len(known):,}"])
        header = ["column", "in the table", "smallest", "largest", "known"]
        told = [note.text for note in self.told]
        head = f"{counted(len(self), 'run')} of {self.source}"
        return [head, "", Table(header, rows), Section("how they were read", told)]

    def column(self, name: str) -> FloatArray:
        """The values of a column as floats, shape (runs,); NaN where a cell holds no number.

        Raises RecordError for a missing column, and for one that holds no numbers at all.
        """
        self.require(name)
        cells = self.table[name]
        if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iuf":  # nothing to read
            return np.asarray(cells, dtype=np.float64)
        values, bad = read_numbers(cells)
        if bad.any() and not values.notna().any():
            row = int(np.flatnonzero(bad.to_numpy())[0])
            cell = printable(self.table[name].iloc[row])
            raise RecordError(
                f'{self.source} {self.row_names[row]}: {name} is "{cell}", not a number; '
                f"map another column with --columns {name}=THEIR_NAME"
            )
        return np.asarray(values, dtype=np.float64)

    def require(self, *names: str) -> None:
        """Raise RecordError naming the first of these columns that the table lacks, and why."""
        for name in names:
            if name not in self.table.columns:
                self.require_clear(name)
                own = [c for c in self.table.columns if c not in self.filled_in]
                theirs = [self.names.get(ours, ours) for ours in own]
                have = ", ".join(printable(column) for column in theirs[:12])
                raise RecordError(
                    f'{self.source}: no column "{name}" (it has: {have}); map one with '
                    f'--columns {name}=THEIR_NAME, in Python columns={{"{name}": "THEIR_NAME"}}'
                    f"{metric_hint(theirs) if name == 'loss' else ''}"
                )

    def require_clear(self, *names: str) -> None:
        """Raise RecordError where the table may have these columns but nobody can tell which."""
        for name in names:
            if name not in self.table.columns and name in self.unclear:
                raise RecordError(f"{self.source}: {self.unclear[name]}")

    def lacks(self, spelling: str) -> bool:
        """Whether no column is spelt so, as we do or as the table does."""
        return self.name_of(spelling) not in self

    def name_of(self, spelling: str) -> str:
        """Our name for a column that is spelt as we do, as the table does, or in a usual way."""
        if spelling in self:
            return spelling
        ours = {theirs: ours for ours, theirs in self.names.items()}
        found = ours.get(spelling) or canonical_name(spelling) or spelling
        aside = put_aside(spelling)
        return aside if found not in self and aside in self else found

    def select(
        self, mask: npt.ArrayLike, reason: str, code: LimitCode = LimitCode.LEFT_OUT, of: str = ""
    ) -> "Records":
        """The runs where ``mask`` (runs,) holds; the others join ``dropped`` with the reason, and
        with their value in the column ``of`` where that is it."""
        keep = np.asarray(mask, dtype=bool)
        if keep.all():  # a table of its own, of which nothing is copied before it is changed
            return replace(self, table=self.table.copy(deep=False))
        names = replace(self, table=self.table[~keep]).row_names
        gone = rows_left_out(names, reason, code, () if not of else self.column(of)[~keep])
        return replace(self, table=self.table[keep], dropped=self.dropped + gone)

    def where(self, conditions: str | Sequence[str]) -> "Records":
        """The runs that fulfil ``"column op value"``, or several (`tables.rows.conditions`)."""
        kept = self
        for condition in listed(conditions):
            asked = Condition.of(condition)
            name = self.name_of(asked.column)
            self.require(name)
            values, theirs = kept.table[name], self.names.get(name, name)
            written = values
            if self.raw is not None and theirs in self.raw:
                written = self.raw[theirs].reindex(values.index)
            if asked.is_of_written(name, theirs) and self.raw is not None:
                numbers = as_written(self.raw, self.names, name).reindex(values.index)
                values = numbers.where(values.notna())
            kept = kept.select(asked.holds(name, values, written), f"not {condition}")
        return kept

    def among(self, run_ids: Iterable[str]) -> "Records":
        """The runs with these identities: of a sweep that grew over time, those of one plan."""
        self.require("run_id")
        wanted = set(run_ids)
        return self.select(self.table["run_id"].isin(wanted), "not in this plan")

    @cached_property
    def told(self) -> tuple[Note, ...]:
        """Everything to say of how the table was read: its notes, rows left out so far, and runs
        that have not finished."""
        said = [*self.notes, *families_told(self.table, self.grouped_by)]
        if self.dropped:
            reasons = ", ".join(f"{why} ({n:,})" for why, n in self.dropped_by_reason.items())
            said.append(Note(NoteCode.ROWS, f"rows left out: {reasons}"))
        counts = self.status[~self.is_finished].value_counts()
        if len(counts) and not any(note.code is NoteCode.STATUS for note in said):
            words = ", ".join(f"{n:,} {printable(word)}" for word, n in counts.items())
            said.append(
                Note(NoteCode.ROWS, f"not finished: {words} of {counted(len(self), 'row')}")
            )
        return tuple(said)

    @property
    def status(self) -> pd.Series:
        """Where each run stands; a table that does not say holds finished runs."""
        if "status" not in self:
            return pd.Series("finished", index=self.table.index)
        return self.table["status"].astype(object).fillna("finished").astype(str)

    @property
    def is_finished(self) -> BoolArray:
        """Whether each run (runs,) came to its planned end."""
        return np.asarray(self.status == "finished", dtype=bool)

    @property
    def finished(self) -> "Records":
        """The runs that came to their planned end; the others are left out by their status."""
        kept = self
        for state in sorted(set(self.status.unique()) - {"finished"}):
            if "held_out" in kept:  # no answer waits for it, whatever its state
                waits = (kept.status == state) & ~kept.table["held_out"].astype(bool)
                kept = kept.select(~waits, state, LimitCode.PROVISIONAL)
                kept = kept.select(kept.status != state, state)
            else:
                kept = kept.select(kept.status != state, state, LimitCode.PROVISIONAL)
        return kept

    @property
    def row_names(self) -> list[str]:
        """How a person finds each row: by run id, or by line in the file (the header is line 1)."""
        if "run_id" in self:
            return [printable(run_id) for run_id in self.table["run_id"]]
        return [f"row {int(label) + 2}" for label in self.table.index]

    def usable(self, *columns: str) -> "Records":
        """The runs that have finished, are not held out, and have these columns and a loss.

        The others are left out, each with its reason. Raises RecordError for a missing column, and
        where the runs left differ in tokenizer, evaluation set, data or objective.
        """
        self.require(*columns, "loss")
        kept = self.finished
        if "held_out" in self:
            kept = kept.select(~kept.table["held_out"].astype(bool), "held out by the plan")
        kept = kept.with_values(*columns, "loss")
        kept.require_comparable()
        return replace(kept, screened=True, whole=self.whole or self)

    def with_values(self, *columns: str, or_zero: Collection[str] = ()) -> "Records":
        """The runs whose values in these columns are finite and above zero, ``or_zero`` in some."""
        kept = self
        for name in dict.fromkeys(columns):
            values = kept.column(name)
            kept = kept.select(np.isfinite(values), f"{name} is blank or not finite")
            values, least = kept.column(name), "below zero" if name in or_zero else "not above zero"
            is_right = values >= 0 if name in or_zero else values > 0
            kept = kept.select(is_right, f"{name} is {least}", of=name)
        return kept

    @property
    def dropped_by_reason(self) -> dict[str, int]:
        """How many rows were left out for each reason."""
        return dict(Counter(run.reason for run in self.dropped))

    def left_out(self, *codes: LimitCode) -> tuple[Limit, ...]:
        """That rows were left out, and why: for reasons of these codes, or for any; and where runs
        are among them that were not measured to their end, that an answer is provisional."""
        return limits_of(self.dropped, codes)

    def dropped_for(self, code: LimitCode) -> int:
        """How many rows were left out for reasons of this code."""
        return sum(run.code is code for run in self.dropped)

    @cached_property
    def configurations(self) -> IntArray:
        """One number for all runs that repeat one another (runs,): of one size, on so many tokens,
        with the same settings; they differ in seed alone."""
        return configurations(self.table)

    @property
    def settings_that_vary(self) -> list[str]:
        """The settings, such as a learning rate, that tell runs of one size and tokens apart."""
        return settings_that_vary(self.table)

    @property
    def clusters(self) -> IntArray:
        """One number for all runs that share a past (``trunk``) or a configuration (runs,)."""
        if "trunk" not in self:
            return self.configurations
        own = pd.Series(self.configurations, index=self.table.index).astype("string")
        shared = self.table["trunk"].astype("string").fillna("configuration " + own)
        return np.asarray(shared.factorize()[0], dtype=np.int64)

    @property
    def loss_kind(self) -> str:
        """What the losses are, as the table's ``loss_kind`` says or the name of their column;
        "" where it is a loss in nats per token."""
        if "loss_kind" not in self:
            stated = kind_of(self.names.get("loss", "loss"))
            return UNSTATED_KIND if stated == UNSTATED_KIND else ""
        kinds = self.table["loss_kind"].dropna().astype(str).unique()
        return str(kinds[0]) if len(kinds) == 1 else ""

    def require_comparable(self) -> None:
        """Raise RecordError if the runs were not measured against the same thing."""
        for name in MUST_AGREE:
            if name in self:
                values = self.table[name].dropna().astype(str).value_counts().index
                if len(values) > 1:
                    theirs = self.names.get(name, name)
                    some = ", ".join(printable(value) for value in values[:2])
                    some += ", ..." if len(values) > 2 else ""
                    by = spread_told(self.table)
                    by += " at equal params and tokens" if by else ""
                    raise RecordError(
                        f"{self.source}: the runs differ in {theirs} ({some}){by}: they share no "
                        f'law; pick one with --where "{theirs} == {printable(values[0])}"'
                    )

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over the table's columns and values (not its row labels), first 16 digits; of
        screened runs that of the table that they come from, so that every answer names one."""
        if self.whole is not None:
            return self.whole.data_hash
        ordered = self.table.reindex(sorted(map(str, self.table.columns)), axis=1)
        digest = hashlib.sha256("\x1f".join(ordered.columns).encode())
        as_text = ordered.astype({c: str for c in ordered.columns if ordered[c].dtype == object})
        digest.update(pd.util.hash_pandas_object(as_text, index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]


def records_from_table(
    table: pd.DataFrame,
    *,
    source: str = "table",
    columns: Mapping[str, str] | None = None,
    where: str | Sequence[str] = (),
    reading: Reading | None = None,
) -> Records:
    """Records from a data frame, understood and checked.

    ``columns`` maps our names to the table's (``{"params": "my_n"}``); common spellings are
    understood without it. ``where`` filters rows; ``reading`` says what else the table does not
    (units, what the loss is). Where one of params, tokens and train_flops is absent it is filled
    in by C = 6 N D. What was understood, chosen and filled in is in ``notes``.

    Raises RecordError for an empty table, and a column that is named but missing or holds no
    numbers. A cell that is no number counts as blank; a column that nobody can tell is missing,
    with the reason where it is asked for.
    """
    how = (reading or Reading()).with_columns(columns)
    return _records(RawTable(flat_frame(table.reset_index(drop=True))), how, where, source)


def read_records(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: str | Sequence[str] = (),
    reading: Reading | None = None,
) -> Records:
    """The runs in a file (`scaling.tables.files` says which kinds); see `records_from_table`."""
    how = (reading or Reading()).with_columns(columns)
    return _records(read_file(path), how, where, str(path))


def _records(raw: RawTable, how: Reading, where: str | Sequence[str], source: str) -> Records:
    by_separator = raw.separator not in ",|"
    raw = runs_alone(raw, by_separator)
    raw.frame.attrs[BY_SEPARATOR] = by_separator
    if raw.frame.empty:
        raise RecordError(f"{source}: no rows; a table of runs has one row a run")
    found = understand(raw.frame, how, source, decimal_by_separator=by_separator)
    records = Records(
        found.table,
        dropped=tuple(DroppedRun(row.row, row.reason) for row in raw.dropped),
        notes=raw.notes + found.notes,
        source=source,
        names=found.names,
        unclear=found.unclear,
        reading=how,
        raw=raw.frame,
    )
    late = [text for text in listed(where) if records.lacks(Condition.of(text).column)]
    records = records.where([text for text in listed(where) if text not in late])
    is_copy = records.table.duplicated().to_numpy()  # it says nothing new
    records = _one_row_a_run(records.select(~is_copy, "exact copy of an earlier row"), how)
    records = _filled_in(_without_doubtful_units(records, how)).where(late)
    if not len(records):
        asked = " and ".join(listed(where))
        raise RecordError(f"{source}: no row is left after {asked}; loosen --where")
    return _doubts_told(records)


def _one_row_a_run(records: Records, how: Reading) -> Records:
    """Of a history one row of each run; checkpoints of one run share it as their trunk."""
    found = None if "trunk" in records else histories(records.table, how.checkpoints)
    if found is None:
        return records
    kept = replace(records, notes=(*records.notes, found.note))
    if found.is_clustered:
        table = kept.table.assign(trunk=found.run)
        if "run_id" in table and table["run_id"].duplicated().any():
            table = table.rename(columns={"run_id": "run"})
        return replace(kept, table=table)
    for why in sorted(set(found.left_out) - {""}):
        kept = kept.select(found.left_out[kept.table.index] != why, why)
    return kept


def _without_doubtful_units(records: Records, how: Reading) -> Records:
    """Sizes that look like millions left out are told to whoever asks for them."""
    finished = records.table[records.is_finished]
    doubts = units_in_doubt(finished, how)
    if contradiction := flops_in_doubt(finished, how):
        doubts = {"train_flops": contradiction} | doubts
    if not doubts:
        return records
    if "train_flops" not in records:
        doubts = doubts | {"train_flops": next(iter(doubts.values()))}
    aside = {name: put_aside(name) for name in doubts}
    table = records.table.rename(columns=aside)
    return replace(records, table=table, unclear={**records.unclear, **doubts})


def _filled_in(records: Records) -> Records:
    """The records with the columns that follow from others."""
    found = fill_in(records.table, records.unclear)
    return replace(
        records,
        table=found.table,
        notes=(*records.notes, *found.notes),
        filled_in={**records.filled_in, **found.filled_in},
        unclear=found.unclear,
    )


def _doubts_told(records: Records) -> Records:
    """What tells rows of equal size and tokens apart, or that nothing does; and losses far from
    all others."""
    notes: list[Note | None] = []
    if {"params", "tokens", "loss"} <= set(records.table.columns) and "trunk" not in records:
        notes.append(repeats_note(records.table, records.is_finished))
    if "loss" in records and records.reading.checkpoints != "all":
        losses = records.table["loss"][records.is_finished]
        notes.append(stray_note(losses, records.names.get("loss", "loss")))
    return replace(records, notes=(*records.notes, *filter(None, notes)))


def write_records(records: Records, path: str | Path) -> None:
    """Write the table as CSV, Parquet or JSONL by the path's ending; floats keep every digit."""
    write_table(records.table, path)
