"""Words for how a run ended, in anybody's spelling, and the column that holds them."""

import math
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

from scaling.tables.cells.numbers import read_numbers
from scaling.tables.heading_words import any_of
from scaling.tables.notes import Note, NoteCode, printable, quoted, rows_named
from scaling.words import counted

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {
    "finished": "finished done complete completed success successful succeeded ok pass passed "
    "converged finish ended "
    "fertig abgeschlossen beendet erfolgreich erledigt termine acheve reussi fini terminado "
    "terminada completado completada finalizado finalizada concluido concluida completato "
    "\u5b8c\u6210 \u5df2\u5b8c\u6210 \u6210\u529f \u5b8c\u4e86 \uc644\ub8cc "
    "\u0437\u0430\u0432\u0435\u0440\u0448\u0435\u043d\u043e "
    "\u0433\u043e\u0442\u043e\u0432\u043e \u0443\u0441\u043f\u0435\u0448\u043d\u043e",
    "failed": "failed fail failure crashed crash error errored oom outofmemory incomplete nodefail "
    "fehlgeschlagen gescheitert abgesturzt abgestuerzt echoue echec plante fallido fallida fallo "
    "falhou fallito \u5931\u8d25 \u5931\u6557 \u5d29\u6e83 \uc2e4\ud328 "
    "\u043e\u0448\u0438\u0431\u043a\u0430 \u0441\u0431\u043e\u0439",
    "interrupted": "interrupted killed cancelled canceled aborted abort timeout timedout preempted "
    "stopped terminated evicted pruned unterbrochen abgebrochen interrompu annule interrumpido "
    "interrumpida cancelado cancelada abortado abortada \u4e2d\u65ad \u53d6\u6d88 "
    "\u043f\u0440\u0435\u0440\u0432\u0430\u043d\u043e",
    "diverged": "diverged diverge divergence nan exploded unstable blewup divergiert divergido",
    "running": "running inprogress started active training pending queued scheduled waiting "
    "submitted resumed unfinished ongoing paused "
    "laeuft lauft laufend wartend encours enattente encurso enejecucion corriendo pendiente "
    "\u8fd0\u884c\u4e2d \u5b9f\u884c\u4e2d",
    "settled": "settled",
    "excluded": "excluded",
    "planned": "planned",
}


def _letters(word: str) -> str:
    """The letters of a word, small and without accents."""
    return re.sub(r"[\W\d_]", "", unicodedata.normalize("NFKD", word.lower()))


STATUSES = {_letters(word): status for status, words in _WORDS.items() for word in words.split()}
_NAMED = re.compile(r"(.*[^a-z])?(status|state)$|^(run|job|exit|final|training)(status|state)$")
#: Columns of yes and no that say how a run ended: what yes and no mean.
_FLAGS = {
    **dict.fromkeys(
        ("finished", "completed", "complete", "done", "succeeded"), ("finished", "failed")
    ),
    **dict.fromkeys(("diverged", "exploded"), ("diverged", "finished")),
    **dict.fromkeys(("failed", "crashed", "oom"), ("failed", "finished")),
    "killed": ("interrupted", "finished"),
    "active": ("running", "finished"),
    **dict.fromkeys(
        any_of("exclude excluded ignore ignored outlier invalid bad discard discarded"),
        ("excluded", "finished"),
    ),
    **dict.fromkeys(
        any_of("include included valid good keep use used usable useinfit infit"),
        ("finished", "excluded"),
    ),
}
#: Columns of how much of a run is done.
_PROGRESS = any_of("progress percentcomplete percentdone pctcomplete pctdone completion")
#: Columns of remarks, and words in them that speak of a run which is none.
_REMARKS = any_of("note notes comment comments remark remarks bemerkung bemerkungen")
_DOUBTS = any_of(
    "spike spikes spiked outlier broken bug buggy wrong invalid exclude ignore discard"
)
#: Columns of what a process ended with: 0 says that all went well (Slurm writes 0:0).
_CODES = re.compile(r"(.*[^a-z])?(exit|return)[ _.-]?(code|status)")
_CODE = re.compile(r"-?\d+(\.0)?(:\d+)?")
_WELL = re.compile(r"0(\.0)?(:0)?")
_SIGNS = {
    **dict.fromkeys("\u2713\u2714\u2705", "finished"),
    **dict.fromkeys("\u2717\u2718\u274c", "failed"),
}
_SHOWN = 6  # words that a sentence names
_MOSTLY = 0.5  # of the cells of a column that is named so: it is one of statuses
_ALMOST_ALL = 0.8  # of those of a column of any other name
_DONE = {True: "finished", False: "running"}
_YES = frozenset(("true", "yes", "1", "1.0", "y", "t"))
_NO = frozenset(("false", "no", "0", "0.0", "n", "f"))
TRUTHS = _YES | _NO


def status_of(word: object) -> str | None:
    """Our word for a status; None for a word that is none."""
    plain = str(word).strip()
    if sign := _SIGNS.get(plain.rstrip("\ufe0f")):
        return sign
    plain = re.sub(r"^\w+\.(?=\w+$)", "", plain)  # TrialState.COMPLETE
    return STATUSES.get(_letters(re.sub(r"\s+by\s+\S+$", "", plain)))  # CANCELLED by 1000


def status_column(table: "pd.DataFrame") -> tuple[str, str] | None:
    """The column that says how runs ended, and how it does: "words", "flags" or "codes"; None
    without one.

    One that is named so comes first, then a column of text that holds almost nothing but such
    words, then one of yes and no, and one of exit codes, by its name.
    """
    for columns, share in ((_named(table), _MOSTLY), (table.columns, _ALMOST_ALL)):
        for column in columns:
            if _share_of_words(table[column]) >= share:
                return str(column), "words"
    flags = [str(column) for column in table.columns if are_flags(str(column), table[column])]
    if flags:
        return flags[0], "flags"
    codes = [str(column) for column in table.columns if are_codes(str(column), table[column])]
    return (codes[0], "codes") if codes else None


def are_codes(name: str, values: "pd.Series") -> bool:
    """Whether a column holds what processes ended with."""
    if not _CODES.fullmatch(name.lower()):
        return False
    cells = values.dropna().astype(str).str.strip()
    return bool(len(cells) and cells.map(_CODE.fullmatch).notna().all())


def from_codes(values: "pd.Series") -> "pd.Series":
    """Statuses from a column of exit codes."""
    words = {
        v: "finished" if _WELL.fullmatch(str(v).strip()) else "failed"
        for v in values.dropna().unique()
    }
    return values.map(words).where(values.notna())


def untold_status(table: "pd.DataFrame") -> str | None:
    """A column that is named as one of statuses and, as `status_column` finds, is none; None
    without one."""
    text = (str(c) for c in _named(table) if table[c].dtype.kind not in "bM")
    return next((column for column in text if table[column].notna().any()), None)


def _named(table: "pd.DataFrame") -> list[Any]:
    return [column for column in table.columns if _NAMED.match(str(column).lower())]


def are_flags(name: str, values: "pd.Series") -> bool:
    """Whether a column says yes or no to how a run ended."""
    if _flag_name(name) is None:
        return False
    if _flag_name(name) in _PROGRESS:
        return _done(values) is not None
    counts = values.dropna().map(_flag).value_counts()
    known = int(counts[[flag in _YES | _NO for flag in counts.index]].sum())
    return known > 0 and known >= _MOSTLY * int(counts.sum())


def _flag(value: object) -> str:
    return str(value).strip().lower()


def _flag_name(name: str) -> str | None:
    """What a column is called that says yes or no, or how much is done, of a run's end."""
    last = re.split(r"[./]", name.lower())[-1].strip()
    flat = re.sub(r"[^a-z]", "", last.removeprefix("is_").removeprefix("has_"))
    return flat if flat in _FLAGS or flat in _PROGRESS else None


def is_flag_name(name: str) -> bool:
    """Whether a column of this name, where it holds yes and no, says how runs ended."""
    return _flag_name(name) is not None


def _done(values: "pd.Series") -> "pd.Series | None":
    """Whether each run is done, by its share of 1 or of 100; None where most are not, or the
    column holds anything else."""
    numbers, bad = read_numbers(values)
    known = numbers.dropna()
    if bad.any() or not len(known) or known.max() not in (1.0, 100.0) or known.min() < 0:
        return None
    is_done = known == known.max()
    return is_done if is_done.mean() >= _MOSTLY else None


def _share_of_words(values: "pd.Series") -> float:
    """The share of a column's cells that are words for a status; 0 for a column of numbers."""
    if values.dtype.kind in "fiub":
        return 0.0
    counts = values.dropna().astype(str).value_counts().head(50)
    known = sum(int(n) for word, n in counts.items() if status_of(word) is not None)
    return known / int(counts.sum()) if len(counts) else 0.0


def as_statuses(values: "pd.Series") -> "pd.Series":
    """Our words for a column of statuses; words that are none stay as they are."""
    words = values.dropna().unique()
    ours = {word: status_of(word) or str(word).strip() for word in words}
    if "finished" not in ours.values():  # the word of Ray for a run that came to its end
        ours |= {word: "finished" for word in words if _letters(str(word)) == "terminated"}
    return values.map(ours).where(values.notna())


def from_flags(name: str, values: "pd.Series") -> "pd.Series":
    """Statuses from a column of yes and no; words that are neither stay as they are."""
    flag = _flag_name(name) or ""
    if flag in _PROGRESS:
        done = _done(values)
        return values.map(lambda _: None) if done is None else done.map(_DONE).reindex(values.index)
    yes, no = _FLAGS[flag]
    words = {
        v: yes if _flag(v) in _YES else no if _flag(v) in _NO else str(v).strip()
        for v in values.dropna().unique()
    }
    return values.map(words).where(values.notna())


def unknown_words(statuses: "pd.Series") -> list[str]:
    """The words among these statuses that are none."""
    return [word for word in statuses.dropna().unique() if status_of(word) is None]


def untold_statuses(values: "pd.Series") -> "pd.Series":
    """Our words for a column of which most words say nothing: those count as finished."""
    known = {word: status_of(word) for word in values.dropna().unique()}
    return values.map(known)


def untold_notes(column: str, before: "pd.Series", after: "pd.Series") -> list[Note]:
    """What was made of a column that is named as one of statuses, whose words say nothing."""
    said = Counter(printable(word, 30) for word in before[after.isna()].dropna())
    words = ", ".join(f"{word} {n:,}" for word, n in said.most_common(_SHOWN))
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    known = ", ".join(f"{n:,} {word}" for word, n in after.value_counts().items())
    text = (
        f'column "{column}" holds {"few words that are" if known else "no word that is"} known '
        f"({words}{more}): {f'known are {known}, all others' if known else 'all rows'} count as "
        f'finished; keep some with --where "{column} == ..."'
    )
    return [Note(NoteCode.ASSUMED, text)]


def status_notes(column: str, before: "pd.Series", after: "pd.Series") -> list[Note]:
    """What was made of a column of statuses, where it is not to the letter."""
    notes = []
    if column != "status" or not before.dropna().astype(str).isin(set(after.dropna())).all():
        counts = ", ".join(f"{n:,} {word}" for word, n in after.value_counts().items())
        text = f'status is the column "{column}": {counts}'
        notes.append(Note(NoteCode.STATUS, text))
    if unknown := unknown_words(after):
        rows = counted(int(after.isin(unknown).sum()), "row")
        text = f"status {quoted(unknown)} of {rows} is no word for finished: left out"
        notes.append(Note(NoteCode.LEFT_OUT, text))
    if blank := after.index[after.isna()].tolist():
        text = f"{counted(len(blank), 'row')} without a status counted as finished"
        if len(blank) < len(after):
            text += f" ({rows_named(blank)})"
        notes.append(Note(NoteCode.ASSUMED, text))
    return notes


def refined(
    statuses: "pd.Series | None", others: "pd.DataFrame"
) -> "tuple[pd.Series | None, list[Note]]":
    """Statuses (None: all have finished) after what further columns say of runs that have finished:
    those of yes and no, and remarks, which are told."""
    notes = []
    for column in map(str, others.columns):
        values = others[column]
        if are_flags(column, values):
            said = from_flags(column, values)
            gone = said.isin(set(_WORDS) - {"finished"})
            if statuses is not None:
                gone &= statuses.isna() | (statuses == "finished")
            if gone.any():
                statuses = said.where(gone, statuses).astype(object)
                words = ", ".join(f"{n:,} {w}" for w, n in said[gone].value_counts().items())
                text = f'the column "{column}" says of runs how they ended: {words}'
                notes.append(Note(NoteCode.STATUS, text))
        elif re.sub(r"[^a-z]", "", column.lower()) in _REMARKS:
            notes += _remarks(column, values)
    return statuses, notes


def _remarks(column: str, values: "pd.Series") -> list[Note]:
    """What is told of remarks by which some runs are none."""
    cells = values.dropna().astype(str)
    doubted = cells[cells.map(_doubts)]
    if not len(doubted) or len(doubted) > _MOSTLY * len(values):
        return []
    rows = counted(len(doubted), "row")
    text = (
        f'column "{column}" says "{printable(doubted.iloc[0])}"'
        f"{' and the like' if len(doubted) > 1 else ''} of {rows} ({rows_named(doubted.index)}); "
        f"they count as any other, unless --where leaves them out"
    )
    return [Note(NoteCode.ASSUMED, text)]


def _doubts(remark: str) -> bool:
    words = re.findall(r"\w+", remark.lower())
    return any(w in _DOUBTS or status_of(w) in ("failed", "diverged", "interrupted") for w in words)


def as_flag(value: object) -> bool:
    """Whether a cell of a yes-or-no column says yes; a blank says no."""
    if isinstance(value, str):
        return value.strip().lower() in _YES
    return bool(value) and not (isinstance(value, float) and math.isnan(value))
