"""Damage to a table of text or to its bytes, sorted by what is owed afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

#: What is owed to a table.
RIGHT, RIGHT_OR_REFUSED, ENDS_WELL, REFUSED = (
    "the law's numbers",
    "the law's numbers or a refusal",
    "an ending by the rule",
    "a refusal",
)
BLANKS = ("", "n/a", "-", "null", "#N/A", "NaN", "None", "NA", "tbd", "\u2014", "#VALUE!", "#REF!")
WORDS = (
    "see notes",
    "[]",
    "{'a': 1}",
    "[1, 2, 3]",
    "1.2.3",
    "--3",
    "2024-01-02",
    "True",
    "$",
    "\u20ac",
)
LONG_INTEGER = "9" * 5001


@dataclass(frozen=True)
class Kind:
    """One kind of damage, and the most that is owed after it."""

    owed: str
    apply: Callable[[pd.DataFrame, str, np.random.Generator], pd.DataFrame]


def _cell(text: pd.DataFrame, word: str, rng: np.random.Generator, column: int) -> pd.DataFrame:
    """One cell of one column replaced."""
    text = text.copy()
    text.iloc[int(rng.integers(len(text))), column] = word
    return text


def _numbers(text: pd.DataFrame) -> list[int]:
    """Positions of the columns of numbers, by their first cells, but for steps, which may be 0."""
    first = [str(cell) for cell in text.iloc[0]]
    return [i for i, n in enumerate(text.columns) if n != "step" and first[i][:1].isdigit()]


def _somewhere(text: pd.DataFrame, word: str, rng: np.random.Generator) -> pd.DataFrame:
    return _cell(text, word, rng, int(rng.choice(_numbers(text) or [0])))


def _blank(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return _somewhere(text, str(rng.choice(BLANKS)), rng)


def _word(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return _somewhere(text, str(rng.choice(WORDS)), rng)


def _note(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    words = ["two words", 'say "x"', "a, b; c", "x" * 20]
    return text.assign(about=[words[i % 4] for i in range(len(text))], arch="d768")


def _copy(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return pd.concat([text, text.iloc[[int(rng.integers(len(text)))]]])


def _totals(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    """A last row that says nothing of a run."""
    row = dict.fromkeys(text.columns, "")
    row[text.columns[0]] = str(rng.choice(["Total", "mean", "source: internal", "average"]))
    return pd.concat([text, pd.DataFrame([row])])


def _blank_rows(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    empty = pd.DataFrame([dict.fromkeys(text.columns, "")])
    return pd.concat([text.iloc[:7], empty, text.iloc[7:], empty, empty])


def _header_twice(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    again = pd.DataFrame([{name: name for name in text.columns}])
    return pd.concat([text.iloc[:9], again, text.iloc[9:]])


def _many_columns(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    more = pd.DataFrame("0.5", index=text.index, columns=[f"probe{i}" for i in range(1500)])
    return pd.concat([text, more], axis=1)


def _dates(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    days = [f"2026-03-{1 + i % 28:02d}T10:00:00Z" for i in range(len(text))]
    cost = [f"${1000 + i},{i % 10}00.50" for i in range(len(text))]
    return text.assign(
        created_at=days, cost_usd=cost, mfu=[f"{30 + i % 9}%" for i in range(len(text))]
    )


def _index(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    """What pandas writes where index=False is forgotten."""
    text = text.copy()
    text.insert(0, "Unnamed: 0", [str(i) for i in range(len(text))])
    return text


def _long_cell(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return text.assign(log=["y" * 50_000] + ["short"] * (len(text) - 1), **{"z" * 5000: "1"})


def _control(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    text = text.assign(**{"no\x1b[31mte\x07": "\x1b]0;x\x07"})
    return _somewhere(text, "\x1b[2J3", rng)


def _impossible(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    words = ("0", "-1", "inf", "-inf", "1e308", "1e-320", "1e400", LONG_INTEGER, "-0")
    return _somewhere(text, str(rng.choice(words)), rng)


def _units_row(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    row = pd.DataFrame([{name: str(rng.choice(["nats", "M", "B", "-"])) for name in text.columns}])
    return pd.concat([row, text])


def _twin(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    """Another column of the loss's name, under which a writer may put anything."""
    other = pd.Series(["3.5"] * len(text), index=text.index, name=loss)
    return pd.concat([text, other], axis=1)


def _all_losses(word: str) -> Callable[[pd.DataFrame, str, np.random.Generator], pd.DataFrame]:
    return lambda text, loss, rng: text.assign(**{loss: word})


def _rising(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return text.assign(**{loss: [f"{2 + i / 9}" for i in range(len(text))]})


def _noise(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return text.assign(**{loss: [f"{value:.4f}" for value in rng.uniform(2, 4, len(text))]})


def _half_in_bits(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    def value(cell: str) -> float:
        digits = "".join(c for c in cell.replace(",", ".") if c in "0123456789.")
        return float(digits) if digits.count(".") == 1 and len(digits) < 12 else 3.0

    halves = [f"{value(cell) * (1 + 0.44 * (i % 2))}" for i, cell in enumerate(text[loss])]
    return text.assign(**{loss: halves})


def _booleans(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return text.assign(**{loss: ["True", "False"] * (len(text) // 2) + ["True"] * (len(text) % 2)})


def _one_size(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return text.assign(**{text.columns[0]: text.iloc[0, 0]})


def _no_loss(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    return text.drop(columns=[name for name in text if name == loss or "loss" in name.lower()])


def _head(rows: int) -> Callable[[pd.DataFrame, str, np.random.Generator], pd.DataFrame]:
    return lambda text, loss, rng: text.head(rows)


def _turned(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    """Rows for columns: each run is a column."""
    return (
        text.reset_index(drop=True)
        .T.reset_index()
        .set_axis(["run", *(f"run{i}" for i in range(len(text)))], axis=1)
    )


def _shuffled_cells(text: pd.DataFrame, loss: str, rng: np.random.Generator) -> pd.DataFrame:
    """Some rows shifted by one column, as a comma too many does."""
    text = text.copy()
    for row in rng.integers(len(text), size=3) if len(text) else ():
        text.iloc[int(row)] = np.roll(text.iloc[int(row)].to_numpy(), 1)
    return text


CELLS = {
    "a blank cell": Kind(RIGHT, _blank),
    "a word in a cell": Kind(RIGHT, _word),
    "a column of notes": Kind(RIGHT, _note),
    "a copied row": Kind(RIGHT, _copy),
    "a row of totals": Kind(RIGHT, _totals),
    "blank rows": Kind(RIGHT, _blank_rows),
    "the header twice": Kind(RIGHT, _header_twice),
    "1,500 columns": Kind(RIGHT, _many_columns),
    "dates and costs": Kind(RIGHT, _dates),
    "an index": Kind(RIGHT, _index),
    "a long cell": Kind(RIGHT, _long_cell),
    "control characters": Kind(RIGHT, _control),
    "an impossible cell": Kind(RIGHT, _impossible),
    "a row of units": Kind(RIGHT_OR_REFUSED, _units_row),
    "two columns of one name": Kind(REFUSED, _twin),
    "rising losses": Kind(ENDS_WELL, _rising),
    "equal losses": Kind(ENDS_WELL, _all_losses("3.0")),
    "negative losses": Kind(REFUSED, _all_losses("-1.5")),
    "losses of 1e-320": Kind(REFUSED, _all_losses("1e-320")),
    "losses of 1e308": Kind(REFUSED, _all_losses("1e308")),
    "words for losses": Kind(REFUSED, _all_losses("good")),
    "booleans for losses": Kind(REFUSED, _booleans),
    "noise": Kind(ENDS_WELL, _noise),
    "half in bits": Kind(ENDS_WELL, _half_in_bits),
    "one size": Kind(ENDS_WELL, _one_size),
    "no loss": Kind(REFUSED, _no_loss),
    "one row": Kind(ENDS_WELL, _head(1)),
    "three rows": Kind(ENDS_WELL, _head(3)),
    "only a header": Kind(REFUSED, _head(0)),
    "turned on its side": Kind(RIGHT_OR_REFUSED, _turned),
    "shifted rows": Kind(ENDS_WELL, _shuffled_cells),
}
#: Damage after which one row counts no more.
ONE_CELL = ("a blank cell", "a word in a cell", "control characters", "an impossible cell")
