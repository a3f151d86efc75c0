"""The runs table: the one seam between training and analysis, where public tables enter too.

One row is one finished measurement of one model; `scaling.columns` says what each column means.
Facts are stored raw, conventions are chosen by the analysis. What a reader or a filter leaves
out it keeps in ``dropped`` with a reason, so that no run vanishes in silence.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from scaling.arrays import FloatArray
from scaling.columns import COLUMNS, MUST_AGREE, canonical_name
from scaling.errors import RecordError
from scaling.limits import LimitCode

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DroppedRun:
    """A row that does not take part, and why."""

    row: str
    reason: str
    code: LimitCode = LimitCode.LEFT_OUT


@dataclass(frozen=True)
class Records:
    """Runs as a table, with what was left out, what was filled in, and where they come from."""

    table: pd.DataFrame
    dropped: tuple[DroppedRun, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = "records"
    names: Mapping[str, str] = field(default_factory=dict)  # our name -> the source's spelling
    screened: bool = False  # whether they are what `usable` left

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, column: str) -> bool:
        return column in self.table.columns

    def column(self, name: str) -> FloatArray:
        """The values of a column as floats, shape (runs,); NaN where the table is blank."""
        self.require(name)
        return np.asarray(_numbers(self.table, name, self.source), dtype=np.float64)

    def require(self, *names: str) -> None:
        """Raise RecordError naming the first of these columns that the table lacks."""
        for name in names:
            if name not in self.table.columns:
                have = ", ".join(map(str, self.table.columns[:12]))
                raise RecordError(
                    f'{self.source}: no column "{name}" (it has: {have}); '
                    f"map one with --columns {name}=THEIR_NAME"
                )

    def select(
        self, mask: npt.ArrayLike, reason: str, code: LimitCode = LimitCode.LEFT_OUT
    ) -> "Records":
        """The runs where ``mask`` (runs,) holds; the others join ``dropped`` with the reason."""
        keep = np.asarray(mask, dtype=bool)
        left_out = replace(self, table=self.table[~keep]).row_names
        gone = tuple(DroppedRun(name, reason, code) for name in left_out)
        return replace(self, table=self.table[keep], dropped=self.dropped + gone)

    def where(self, condition: str) -> "Records":
        """The runs that fulfil ``"column op value"``; op is one of == != < <= > >=."""
        return self.select(_evaluate(self, condition), f"not {condition}")

    def among(self, run_ids: Iterable[str]) -> "Records":
        """The runs with these identities: of a sweep that grew over time, those of one plan."""
        self.require("run_id")
        wanted = set(run_ids)
        return self.select(self.table["run_id"].isin(wanted), "not in this plan")

    @property
    def status(self) -> pd.Series:
        """Where each run stands; a table that does not say holds finished runs."""
        if "status" not in self:
            return pd.Series("finished", index=self.table.index)
        return self.table["status"].fillna("finished").astype(str)

    @property
    def is_finished(self) -> BoolArray:
        """Whether each run (runs,) came to its planned end."""
        return np.asarray(self.status == "finished", dtype=bool)

    @property
    def row_names(self) -> list[str]:
        """How a person finds each row: by run id, or by line in the file (the header is line 1)."""
        if "run_id" in self:
            return [str(run_id) for run_id in self.table["run_id"]]
        return [f"row {int(label) + 2}" for label in self.table.index]

    def usable(self, *columns: str) -> "Records":
        """The runs that have finished, are not held out, and have these columns and a loss.

        The others are left out, each with its reason. Raises RecordError for a missing column, and
        where the runs left differ in tokenizer, evaluation set, data or objective.
        """
        self.require(*columns, "loss")
        kept = self
        for state in sorted(set(self.status) - {"finished"}):
            kept = kept.select(kept.status != state, state)
        if "held_out" in self:
            kept = kept.select(~kept.table["held_out"].astype(bool), "held out by the plan")
        kept = kept.with_values(*columns, "loss")
        kept.require_comparable()
        return replace(kept, screened=True)

    def with_values(self, *columns: str) -> "Records":
        """The runs whose values in these columns are finite and above zero."""
        kept = self
        for name in dict.fromkeys(columns):
            values = kept.column(name)
            kept = kept.select(np.isfinite(values), f"{name} is blank or not finite")
            kept = kept.select(kept.column(name) > 0, f"{name} is not above zero")
        return kept

    @property
    def dropped_by_reason(self) -> dict[str, int]:
        """How many rows were left out for each reason."""
        return dict(Counter(run.reason for run in self.dropped))

    def dropped_for(self, code: LimitCode) -> int:
        """How many rows were left out for reasons of this code."""
        return sum(run.code is code for run in self.dropped)

    @property
    def loss_kind(self) -> str:
        """What the losses are, as the table's ``loss_kind`` says; "" where it does not."""
        if "loss_kind" not in self:
            return ""
        kinds = self.table["loss_kind"].dropna().astype(str).unique()
        return str(kinds[0]) if len(kinds) == 1 else ""

    def require_comparable(self) -> None:
        """Raise RecordError if the runs were not measured against the same thing."""
        for name in MUST_AGREE:
            if name in self:
                values = self.table[name].dropna().astype(str).unique()
                if len(values) > 1:
                    raise RecordError(
                        f"{self.source}: the runs differ in {name} ({values[0]}, {values[1]}"
                        f"{', ...' if len(values) > 2 else ''}): their losses share no law; "
                        f'pick one with --where "{name} == {values[0]}"'
                    )

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over the table's columns and values (not its row labels), first 16 digits."""
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
    where: Sequence[str] = (),
) -> Records:
    """Records from a data frame, validated.

    ``columns`` maps our names to the table's (``{"params": "my_n"}``); common spellings are
    understood without it. ``where`` filters rows before anything is checked. Where one of params,
    tokens and train_flops is absent it is filled in by C = 6 N D, and a note says so.

    Raises RecordError for an empty table, a column that is named but missing, text where a number
    belongs, and a size or loss of a finished run that is not above zero.
    """
    if table.empty:
        raise RecordError(f"{source}: no rows; a table of runs has one row a run")
    renamed, names = _rename(table, dict(columns or {}), source)
    records = Records(renamed.reset_index(drop=True), source=source, names=names)
    for condition in where:
        records = records.where(condition)
    if not len(records):
        raise RecordError(f"{source}: no row is left after {' and '.join(where)}; loosen --where")
    records = _without_copies(records)
    records = replace(records, table=_typed(records))
    return _fill_by_6nd(records)


def read_records(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: Sequence[str] = (),
) -> Records:
    """The runs in a CSV, Parquet or JSONL file; see `records_from_table` for what is checked."""
    source = Path(path)
    if not source.is_file():
        raise RecordError(f"{source}: no such file; give a CSV, Parquet or JSONL table of runs")
    try:
        table = _reader(source)(source)
    except (ValueError, OSError, UnicodeDecodeError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else "unreadable"
        raise RecordError(f"{source}: cannot be read as a table ({first_line})") from error
    return records_from_table(table, source=str(path), columns=columns, where=where)


def write_records(records: Records, path: str | Path) -> None:
    """Write the table as CSV, Parquet or JSONL by the path's ending; floats keep every digit."""
    target = Path(path)
    writers: dict[str, Callable[[], object]] = {
        ".csv": lambda: records.table.to_csv(target, index=False),
        ".parquet": lambda: records.table.to_parquet(target, index=False),
        ".jsonl": lambda: records.table.to_json(
            target, orient="records", lines=True, double_precision=15
        ),
    }
    if target.suffix not in writers:
        raise RecordError(f"{target}: unknown ending; write to .csv, .parquet or .jsonl")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        writers[target.suffix]()
    except OSError as error:
        raise RecordError(f"{target}: cannot be written ({error.strerror})") from error


def _reader(source: Path) -> Callable[[Path], pd.DataFrame]:
    if source.suffix == ".parquet":
        return lambda path: pd.DataFrame(pd.read_parquet(path))
    if source.suffix in (".jsonl", ".ndjson"):
        return lambda path: pd.read_json(path, lines=True)
    return _read_csv


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV whose header names each quantity once and each field of a row.

    pandas renames the second column of a name and shifts rows longer than the header, in silence.
    """
    header = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].dropna()
    twice = [str(name) for name in header[header.duplicated()] if canonical_name(name)]
    if twice:
        raise ValueError(f'two columns are named "{twice[0]}"; rename one')
    if len(header) == 1 and (";" in header.iloc[0] or "\t" in header.iloc[0]):
        raise ValueError("its columns are not separated by commas; write it with commas")
    table = pd.read_csv(path)
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError("rows have more fields than the header; name every column")
    return table


def _rename(
    table: pd.DataFrame, columns: dict[str, str], source: str
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table under our names, and for each renamed column the spelling it came with."""
    for ours, theirs in columns.items():
        if theirs not in table.columns:
            have = ", ".join(map(str, table.columns[:12]))
            raise RecordError(
                f'{source}: --columns {ours}={theirs} names no column "{theirs}" (it has: {have})'
            )
    claimed = {theirs: ours for ours, theirs in columns.items()}
    taken = set(columns)
    for spelling in map(str, table.columns):
        if spelling in COLUMNS and spelling not in taken and spelling not in claimed:
            claimed[spelling] = spelling
            taken.add(spelling)
    guessed: dict[str, str] = {}
    for spelling in map(str, table.columns):
        ours_or_none = canonical_name(spelling)
        if spelling in claimed or ours_or_none is None or ours_or_none in taken:
            continue
        if ours_or_none in guessed:
            raise RecordError(
                f'{source}: "{guessed[ours_or_none]}" and "{spelling}" both look like '
                f"{ours_or_none}; say which with --columns {ours_or_none}=NAME"
            )
        guessed[ours_or_none] = spelling
    claimed |= {spelling: ours for ours, spelling in guessed.items()}
    displaced = {c: f"{c} (not used)" for c in map(str, table.columns) if c in taken} | claimed
    names = {ours: theirs for theirs, ours in claimed.items() if ours != theirs}
    return table.rename(columns=str).rename(columns=displaced), names


def _without_copies(records: Records) -> Records:
    """Exact copies of an earlier row say nothing new: they leave with a reason."""
    return records.select(~records.table.duplicated().to_numpy(), "exact copy of an earlier row")


def _typed(records: Records) -> pd.DataFrame:
    """Numbers as floats, flags as booleans; RecordError at the first value that is neither."""
    table = records.table.copy()
    ended = records.is_finished  # a run that has just begun has seen no token
    for name in table.columns:
        kind = COLUMNS[name].kind if name in COLUMNS else None
        if kind == "flag":
            table[name] = table[name].map(_as_flag).astype(bool)
        elif kind in ("size", "loss", "number"):
            table[name] = _numbers(table, name, records.source)
        if kind in ("size", "loss"):
            values = table[name].to_numpy(dtype=np.float64)
            bad = np.flatnonzero((values < 0) | ((values == 0) & ended))
            if len(bad):
                value, row = table[name].iloc[bad[0]], records.row_names[bad[0]]
                raise RecordError(
                    f"{records.source} {row}: {name} is {value:g}; it must be above zero "
                    f'(leave the row out with --where "{name} > 0")'
                )
    return table


def _as_flag(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "1.0")
    return bool(value) and not (isinstance(value, float) and np.isnan(value))


def _numbers(table: pd.DataFrame, name: str, source: str) -> pd.Series:
    values = table[name]
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype(np.float64)
    numbers = pd.to_numeric(values, errors="coerce")
    bad = np.flatnonzero((numbers.isna() & values.notna()).to_numpy())
    if len(bad):
        row = int(table.index[bad[0]]) + 2
        raise RecordError(
            f'{source} row {row}: {name} is "{values.iloc[bad[0]]}", not a number; '
            f"mend it or map another column with --columns {name}=THEIR_NAME"
        )
    return numbers.astype(np.float64)


def _fill_by_6nd(records: Records) -> Records:
    """C = 6 N D gives the third where two are there (Kaplan et al. 2020, arXiv:2001.08361)."""
    have = {name for name in ("params", "tokens", "train_flops") if name in records}
    if len(have) != 2:
        return records
    table = records.table.copy()
    (missing,) = {"params", "tokens", "train_flops"} - have
    if missing == "train_flops":
        table["train_flops"] = 6 * table["params"] * table["tokens"]
    else:
        other = "params" if missing == "tokens" else "tokens"
        table[missing] = table["train_flops"] / (6 * table[other])
    return replace(
        records, table=table, notes=(*records.notes, f"{missing} computed from C = 6 N D")
    )


_CONDITION = re.compile(r"^\s*(?P<column>.+?)\s*(?P<op>==|!=|<=|>=|<|>|=)\s*(?P<value>.+?)\s*$")
_OPERATORS: dict[str, Callable[[pd.Series, object], pd.Series]] = {
    "==": lambda a, b: a == b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _evaluate(records: Records, condition: str) -> BoolArray:
    match = _CONDITION.match(condition)
    if match is None:
        raise RecordError(
            f'--where "{condition}": not of the form "column op value" '
            "(op is one of == != < <= > >=), for example --where 'params >= 1e7'"
        )
    name = match["column"].strip("\"'")
    name = name if name in records else canonical_name(name) or name
    records.require(name)
    text = match["value"].strip("\"'")
    values = records.table[name]
    if name in COLUMNS and COLUMNS[name].kind == "flag":
        return np.asarray(_OPERATORS[match["op"]](values.map(_as_flag), _as_flag(text)))
    numbers = pd.to_numeric(values, errors="coerce")
    try:
        number = float(text)
    except ValueError:
        return np.asarray(_OPERATORS[match["op"]](values.astype(str), text), dtype=bool)
    if numbers.notna().any():
        return np.asarray(_OPERATORS[match["op"]](numbers, number), dtype=bool)
    return np.asarray(_OPERATORS[match["op"]](values.astype(str), text), dtype=bool)
