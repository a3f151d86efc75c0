"""What losses are held against: the entropy of their source, and the loss of counting its text.

They are columns of the runs table, `entropy` and `baseline.NAME`, measured where the loss was: on
the same validation set, in nats of the same tokens. `references_of` gives them as lines to draw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.columns import NATS_PER_TOKEN, canonical_name
from scaling.records import Records
from scaling.words import counted

BASELINE = "baseline."
#: Columns `baseline.NAME`, and what each is.
BASELINES = {
    "unigram": "counted, no token before",
    "bigram": "counted, one token before",
    "trigram": "counted, two tokens before",
    "empirical": "counted, all tokens before",
    "bigram_interpolated": "one token before, interpolated",
    "trigram_interpolated": "two tokens before, interpolated",
}
#: What of the counting a record has besides: of `baseline.NAME` how many contexts never came, and
#: how many tokens never after a context that did; and of all how much was counted and scored.
UNSEEN, NEVER = "_unseen_contexts", "_unseen_tokens"
COUNTED, SCORED = f"{BASELINE}counted_tokens", f"{BASELINE}scored_tokens"
ENTROPY = "entropy"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A loss that no training went into, in the unit of the runs' own."""

    name: str
    about: str
    loss: float | None
    """None: infinite, since something never came in the text that was counted."""
    lacking: str = ""
    """What never came, in words."""

    @property
    def in_words(self) -> str:
        """The loss, or that it is infinite and why."""
        if self.loss is not None:
            return f"{self.loss:.4g}"
        return f"infinite ({self.lacking})" if self.lacking else "infinite"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "about": self.about,
            "loss": self.loss,
            "is_infinite": self.loss is None,
            "lacking": self.lacking,
        }


@dataclass(frozen=True, kw_only=True)
class References:
    """What the losses of runs are held against, and what of it is not."""

    lines: tuple[Reference, ...] = ()
    told: tuple[str, ...] = ()
    """What the table has and is no line here, and why; and how much was counted."""

    @property
    def finite(self) -> tuple[Reference, ...]:
        """Those that can be drawn."""
        return tuple(one for one in self.lines if one.loss is not None)


def lacking(unseen_contexts: int, scored_tokens: int, unseen_tokens: int) -> str:
    """What never came in a text that was counted, in words; "" where all did."""
    found = []
    if unseen_contexts:
        found.append(f"{unseen_contexts:,} of {scored_tokens:,} contexts unseen")
    if unseen_tokens:
        found.append(f"{counted(unseen_tokens, 'token')} never seen after the context")
    return ", ".join(found)


def references_of(records: Records) -> References:
    """What the losses of these runs are held against, as their table says.

    A column in which the runs differ gives no line, and none do where the losses are of another
    kind than the column `loss` (another metric, another unit); ``told`` says so.
    """
    columns = (name for name in map(str, records.table.columns) if name.startswith(BASELINE))
    bare = (name.removesuffix(UNSEEN).removesuffix(NEVER) for name in columns)
    names = [name for name in dict.fromkeys(bare) if name not in (COUNTED, SCORED)]
    entropy = [ENTROPY] if ENTROPY in records else []
    if not names and not entropy:
        return References()
    if not _is_of_their_kind(records):
        theirs = records.names.get("loss", "loss")
        return References(told=(f"entropy and baselines are of the validation loss, not {theirs}",))
    if records.loss_kind not in NATS_PER_TOKEN:
        entropy = []  # of every token, in nats
    ordered = [f"{BASELINE}{name}" for name in BASELINES if f"{BASELINE}{name}" in names]
    ordered += [name for name in names if name not in ordered]
    told, lines = [], []
    for name in (*ordered, *entropy):
        values = _values(records, name)
        if len(values) > 1:
            ends = f"{min(values):.4g} to {max(values):.4g}"
            told.append(f"no reference line: the runs have {len(values)} values of {name} ({ends})")
        elif line := _reference(records, name, values):
            lines.append(line)
    return References(lines=tuple(lines), told=(*told, *_how_counted(records, lines)))


def _is_of_their_kind(records: Records) -> bool:
    """Whether the losses are the column that baselines and entropy are of."""
    theirs = records.names.get("loss", "loss")
    is_stated = "loss_kind" in records or records.loss_kind in NATS_PER_TOKEN
    return canonical_name(theirs) == "loss" and is_stated and records.reading.loss_unit is None


def _values(records: Records, name: str) -> list[float]:
    """The distinct numbers of a column."""
    if name not in records or not records.table[name].notna().any():
        return []
    values = records.column(name)
    return [*{f"{value:.9g}": float(value) for value in values[np.isfinite(values)]}.values()]


def _reference(records: Records, name: str, values: Sequence[float]) -> Reference | None:
    if name == ENTROPY:
        about = "no model of these data lies below"
        return Reference(name=ENTROPY, about=about, loss=values[0]) if values else None
    short = name.removeprefix(BASELINE)
    shown, about = short.replace("_", " "), BASELINES.get(short, "")
    if values:
        return Reference(name=shown, about=about, loss=values[0])
    unseen, never, scored = (
        int(max(_values(records, column), default=0))
        for column in (f"{name}{UNSEEN}", f"{name}{NEVER}", SCORED)
    )
    found = lacking(unseen, scored, never)
    return Reference(name=shown, about=about, loss=None, lacking=found) if found else None


def _how_counted(records: Records, lines: Sequence[Reference]) -> list[str]:
    """How much was counted and scored, where the table says."""
    sizes: Mapping[str, list[float]] = {
        column: _values(records, column) for column in (COUNTED, SCORED)
    }
    if not any(len(found) == 1 for found in sizes.values()) or not lines:
        return []
    (seen, *_), (scored, *_) = (sizes[column] or [0.0] for column in (COUNTED, SCORED))
    return [
        f"baselines: counted in {counted(int(seen), 'training token')}, scored on "
        f"{counted(int(scored), 'validation token')}"
    ]
