"""Words for how a run ended, in anybody's spelling, and the column that holds them."""

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

from scaling.tables.notes import Note, NoteCode, printable, quoted, rows_named
from scaling.words import counted

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {
    "finished": "finished done complete completed success successful succeeded ok pass passed "
    "converged finish ended "
    "fertig abgeschlossen beendet erfolgreich erledigt termine acheve reussi fini terminado "
    "terminada completado completada finalizado finalizada",
    "failed": "failed fail failure crashed crash error errored oom outofmemory incomplete "
    "fehlgeschlagen gescheitert abgesturzt abgestuerzt echoue echec plante fallido fallida fallo",
    "interrupted": "interrupted killed cancelled canceled aborted abort timeout timedout preempted "
    "stopped terminated unterbrochen abgebrochen interrompu annule interrumpido interrumpida "
    "cancelado cancelada abortado abortada",
    "diverged": "diverged diverge divergence nan exploded unstable blewup divergiert divergido",
    "running": "running inprogress started active training pending queued scheduled waiting "
    "submitted resumed unfinished ongoing "
    "laeuft lauft laufend wartend encours enattente encurso enejecucion corriendo pendiente",
    "settled": "settled",
    "excluded": "excluded",
    "planned": "planned",
}
STATUSES = {word: status for status, words in _WORDS.items() for word in words.split()}
_NAMED = re.compile(r"(.*[^a-z])?(status|state)$|^(run|job|exit|final|training)(status|state)$")
#: Columns of yes and no that say how a run ended: what yes and no mean.
_FLAGS = {
    **dict.fromkeys(
        ("finished", "completed", "complete", "done", "succeeded"), ("finished", "failed")
    ),
    **dict.fromkeys(("diverged", "exploded"), ("diverged", "finished")),
    **dict.fromkeys(("failed", "crashed", "oom"), ("failed", "finished")),
    "killed": ("interrupted", "finished"),
}
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
_YES = frozenset(("true", "yes", "1", "1.0", "y", "t"))
_NO = frozenset(("false", "no", "0", "0.0", "n", "f"))


def status_of(word: object) -> str | None:
    """Our word for a status; None for a word that is none."""
    plain = unicodedata.normalize("NFKD", str(word).lower())  # accents come after their letters
    if sign := _SIGNS.get(plain.strip().rstrip("\ufe0f")):
        return sign
    return STATUSES.get(re.sub(r"[^a-z]", "", plain))


def status_column(table: "pd.DataFrame") -> tuple[str, str] | None:
    """The column that says how runs ended, and how it does: "words", "flags" or "codes"; None
    without one.

    One that is named so comes first, then a column of text that holds nothing but such words, then
    one of yes and no, and one of exit codes, by its name.
    """
    for columns, share in ((_named(table), _MOSTLY), (table.columns, 1.0)):
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
    if _flat(name) not in _FLAGS:
        return False
    counts = values.dropna().map(_flag).value_counts()
    known = int(counts[[flag in _YES | _NO for flag in counts.index]].sum())
    return known > 0 and known >= _MOSTLY * int(counts.sum())


def _flag(value: object) -> str:
    return str(value).strip().lower()


def _flat(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower().removeprefix("is_").removeprefix("has_"))


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
    return values.map(ours).where(values.notna())


def from_flags(name: str, values: "pd.Series") -> "pd.Series":
    """Statuses from a column of yes and no; words that are neither stay as they are."""
    yes, no = _FLAGS[_flat(name)]
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
