"""Which rows repeat one another: a configuration is (N, D) and every setting that varies.

Only a seed makes repeats. Rows that agree in size and tokens but differ in a learning rate, a batch
size or any other setting are different configurations, of which the best is the one to read.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scaling.arrays import IntArray
from scaling.columns import COLUMNS, MUST_AGREE
from scaling.tables.cells.numbers import read_numbers
from scaling.tables.cells.statuses import is_flag_name
from scaling.tables.heading_words import ASIDE, any_of, words_of
from scaling.tables.notes import Note, NoteCode, printable, quoted

if TYPE_CHECKING:
    import pandas as pd


_TUNING = any_of(
    "lr learning rate eta batch bs wd weight decay warmup optimizer optim opt schedule scheduler "
    "dropout beta beta1 beta2 momentum eps epsilon clip clipping init initialization mup muon "
    "temperature cooldown anneal annealing"
)
_SHAPE = any_of("width depth heads layers layer dim hidden context vocab size experts kv mlp ffn")
_SHAPE_COLUMNS = ("width", "depth", "heads", "context", "vocab_size", "unique_tokens", "family")
#: Columns that say what came of a run, who it is or what it cost: never what it was told to do.
_NOT_SETTINGS = any_of(
    "run id name seed seeds replicate replica repeat rep reps rng trial index idx time date "
    "created updated zufallszahl graine semilla lauf schritt "
    "duration runtime seconds hours host gpu user url path notes tags commit hash loss ppl bpb acc "
    "accuracy score metric eval val train grad norm mfu throughput speed tokens flops params token "
    "flop param step steps iteration iterations epoch status state reason budget ratio stderr std "
    "cost price memory exp experiment label row unnamed core health weight excluded"
)
_SETTING_WORDS_THAT_WIN = any_of(
    "lr learning decay warmup batch dropout clip clipping coef coeff coefficient mult multiplier "
    "use enable enabled qk tying tied"
)
#: Words that name a setting together, though one of them alone is of an outcome.
_SETTING_PHRASES = tuple(map(any_of, ("init std", "z loss", "max grad norm", "norm type")))
_DOUBTFUL = any_of("loss ppl bpb acc accuracy score metric grad norm")  # beta_loss, clipped_grad
_OUTCOMES = ("metric.", "baseline.")  # what models answered, and what counting gives
_GRID = 0.5  # a setting takes at most this many different values a row
_REPEATS_AGREE = 0.01  # of the loss: rows that nothing tells apart and differ by more are doubtful
_SAME = 6  # decimals of ln N and ln D
_FEWEST_NAMED = 6  # rows: of fewer, words that all differ may be choices


def size_groups(table: "pd.DataFrame") -> IntArray | None:
    """One number for all rows of one size on so many tokens (rows,).

    Without sizes, of one compute, where a seed tells all of these apart; None where nothing does.
    """
    sizes = [name for name in ("params", "tokens") if name in table]
    if not sizes:
        seeded = "train_flops" in table and "seed" in table and table["seed"].notna().all()
        if not seeded or table.duplicated(["train_flops", "seed"]).any():
            return None
        sizes = ["train_flops"]
    logs = [np.log(table[name].where(table[name] > 0).to_numpy(np.float64)) for name in sizes]
    return _numbered([np.round(values, _SAME) for values in logs])


def _numbered(keys: list[npt.NDArray]) -> IntArray:
    """One number for all rows that agree in all keys (rows,), 0 to groups - 1."""
    order = np.lexsort(keys)
    fresh = np.zeros(len(order), dtype=bool)
    for key in keys:
        ranked = key[order]
        same = ranked[1:] == ranked[:-1]
        if ranked.dtype.kind == "f":
            same |= np.isnan(ranked[1:]) & np.isnan(ranked[:-1])
        fresh[1:] |= ~same
    labels = np.empty(len(order), dtype=np.int64)
    labels[order] = np.cumsum(fresh)
    return labels


def settings_that_vary(table: "pd.DataFrame", *, tuning: bool = False) -> list[str]:
    """The settings that tell rows of one size and tokens apart; with ``tuning`` those alone that
    a better choice of would improve, not the shape or the data."""
    settings = [column for column in map(str, table.columns) if _is_setting(column, tuning)]
    groups = size_groups(table) if settings else None
    if groups is None or not len(groups) or groups.max() + 1 == len(groups):
        return []
    _, counts = np.unique(groups, return_counts=True)
    several = (counts > 1)[groups]
    rows, labels = table[several], groups[several]
    same = _of_one_number(rows)
    settings = [column for column in settings if column not in same]
    settings = [column for column in settings if not _names_rows(table[column])]
    return [column for column in settings if _varies(rows, column, labels, len(table))]


def _names_rows(values: "pd.Series") -> bool:
    """Whether a column of text has another word in each row: that names runs and is no choice."""
    is_text = values.dtype.kind not in "fiub"
    return is_text and len(values) >= _FEWEST_NAMED and not values.duplicated().any()


def _of_one_number(rows: "pd.DataFrame") -> set[str]:
    """The columns that hold one number in all rows: exports have a thousand of them."""
    numbers = rows.select_dtypes("number")
    values = numbers.to_numpy(np.float64)
    same = (values == values[:1]).all(axis=0)
    return set(map(str, numbers.columns[same]))


def _is_setting(column: str, tuning: bool) -> bool:
    known = COLUMNS.get(column)
    words = set(words_of(column))
    if column in ("learning_rate", "batch_tokens", "warmup_tokens", "schedule", "recipe"):
        return True
    if column in _SHAPE_COLUMNS:
        return not tuning
    if known is not None or column.startswith(_OUTCOMES) or column.endswith(ASIDE):
        return False
    if is_flag_name(column):
        return False
    if words & _SETTING_WORDS_THAT_WIN or any(phrase <= words for phrase in _SETTING_PHRASES):
        return True
    if words & _NOT_SETTINGS:
        return False
    return not (tuning and words & _SHAPE)


def _varies(rows: "pd.DataFrame", column: str, labels: IntArray, all_rows: int) -> bool:
    """Whether a column takes several values within a group, and looks like a choice if its name
    is none that we know."""
    codes, values = rows[column].astype(object).map(str).factorize()
    pairs = len(np.unique(labels * len(values) + codes))
    if len(values) < 2 or pairs == len(np.unique(labels)):
        return False
    words = set(words_of(column))
    if column in COLUMNS or words & _TUNING and not words & _DOUBTFUL:
        return True
    if read_numbers(rows[column].head(500))[1].all():  # text: a choice has few different ones
        return len(values) <= max(2, _GRID * len(np.unique(labels)))
    repeats = bool(np.bincount(codes).max() > 1)
    return repeats and len(values) <= max(2, _GRID * min(all_rows, len(rows)))


def configurations(table: "pd.DataFrame") -> IntArray:
    """One number for all rows that repeat one another (rows,), which differ in seed alone."""
    groups = size_groups(table)
    if groups is None:  # nothing tells seeds from configurations
        return np.arange(len(table), dtype=np.int64)
    settings = settings_that_vary(table)
    if not settings:
        return groups
    codes = [table[name].astype(object).map(str).factorize()[0] for name in settings]
    return _numbered([groups.astype(np.float64), *(c.astype(np.float64) for c in codes)])


def _spread(table: "pd.DataFrame", groups: IntArray) -> float:
    """By how much of itself the loss of rows of one group differs at most."""
    loss = table["loss"].where(table["loss"] > 0).groupby(groups)
    spread = float((loss.max() / loss.min() - 1).max())
    return spread if np.isfinite(spread) else 0.0


def parts_of(table: "pd.DataFrame", by: str | None) -> "list[pd.DataFrame]":
    """The rows of each group that a column makes; the table itself where it makes none."""
    parts = [] if by is None or by not in table else [part for _, part in table.groupby(by)]
    return parts or [table]


def families_told(table: "pd.DataFrame", by: str | None = None) -> tuple[Note, ...]:
    """That models of several families share a law, where they do; of groups ``by`` a column, that
    those of a group do."""
    if "family" not in table:
        return ()
    told = []
    for part in parts_of(table, by):
        families = part["family"].dropna().astype(str).value_counts().index
        if len(families) > 1:
            text = (
                f"models of {len(families)} families ({quoted(families, 3)}) are taken for one; "
                f"choose with --where 'family == {printable(families[0])}'"
            )
            told.append(Note(NoteCode.ASSUMED, text))
    return tuple(dict.fromkeys(told))


def spread_told(table: "pd.DataFrame") -> str:
    """By how much losses of rows of equal size and tokens differ, for a sentence; nothing where
    they hardly do."""
    groups = size_groups(table) if {"params", "tokens", "loss"} <= set(table.columns) else None
    spread = 0.0 if groups is None else _spread(table, groups)
    return f", their losses by up to {100 * spread:.2g}%" if spread > _REPEATS_AGREE else ""


def repeats_note(table: "pd.DataFrame", is_finished: npt.NDArray[np.bool_]) -> Note | None:
    """What tells rows of equal params and tokens apart; or that nothing does and they count as
    repeats, where their losses differ by more than repeats do."""
    if settings := settings_that_vary(table):
        tuned = settings_that_vary(table, tuning=True)
        unknown = [name for name in tuned if not set(words_of(name)) & _TUNING]
        spread = spread_told(table[is_finished]) if unknown or not tuned else ""
        text = f"rows of equal params and tokens differ in {', '.join(settings[:4])}{spread}: each "
        text += "choice is a configuration of its own, and "
        text += "the best one counts" if tuned else "laws of size and tokens read them all"
        if unknown:
            cell = printable(table[unknown[0]].dropna().iloc[0])
            text += f'; --where "{printable(unknown[0])} == {cell}" takes one choice'
        return Note(NoteCode.CHOSEN, text)
    table = table[is_finished]
    groups = configurations(table)
    told_apart = any(name in table and table[name].nunique() > 1 for name in ("seed", *MUST_AGREE))
    if told_apart or not len(groups) or groups.max() + 1 == len(groups):
        return None
    by = _spread(table, groups)
    if not by > _REPEATS_AGREE:
        return None
    text = "rows of equal params and tokens that no column tells apart count as repeats; their "
    text += f"losses differ by up to {100 * by:.2g}%"
    return Note(NoteCode.ASSUMED, text)
