"""Broken tables through every verb: numbers that a check by hand confirms, or one line.

Each table is a ladder of exact losses E + A N^-alpha + B D^-beta, written in a spelling of its own
and then damaged in one to three ways. Its verbs must end with exit code 0, and a floor, exponents
and forecast within `TOLERANCE` of the law that made it wherever nothing but the spelling was
changed, or with code 2 and one line. A traceback, or a warning of a library, is a fault.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.verb import run_verb

TOLERANCE = 0.02
TRUTH = {"E": 1.7, "alpha": 0.34, "beta": 0.28}
VERBS = ("fit", "forecast", "allocate", "backtest", "report")


@dataclass(frozen=True)
class BrokenTable:
    """The text of a table and whether its numbers must still be those of the law."""

    text: str
    must_answer: bool
    damage: tuple[str, ...]


def ladder(rng: np.random.Generator) -> pd.DataFrame:
    """Twenty runs of exact losses, five sizes at four numbers of tokens each."""
    n = np.repeat(np.round(np.geomspace(1e7, 1e9, 5), -3), 4)
    d = np.round(n * np.tile([5, 15, 45, 135], 5))
    loss = TRUTH["E"] + 400 / n ** TRUTH["alpha"] + 410 / d ** TRUTH["beta"]
    table = pd.DataFrame({"params": n, "tokens": d, "loss": loss.round(6)})
    return table.sample(frac=1, random_state=int(rng.integers(1 << 30)))


def spelt(table: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, str, bool]:
    """The table in somebody's spelling, its separator, and whether a comma is its decimal point."""
    names = {
        "params": ("N", "n_params", "model.params", "Parameters", "config.nParams"),
        "tokens": ("D", "tokens_seen", "train tokens", "data.tokens", "num_tokens"),
        "loss": ("val_loss", "L", "eval/loss", "summary.valLoss", "Loss (nats)"),
    }
    chosen = {ours: str(rng.choice(theirs)) for ours, theirs in names.items()}
    separator = str(rng.choice([",", ";", "\t", "|"]))
    decimal = separator != "," and bool(rng.integers(2))
    text = table.map(lambda value: repr(float(value)))
    form = int(rng.integers(4))
    if form == 1:
        text["params"] = [f"{v / 1e6:.10g}M" for v in table["params"]]
    elif form == 2:
        text["tokens"] = [f"{v:,.0f}" for v in table["tokens"]]
        decimal = False
    elif form == 3:
        text["tokens"] = [f"{v / 1e9:.12g}" for v in table["tokens"]]
        chosen["tokens"] = "tokens (B)"
    if decimal:
        text = text.map(lambda cell: cell.replace(".", ","))
    return text.rename(columns=chosen), separator, decimal


HARMLESS = ("status", "note", "copy", "blank", "bad cell", "long row", "comment", "nothing")
HARMFUL = (
    *(
        "rising",
        "equal",
        "negative",
        "huge",
        "tiny",
        "booleans",
        "text loss",
        "one size",
        "no loss",
    ),
    *("nul", "twice", "half in bits", "noise", "cut", "few", "infinite", "control"),
)


def damaged(text: pd.DataFrame, how: str, rng: np.random.Generator) -> pd.DataFrame:
    """The table after one kind of damage."""
    text, loss = text.reset_index(drop=True), text.columns[2]
    row = int(rng.integers(len(text)))
    if how == "status":
        words = rng.choice(["FINISHED", "done", "Completed"], size=len(text))
        return text.assign(State=words)
    if how == "note":
        return text.assign(about='say "x"', width="d768", extra=[[1]] * len(text))
    if how == "copy":
        return pd.concat([text, text.iloc[[row]]])
    if how in ("blank", "bad cell"):
        text.iloc[row, int(rng.integers(3))] = "" if how == "blank" else "see notes"
    losses = {
        "rising": [f"{2 + i / 9}" for i in range(len(text))],
        "equal": ["3.0"] * len(text),
        "negative": ["-1.5"] * len(text),
        "huge": ["1e308", *text[loss][1:]],
        "tiny": ["1e-320", *text[loss][1:]],
        "booleans": ["True", "False"] * (len(text) // 2 + 1),
        "text loss": ["good"] * len(text),
        "noise": [f"{value:.4f}" for value in rng.uniform(2, 4, len(text))],
        "infinite": ["inf", *text[loss][1:]],
        "control": ["\x1b[31m3", *text[loss][1:]],
    }
    if how in losses:
        return text.assign(**{loss: losses[how][: len(text)]})
    if how == "one size":
        return text.assign(**{text.columns[0]: text.iloc[0, 0]})
    if how == "no loss":
        return text.drop(columns=loss)
    if how == "twice":
        return text.assign(val_loss=text[loss], loss="3.5")
    if how == "few":
        return text.head(3)
    if how == "half in bits":
        halves = [f"{float(v.replace(',', '.')) * (1 + 0.44 * (i % 2))}" for i, v in _cells(text)]
        return text.assign(**{loss: halves})
    return text


def _cells(text: pd.DataFrame) -> list[tuple[int, str]]:
    return list(
        enumerate(str(cell) if str(cell)[:1].isdigit() else "3" for cell in text.iloc[:, 2])
    )


def broken_table(seed: int) -> BrokenTable:
    """The table of one seed: every other one is only spelt oddly, the rest is damaged."""
    rng = np.random.default_rng(seed)
    text, separator, decimal = spelt(ladder(rng), rng)
    is_harmless = bool(seed % 2)
    kinds = HARMLESS if is_harmless else HARMFUL
    how = tuple(map(str, rng.choice(kinds, size=int(rng.integers(1, 3)), replace=False)))
    how = tuple(sorted(how, key=lambda kind: kind == "no loss"))  # there is nothing left after it
    for kind in how:
        text = damaged(text, kind, rng)
    lines = text.to_csv(index=False, sep=separator).splitlines()
    if "long row" in how:
        lines.append(separator.join(["1"] * (len(text.columns) + 3)))
    if "comment" in how:
        lines.insert(0, "# written by a script")
    whole = "\n".join(lines) + "\n"
    if "nul" in how:
        whole = whole[: len(whole) // 2] + "\x00" * 40 + whole[len(whole) // 2 :]
    if "cut" in how:
        whole = whole[: int(len(whole) * rng.uniform(0.05, 0.9))]
    return BrokenTable(whole, is_harmless and not decimal, how)


def fault_of(table: BrokenTable, verb: str, path: Path) -> str:
    """What is wrong with a verb's answer to a table; nothing where it is right or refused."""
    asked = {
        "fit": ("--law", "chinchilla", "--bootstrap", "0", "--json"),
        "forecast": ("--params", "2B", "--tokens", "40B", "--json"),
        "allocate": ("--flops", "1e20", "--json"),
        "backtest": ("--json",),
        "report": ("-o", str(path.with_suffix(".html"))),
    }
    ending = run_verb(verb, str(path), *asked[verb])
    if ending.fault or not table.must_answer:
        return ending.fault
    if ending.code == 2:
        return f"refused: {ending.refusals[0][:160]}"
    return _wrong_number(verb, ending.out)


def _wrong_number(verb: str, out: str) -> str:
    if verb == "fit":
        constants = json.loads(out)["constants"]
        found = {name: constants[name]["estimate"] for name in TRUTH}
        off = {k: v for k, v in found.items() if v is None or abs(v / TRUTH[k] - 1) > TOLERANCE}
        return f"constants {off}" if off else ""
    if verb == "forecast":
        expected = TRUTH["E"] + 400 / 2e9 ** TRUTH["alpha"] + 410 / 4e10 ** TRUTH["beta"]
        median = json.loads(out)["targets"][0]["median"]
        return "" if median and abs(median / expected - 1) < TOLERANCE else f"forecast {median}"
    return ""


def trials(count: int, seed: int, folder: Path, verbs: tuple[str, ...] = VERBS) -> Iterator[Trial]:
    """So many verbs on broken tables, each table through all `verbs`."""
    for number in range(seed, seed + -(-count // len(verbs))):
        table = broken_table(number)
        path = folder / f"table{number}.csv"
        path.write_text(table.text, encoding="utf-8")
        for verb in verbs:
            how = ", ".join(table.damage) or "only spelt in its own way"
            yield Trial(f"{verb}, table {number} ({how})", fault_of(table, verb, path))


FAULTS = FaultClass(
    "tables",
    "numbers that a check by hand confirms, or exit code 2 and one line",
    sample=100,
    full=3000,
    trials=trials,
)
