"""From a raw table to one under our names: columns, units, statuses and losses understood.

Nothing that an answer does not use refuses a table: what cannot be chosen between, or looks like a
unit left out, is kept in ``unclear`` and told to whoever asks for that column.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.columns import COLUMNS, NATS_PER_TOKEN, UNSTATED_KIND
from scaling.errors import RecordError
from scaling.tables.cells.losses import BETTER, as_falling_loss, kind_of
from scaling.tables.cells.numbers import (
    by_points,
    comma_styles,
    read_numbers,
    unit_factor,
)
from scaling.tables.cells.statuses import (
    are_codes,
    are_flags,
    as_flag,
    as_statuses,
    from_codes,
    from_flags,
    refined,
    status_column,
    status_notes,
    untold_notes,
    untold_status,
    untold_statuses,
)
from scaling.tables.files.raw import BY_SEPARATOR
from scaling.tables.filling import sizes_in
from scaling.tables.heading_words import put_aside
from scaling.tables.notes import EXAMPLES, Note, NoteCode, printable, quoted
from scaling.tables.rows.runs import CHECKPOINTS, Checkpoints
from scaling.tables.spellings import Names, meaning_of, name_columns
from scaling.words import counted

if TYPE_CHECKING:
    import pandas as pd

FOUR = ("params", "tokens", "train_flops", "loss")
_MOST_BAD = 0.5  # of a column's cells: with more it is no column of numbers
_TINY = 2e4  # params and tokens: no ladder of language models is smaller than this throughout
_RATIO = (1e-4, 1e6)  # tokens per parameter, median
_GAP = 3.5  # decades between neighbours in size: nobody plans a ladder with such a hole
_ABSURD = 1e60  # beyond this, and below its inverse, a cell is no size and no loss
_CONFIRMS = 8.0  # C / (6 N D) of every row, either way: attention and heads of small models
_FLOPS_OF_A_RUN = 1e7  # no run of a language model takes less
_FLOP_RATIO = 1e4  # C / (6 N D), either way
_SIZE_HEADING = re.compile(r"(\D+[-_ ])?\d+(\.\d+)? ?[KMBkmb]([-_ ]\D+)?")
_FEW_STRAYS = 0.1  # of the rows so far from the others: they are outliers, and the column is meant


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a person wants a table to be read; nothing is asked of it by default."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Our name of a column -> the table's."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Our name of a column -> the unit of its numbers: "M", "B", "PF-days", "1"."""
    loss_unit: str | None = None
    """What the loss is: nats, bits_per_byte, perplexity ...; None goes by the column's name."""
    better: str | None = None
    """Whether less or more of the metric is better, "lower" or "higher"; None goes by its name."""
    checkpoints: Checkpoints | None = None
    """Of many rows a run, the "last" counts or "all" do; None: whichever can answer."""

    @property
    def beyond_columns(self) -> dict[str, Any]:
        """What is asked of it, but for the columns, as JSON-ready values."""
        asked = {item.name: getattr(self, item.name) for item in fields(self)}
        return {k: v for k, v in asked.items() if v and k != "columns"}

    def with_columns(self, columns: Mapping[str, str] | None) -> "Reading":
        """The same with further columns (ours -> theirs)."""
        return replace(self, columns={**self.columns, **(columns or {})})

    def __post_init__(self) -> None:
        if self.better not in (None, *BETTER):
            raise RecordError(f'--better "{self.better}": choose lower or higher')
        if self.checkpoints not in (None, *CHECKPOINTS):
            raise RecordError(f'--checkpoints "{self.checkpoints}": choose last or all')
        for name, unit in self.units.items():
            if name not in COLUMNS:
                raise RecordError(f"--unit {name}={unit}: {name} is no column of ours")
            if unit != "1" and unit_factor(unit) is None:
                raise RecordError(f"--unit {name}={unit}: not a unit; say K, M, B, T, PF-days or 1")


@dataclass(frozen=True, kw_only=True)
class Understood:
    """A table under our names, and what was made of it."""

    table: "pd.DataFrame"
    names: Mapping[str, str]  # ours -> theirs, where they differ
    unclear: Mapping[str, str]  # ours -> why the table has none
    notes: tuple[Note, ...]


def understand(
    raw: "pd.DataFrame", how: Reading, source: str, *, decimal_by_separator: bool = False
) -> Understood:
    """The table with our names and numbers in our units.

    ``decimal_by_separator`` says that the file's columns are not separated by commas, so that a
    comma may be a decimal point. Raises RecordError where a column is asked for that is not there
    or holds no numbers.
    """
    raw = _with_own_names(raw, source)
    names = name_columns(raw, how.columns, source)
    table, ours_to_theirs = _renamed(raw, names)
    notes = list(names.notes)
    table, status, said = _with_status(table, raw, names, how)
    notes += said
    if status:
        ours_to_theirs["status"] = status
    table, unclear, said = _with_numbers(table, names, how, source, decimal_by_separator)
    notes += said
    for part, whole in names.same.items():
        if whole in table:
            table[part] = table[whole]
    if wide := _one_column_a_run(raw):
        unclear = {name: wide for name in FOUR if name not in table} | unclear
    if "loss" in table:
        stated = _stated_kind(table)
        theirs = ours_to_theirs.get("loss", "loss")
        losses, kind, said = as_falling_loss(
            table["loss"],
            theirs,
            stated,
            unit=how.loss_unit,
            better=how.better,
            source=source,
        )
        table["loss"], notes = losses, [*notes, *said]
        by_name = kind in NATS_PER_TOKEN or kind == kind_of(theirs) == UNSTATED_KIND
        if not by_name or (how.loss_unit and kind != stated):
            table["loss_kind"] = kind
    for name in table.columns:
        if name in COLUMNS and COLUMNS[name].kind == "flag":
            table[name] = table[name].map(as_flag).astype(bool)
    return Understood(
        table=table,
        names={ours: theirs for ours, theirs in ours_to_theirs.items() if ours != theirs},
        unclear={**names.unclear, **unclear},
        notes=tuple(notes),
    )


def _one_column_a_run(raw: "pd.DataFrame") -> str:
    """That a table holds a column a run or a size, as exports of charts do; nothing elsewhere."""
    named = [re.fullmatch(r"(.+) - (.+)", column) for column in raw.columns]
    metrics = Counter(found[2] for found in named if found)
    metric = metrics.most_common(1)[0] if metrics else ("", 0)
    charts = [found[0] for found in named if found and found[2] == metric[0]]
    sizes = [c for c in raw.columns if _SIZE_HEADING.fullmatch(c) and meaning_of(c) is None]
    columns = charts if metric[1] > 1 else sizes
    if len(columns) < 2 or len(columns) < _MOST_BAD * (len(raw.columns) - 1) / 3:
        return ""
    return (
        f"one column a run ({quoted(columns, 2)}), as charts are exported: make it one row a run, "
        "with its params, tokens and loss"
    )


def _with_own_names(raw: "pd.DataFrame", source: str) -> "pd.DataFrame":
    """The table with each column's name as text, no two alike."""
    headings = [str(column).strip() for column in raw.columns]
    if len(set(headings)) < len(headings):
        twice = next(name for i, name in enumerate(headings) if name in headings[:i])
        raise RecordError(f'{source}: two columns are named "{printable(twice)}"; rename one')
    return raw.set_axis(headings, axis=1)


def _renamed(raw: "pd.DataFrame", names: Names) -> "tuple[pd.DataFrame, dict[str, str]]":
    """The table under our names; a column that bears one of them and is not it steps aside."""
    to_ours = {theirs: ours for ours, theirs in names.chosen.items()}
    taken = {*names.chosen, *names.unclear}
    aside = {c: put_aside(c) for c in raw.columns if c in taken and c not in to_ours}
    return raw.rename(columns={**aside, **to_ours}), dict(names.chosen)


def _with_status(
    table: "pd.DataFrame", raw: "pd.DataFrame", names: Names, how: Reading
) -> "tuple[pd.DataFrame, str | None, list[Note]]":
    """The table with our words for how its runs ended, and the column that said it."""
    asked = how.columns.get("status")
    others = raw[[column for column in raw.columns if column not in names.chosen.values()]]
    if asked:
        form = "codes" if are_codes(asked, raw[asked]) else "words"
        form = "flags" if are_flags(asked, raw[asked]) else form
        found: tuple[str, str] | None = (asked, form)
    else:
        found = status_column(others)
    if found is None and (untold := untold_status(raw)) is not None:
        found = untold, "untold"
    theirs, after = None, None
    notes: list[Note] = []
    if found is not None:
        theirs, form = found
        after, notes = _statuses(raw[theirs], theirs, form)
        table = table.drop(columns=[c for c in ("status", theirs) if c in table])
    elif "status" in table and table["status"].dtype.kind in "fiub":
        table = table.rename(columns={"status": put_aside("status")})
    if not asked:
        others = others.drop(columns=[theirs] if theirs in others else [])
        after, said = refined(after, others)
        notes += said
    if after is None:
        return table, None, notes
    table = table.copy()  # in one piece, if it is wide
    return table.assign(status=after.astype(object)), theirs, notes


def _statuses(before: "pd.Series", column: str, form: str) -> "tuple[pd.Series, list[Note]]":
    """Our words for a column of statuses that says them in this form, and what is said of it."""
    if form == "untold":
        after = untold_statuses(before)
        return after, untold_notes(column, before, after)
    if form == "codes":
        after = from_codes(before)
    else:
        after = as_statuses(before) if form == "words" else from_flags(column, before)
    return after, status_notes(column, before, after)


def _stated_kind(table: "pd.DataFrame") -> str:
    if "loss_kind" not in table:
        return ""
    kinds = table["loss_kind"].dropna().astype(str).unique()
    return str(kinds[0]) if len(kinds) == 1 else ""


def _with_numbers(
    table: "pd.DataFrame", names: Names, how: Reading, source: str, by_separator: bool
) -> "tuple[pd.DataFrame, dict[str, str], list[Note]]":
    """Known columns of numbers as floats in our units; those that hold none step aside."""
    table = table.copy()
    commas = comma_styles(table, by_separator)
    unclear: dict[str, str] = {}
    notes: list[Note] = []
    examples: list[str] = []
    for name in list(table.columns):
        if name not in COLUMNS or COLUMNS[name].kind not in ("size", "loss", "number"):
            continue
        before = table[name]
        values, bad = read_numbers(before, commas.get(name, False))
        if name == "loss" and commas.get(name):  # 2.345 among decimal commas: 2345, or 2.345?
            unclear_points = by_points(before)
            values, bad = values.mask(unclear_points), bad | unclear_points
        filled = int(bad.sum()) + int(values.notna().sum())
        if bad.sum() > _MOST_BAD * filled:
            example = f'"{printable(before[bad].iloc[0])}", for example, is not a number'
            theirs = names.chosen.get(name, name)
            if name in how.columns:
                row = int(before.index[bad.to_numpy()][0]) + 2
                raise RecordError(
                    f'{source} row {row}: {name} is "{printable(before[bad].iloc[0])}", not a '
                    f"number, nor are {int(bad.sum()):,} of the {filled:,} cells of {theirs}; map "
                    f"another column with --columns {name}=THEIR_NAME"
                )
            if name == "params" and (sizes := sizes_in(before)) is not None:
                table[name] = sizes
                examples.append(f"{name} {_example(before, sizes, False)}, by the names")
                continue
            if name in FOUR:
                unclear[name] = f'the column "{theirs}" holds no numbers ({example})'
                table = table.rename(columns={name: put_aside(name)})
            continue
        unit = how.units.get(name)
        factor = names.factors.get(name, 1.0)
        if unit is not None:
            factor = 1.0 if unit == "1" else unit_factor(unit) or 1.0
        values = values if factor == 1 else values * factor
        absurd = (values.abs() > _ABSURD) & np.isfinite(values) | (values.abs() < 1 / _ABSURD)
        if name in FOUR and (absurd := absurd & (values != 0)).any():
            values, bad = values.mask(absurd), bad | absurd
        table[name] = values
        if bad.any():
            notes.append(_bad_cells(name, before[bad], source))
        elif (
            name in FOUR
            and before.dtype.kind not in "fiu"
            and (text := _example(before, values, commas.get(name, False)))
        ):
            examples.append(f"{name} {text}")
    if examples:
        notes.insert(0, Note(NoteCode.UNDERSTOOD, f"numbers: {', '.join(examples)}"))
    return table, unclear, notes


def as_written(raw: "pd.DataFrame", names: Mapping[str, str], name: str) -> "pd.Series":
    """The numbers of one of our columns in the table's own units; ``names`` are ours -> theirs."""
    to_ours = {theirs: ours for ours, theirs in names.items()}
    others = raw.drop(columns=[c for c in names if c in raw and c not in to_ours])
    commas = comma_styles(others.rename(columns=to_ours), bool(raw.attrs.get(BY_SEPARATOR)))
    return read_numbers(raw[names[name]], commas.get(name, False))[0]


def _bad_cells(name: str, bad: "pd.Series", source: str) -> Note:
    some = ", ".join(
        f'row {int(row) + 2} "{printable(cell)}"' for row, cell in bad.head(EXAMPLES).items()
    )
    cells = counted(
        len(bad),
        f"cell of {name} holds no usable number and counts",
        f"cells of {name} hold no usable number and count",
    )
    return Note(
        NoteCode.LEFT_OUT,
        f"{cells} as blank: {some}",
    )


def _example(before: "pd.Series", values: "pd.Series", decimal_comma: bool) -> str | None:
    """One cell that is a number in our reading and not, or another, to the letter."""
    grouped = by_points(before) & decimal_comma
    for cell, value, is_grouped in zip(before.head(200), values, grouped, strict=False):
        if isinstance(cell, str) and np.isfinite(value):
            try:
                float("" if is_grouped else cell)
            except ValueError:
                return f'"{printable(cell.strip())}" is {value:.10g}'
    return None


def units_in_doubt(table: "pd.DataFrame", how: Reading) -> dict[str, str]:
    """The sizes that look as if millions or billions were left out: our name -> what to say."""
    have = [name for name in ("params", "tokens") if name in table and name not in how.units]
    doubts: dict[str, str] = {}
    known = {
        name: table[name].to_numpy(np.float64)
        for name in ("params", "tokens", "train_flops")
        if name in table
    }
    agree = "train_flops" not in how.units and _flops_confirm(known)
    for name in have:
        values = known[name][np.isfinite(known[name]) & (known[name] > 0)]
        if len(values) and values.max() < _TINY and not agree:
            doubts[name] = _left_out(name, values)
    if {"params", "tokens"} <= known.keys() and not doubts:
        n, d = known["params"], known["tokens"]
        both = np.isfinite(n) & np.isfinite(d) & (n > 0) & (d > 0)
        ratio = d[both] / n[both]
        if len(ratio) and have:
            low, high = _RATIO
            which = "params" if np.median(ratio) > high else "tokens"
            if not low < np.median(ratio) < high:
                if which in have:
                    doubts[which] = _left_out(which, known[which][both])
            elif max(map(_widest_gap, (ratio, n[both]))) > _GAP:
                text = (
                    f"params of {n[both].min():.2g} to {n[both].max():.2g} with {ratio.min():.2g} "
                    f"to {ratio.max():.2g} tokens each leave a hole of thousands: is a unit left "
                    "out in some rows? leave them out with --where, or say --unit params=1 and "
                    "tokens=1 if they are right"
                )
                doubts |= {"params": text, "tokens": text}
    return doubts


def _flops_confirm(known: "dict[str, np.ndarray]") -> bool:
    """Whether the table's own FLOP are what models of these sizes spend on these tokens: then no
    unit is left out of either, however small they are. FLOP that are few themselves may have been
    computed without the units."""
    if not {"params", "tokens", "train_flops"} <= known.keys():
        return False
    n, d, c = (known[name] for name in ("params", "tokens", "train_flops"))
    with np.errstate(all="ignore"):
        agree = (np.abs(np.log(c / (6 * n * d))) < np.log(_CONFIRMS)) & (c > _FLOPS_OF_A_RUN)
    return bool(len(n) and agree.all())


def _widest_gap(values: "np.ndarray") -> float:
    """Decades between the two neighbours that lie furthest apart."""
    return float(np.diff(np.log10(np.sort(values))).max(initial=0.0))


def _left_out(name: str, values: "np.ndarray") -> str:
    span = f"{values.min():.6g} to {values.max():.6g}"
    return (
        f"{name} of {span} look as if millions or billions were left out; say --unit {name}=M "
        f"(or K, B, T), or --unit {name}=1 if they are right"
    )


def flops_in_doubt(table: "pd.DataFrame", how: Reading) -> str | None:
    """Why the table's FLOP cannot be meant, where they contradict its sizes beyond any doubt."""
    if not {"params", "tokens", "train_flops"} <= set(table.columns) or "train_flops" in how.units:
        return None
    n, d, c = (table[name].to_numpy(np.float64) for name in ("params", "tokens", "train_flops"))
    with np.errstate(all="ignore"):
        ratio = c / (6 * n * d)
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not len(ratio):
        return None
    if 1 / _FLOP_RATIO < np.median(ratio) < _FLOP_RATIO:
        strays = np.mean(np.abs(np.log(ratio / np.median(ratio))) > np.log(_FLOP_RATIO))
        if strays <= _FEW_STRAYS:
            return None
        return (
            f"train_flops are {ratio.min():.2g} to {ratio.max():.2g} times 6 N D, row by row, so "
            "they are not the FLOP of these runs; leave the column out, or say --unit "
            "train_flops=1 if it is right"
        )
    return (
        f"train_flops are {np.median(ratio):.2g} times 6 N D, so a unit is wrong; say which with "
        "--unit train_flops=..., params=... or tokens=..., or --unit train_flops=1 if it is right"
    )
