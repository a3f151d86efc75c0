"""The table of one seed: a shape, a spelling, up to two kinds of damage, and a file."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.faults.broken_tables.damage import (
    CELLS,
    ENDS_WELL,
    ONE_CELL,
    REFUSED,
    RIGHT,
    RIGHT_OR_REFUSED,
)
from benchmarks.faults.broken_tables.files import BYTES, FORMS
from benchmarks.faults.broken_tables.ladder import CHOICES, SHAPES, Truth, ladder, truth_of
from benchmarks.faults.broken_tables.spellings import spelt

FOLDER = "a folder"


@dataclass(frozen=True)
class BrokenTable:
    """A file, what its verbs must say of it, and how it came about."""

    content: bytes
    ending: str
    truth: Truth
    owed: str
    flags: tuple[str, ...]  # what must be said for an answer
    asks: str  # the words of the refusal without them; empty where nothing must be said
    damage: tuple[str, ...]

    def written(self, folder: Path, name: str) -> Path:
        """The file in a folder; a folder in its place where that is the damage."""
        path = folder / f"{name}{self.ending}"
        if FOLDER in self.damage:
            path.mkdir()
        else:
            path.write_bytes(self.content)
        return path


def broken_table(seed: int) -> BrokenTable:
    """The table of one seed: every other one is only spelt oddly, the rest is damaged too."""
    rng = np.random.default_rng(seed)
    truth = truth_of(rng)
    kind = str(rng.choice(list(SHAPES)))
    shape = SHAPES[kind](ladder(truth), rng)
    table = shape.table.sample(frac=1, random_state=int(rng.integers(1 << 30)))
    written = spelt(table, shape.loss, rng)
    text, loss = written.text, written.loss
    cells = [] if seed % 2 else list(rng.choice(list(CELLS), int(rng.integers(1, 3)), False))
    cells = sorted(map(str, cells), key=list(CELLS).index)
    for damage in cells:
        text = CELLS[damage].apply(text, loss, rng)
    form = str(rng.choice(["csv", *FORMS]))
    if not text.columns.is_unique or (form.startswith("xlsx") and find_spec("openpyxl") is None):
        form = "csv"
    ending, write = FORMS[form]
    content = write(replace(written, text=text))
    harm = str(rng.choice(list(BYTES))) if not seed % 2 and rng.random() < 0.2 else "no damage"
    content = BYTES[harm][1](content, rng)
    owed = [*(CELLS[damage].owed for damage in cells), BYTES[harm][0]]
    if kind in CHOICES and set(cells) & set(ONE_CELL):
        owed.append(ENDS_WELL)  # the best of its size may be the one that is damaged
    without_separator = written.decimal_comma and not ending.startswith((".csv", ".txt", ".md"))
    if without_separator or (form == "csv in Latin-1" and b"?" in content):
        owed.append(RIGHT_OR_REFUSED)
    how = (kind, written.how, form, *cells, *([harm] if harm != "no damage" else []))
    return BrokenTable(content, ending, truth, _least(owed), shape.flags, shape.asks, how)


def _least(owed: list[str]) -> str:
    """What is still owed after several kinds of damage."""
    for one in (ENDS_WELL, REFUSED, RIGHT_OR_REFUSED):
        if one in owed:
            return one
    return RIGHT
