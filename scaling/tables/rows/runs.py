"""Which rows are one run: histories, checkpoints of a model, and which of their rows count.

A table with many rows a run is either a history, whose last row is the run's outcome (the last with
a loss where most runs end without one), or a suite of checkpoints, each a measurement of its own
that shares its past with the others. Where the last rows alone can answer (enough runs, sizes and
tokens not in lockstep) they count; otherwise all rows do, as one cluster a run. ``--checkpoints``
decides it by hand.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from scaling.tables.cells.numbers import read_numbers
from scaling.tables.notes import Note, NoteCode
from scaling.words import counted

if TYPE_CHECKING:
    import pandas as pd

Checkpoints = Literal["last", "all"]
CHECKPOINTS: tuple[Checkpoints, ...] = ("last", "all")

_RUN_NAMES = (
    *("runid", "run", "runname", "runuuid", "experiment", "experimentid", "experimentname"),
    *("job", "jobid", "trial", "trialid", "trialname", "lauf"),
)
_MODEL_NAMES = ("name", "model", "modelname", "modelid", "arch", "config", "id", "uuid", "exp")
_STEP_NAMES = (
    *("step", "globalstep", "trainstep", "trainingstep", "iteration", "iter", "iterations"),
    *("checkpoint", "ckpt", "epoch", "trainerglobalstep", "checkpointstep", "steps", "update"),
    *("updates", "numupdates", "trainsteps", "optimizersteps", "schritt", "schritte"),
)
_SEEN_NAMES = ("seenexamples", "examplesseen", "seentokens", "tokensseen", "samplesseen")
_CHECKPOINT = r"step|ckpt|checkpoint|iter|epoch|@"  # in the name of a row that is one of a run's
_FEWEST_RUNS = 8
_MOST_BAD = 0.1  # of the runs: with more of them at odds, a column is not what it was taken for
_FEWEST_VALUES = 3
_LENGTHS = ("tokens", "train_flops", "unique_tokens")  # the last stands for the first if need be
_LOCKSTEP = 0.15  # of ln N around a line in ln D: less, and the two are one


@dataclass(frozen=True)
class Histories:
    """What rows of one run are: which of them count, and the run that each belongs to."""

    left_out: "pd.Series"  # (rows,) why a row does not count; "" where it does
    run: "pd.Series"  # (rows,) the run that a row belongs to, as text
    is_clustered: bool  # whether several rows of a run count
    note: Note


def histories(table: "pd.DataFrame", mode: Checkpoints | None = None) -> Histories | None:
    """What the rows of one run are, where several rows are of one; None in any other table."""
    step = _column(table, _STEP_NAMES)
    found = _run_column(table, step)
    if found is None:
        return None
    column, run = found
    progress = _progress(table, step)
    if progress is None or not _moves(run, progress):
        return None
    has_loss = table["loss"].notna() if "loss" in table else run.notna()
    last, is_later = _last_rows(run, progress, has_loss)
    lengths = [name for name in _LENGTHS if name in table]
    constant = not any(_moves(run, table[name]) for name in lengths)
    use_last = mode == "last" or (mode is None and (constant or _answers(table[last])))
    rows, runs = counted(len(table), "row"), counted(int(run.nunique()), "run")
    by = f'"{column}"' if column else "size and settings"
    if use_last:
        is_open = _is_open(run, progress)
        used = _which_counts(last & ~is_open, run[is_later & ~is_open].nunique(), has_loss)
        text = f"{rows} of {runs} (by {by}): {used}; --checkpoints all takes every row"
        left_out = run.map(lambda _: "an earlier row of its run").mask(last, "")
        left_out = left_out.mask(is_later, "a later row of its run, without a loss")
        left_out = left_out.mask(is_open, "which row of its run is the last is not told")
        return Histories(left_out, run, False, Note(NoteCode.CHOSEN, text))
    text = (
        f"{rows} of {runs} (by {by}): every row counts, and rows of one run are one "
        "cluster, not independent runs; --checkpoints last takes the last of each"
    )
    return Histories(run.map(lambda _: ""), run, True, Note(NoteCode.CHOSEN, text))


def is_of_one_run(table: "pd.DataFrame", column: str) -> bool:
    """Whether rows along a column, by the table's name of it, are one run's: it counts steps or
    examples, or a column that names runs has one name."""
    flat = _flat(column)
    if (flat in _STEP_NAMES and flat != "steps") or flat in _SEEN_NAMES:
        return True
    named = _column(table, _RUN_NAMES)
    return named is not None and len(table) > 1 and table[named].nunique(dropna=False) == 1


def without_blank_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A row without a single value is no run."""
    is_blank = np.ones(len(frame), dtype=bool)
    for _, values in frame.items():
        if not is_blank.any():
            return frame
        is_blank &= (values.isna() | (values.astype(object) == "")).to_numpy(dtype=bool)
    return frame[~is_blank]


def _flat(name: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _column(table: "pd.DataFrame", names: tuple[str, ...]) -> str | None:
    by_flat = {_flat(column): str(column) for column in reversed(table.columns)}
    return next((by_flat[name] for name in names if name in by_flat), None)


def _run_column(table: "pd.DataFrame", step: str | None) -> "tuple[str | None, pd.Series] | None":
    """The column that names a row's run, and the name; without one, rows of equal size."""
    by_flat = {_flat(column): str(column) for column in reversed(table.columns)}
    for name in (*_RUN_NAMES, *(_MODEL_NAMES if step else ())):
        column = by_flat.get(name)
        if column and table[column].dropna().duplicated().any():
            run = _runs_named(table[column])
            if run.nunique() > 1 and _constant(run, table, "params"):
                return column, run
    repeats = step is not None and _flat(step) != "steps" and "params" in table
    if repeats and not _names_rows(table, by_flat):
        run = _told_apart_by_steps(_runs_named(table["params"]), _progress(table, step))
        if run.duplicated().any() and run.nunique() > 1:
            return None, run
    return None


def _told_apart_by_steps(run: "pd.Series", steps: "pd.Series | None") -> "pd.Series":
    """The runs of each size, of which each begins where the steps of the rows fall back, if a size
    has several of them and the rows stand in their order."""
    if steps is None:
        return run
    by_size = steps.groupby(run.to_numpy())
    begins = ~(by_size.diff() > 0)
    several = begins.groupby(run.to_numpy()).cumsum().astype(int)
    rows = begins.sum() * _FEWEST_VALUES
    is_told = several.max() > 1 and rows <= len(run) and not steps.isna().any()
    return run + " (" + several.astype(str) + ")" if is_told else run


def _runs_named(names: "pd.Series") -> "pd.Series":
    """The run of each row, as text; a row that names none is one of its own."""
    import pandas as pd

    own = pd.Series(map(_nameless, names.index), index=names.index, dtype=object)
    words = names.astype(object).map(str)
    return words.where(names.notna() & (words.str.strip() != ""), own)


def _nameless(label: object) -> str:
    return f"row {label} of no run"


def _names_rows(table: "pd.DataFrame", by_flat: dict[str, str]) -> bool:
    """Whether a column names each row: then each is a run, unless names tell its checkpoint."""
    named = [by_flat[name] for name in (*_RUN_NAMES, "name") if name in by_flat]
    return any(
        not table[column].duplicated().any()
        and not table[column].astype(str).str.contains(_CHECKPOINT, case=False).any()
        for column in named
    )


def _constant(run: "pd.Series", table: "pd.DataFrame", column: str) -> bool:
    """Whether a column has one value a run, but for single cells that are wrong."""
    if column not in table:
        return True
    several = table.groupby(run.to_numpy())[column].nunique(dropna=True) > 1
    return bool(several.mean() <= _MOST_BAD)


def _progress(table: "pd.DataFrame", step: str | None) -> "pd.Series | None":
    """How far each row is along its run."""
    for column in (step, "tokens", "train_flops"):
        if column in table:
            values, bad = read_numbers(table[column])
            if bad.any():  # checkpoints by name: step-1000, step1000
                digits = table[column].astype(str).str.extract(r"(\d+)(?!.*\d)")[0]
                values = values.where(~bad, read_numbers(digits)[0])
            values = values.where(np.isfinite(values) & (values >= 0))
            if values.notna().mean() > 0.5:
                return values
    return None


def _moves(run: "pd.Series", values: "pd.Series") -> bool:
    """Whether a value differs from row to row in most of the runs that have several."""
    by_run = values.groupby(run.to_numpy())
    several = by_run.size() > 1
    return bool(several.any() and (by_run.nunique()[several] > 1).mean() > 0.5)


def _is_open(run: "pd.Series", progress: "pd.Series") -> "pd.Series":
    """Whether a row names no run, or how far along a row of its run is is not known."""
    by_run = progress.isna().groupby(run.to_numpy())
    is_open = by_run.transform("any") & (by_run.transform("size") > 1)
    return is_open | run.index.to_series().map(_nameless).eq(run)


def _last_rows(
    run: "pd.Series", progress: "pd.Series", has_loss: "pd.Series"
) -> "tuple[pd.Series, pd.Series]":
    """The furthest row of each run; where most of these have no loss, as losses are measured more
    rarely than rows are written, the furthest that has one. And the rows that follow it."""
    by_run, rank = run.to_numpy(), progress.fillna(-np.inf).rank(method="first")
    last = rank.eq(rank.groupby(by_run).transform("max"))
    if not has_loss[last].mean() > 0.5:
        with_loss = rank + len(run) * has_loss
        last = with_loss.eq(with_loss.groupby(by_run).transform("max"))
    return last, rank > rank.where(last).groupby(by_run).transform("max")


def _which_counts(last: "pd.Series", followed: int, has_loss: "pd.Series") -> str:
    """Which row of each run counts, where rows follow it in so many runs, and how many runs have
    no loss there."""
    without = int((last & ~has_loss).sum())
    if followed:
        none = f"; no loss at all: {counted(without, 'run')}" if without else ""
        rows = f"later rows, without one: {counted(followed, 'run')}"
        return f"the last row with a loss of each run counts ({rows}{none})"
    none = f" (no loss in it: {counted(without, 'run')})" if without else ""
    return f"the last row of each run counts{none}"


def _answers(last: "pd.DataFrame") -> bool:
    """Whether the last rows alone tell a law: enough runs, size and tokens not in lockstep."""
    import pandas as pd

    if len(last) < _FEWEST_RUNS:
        return False
    sizes = [last[c] for c in ("params", "tokens", "train_flops") if c in last]
    logs = [np.log(v.where(v > 0)).dropna() for v in sizes]
    several = [v for v in logs if v.round(2).nunique() >= _FEWEST_VALUES]
    if len(sizes) < 2:
        return bool(several)
    both = pd.concat(logs[:2], axis=1).dropna().to_numpy()
    if len(several) < 2 or len(both) < _FEWEST_RUNS:
        return False
    line = np.polyfit(both[:, 1], both[:, 0], 1)
    return bool(np.std(both[:, 0] - np.polyval(line, both[:, 1])) > _LOCKSTEP)
