"""Tables that cannot answer, asked everything: what is given must be right, the rest refused.

Each kind of table (`benchmarks.faults.unanswerable`) is asked for constants, forecasts, a budget
for a loss, splits and a backtest. It says what of that its rows can carry: a question of which they
carry nothing must be refused, or be null with a reason. A number that is given where one
may be is right when the truth lies within three times its own 90% interval, seen from the estimate.
No number is nan or infinite, no interval without width, no estimate outside its own. The class
"clean" is the mirror: ladders with 1% noise, where a refusal is the fault.

    python -m benchmarks.faults.honesty --draws 8    # the rates, kind by kind
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.unanswerable import (
    CLEAN,
    KINDS,
    QUESTIONS,
    Kind,
    Table,
    drawn,
    largest_budget,
)
from benchmarks.faults.verb import Ending, run_verb

FACTORS = (3.0, 10.0, 1e11)  # times the largest budget
WITHIN = 3.0  # times the half of an interval between an estimate and the truth


def words_of(question: str, path: Path, rows: pd.DataFrame) -> tuple[str, ...]:
    """The verb that asks a question of a table."""
    budgets = tuple(f"{factor * largest_budget(rows):.12g}" for factor in FACTORS)
    loss = pd.to_numeric(rows.iloc[:, -1 if "loss" not in rows else list(rows).index("loss")])
    usual = float(np.median(loss))
    source = str(path)
    return {
        "fit": ("fit", source, "--bootstrap", "100", "--json"),
        "surface": ("fit", source, "--law", "chinchilla", "--bootstrap", "100", "--json"),
        "forecast": ("forecast", source, "--flops", *budgets, "--json"),
        "budget": ("forecast", source, "--target-loss", f"{0.97 * usual:.6g}", "--json"),
        "allocate": ("allocate", source, "--flops", *budgets, "--json"),
        "backtest": ("backtest", source, "--json"),
    }[question]


def fault_of(question: str, table: Table, ending: Ending) -> str:
    """What is wrong with an ending; nothing where it is refused, null, or right."""
    if ending.fault or ending.code == 2:
        return ending.fault or ("refused" if question in table.must else "")
    document = json.loads(ending.out, parse_constant=_no_number)
    return _JUDGES[question](table, document)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} in JSON")


def _judge_fit(table: Table, document: dict[str, Any]) -> str:
    is_law = document["floor_identified"]  # else they are those of a law without a floor
    given = {k: v for k, v in document["constants"].items() if v["estimate"] is not None}
    free = {k: v for k, v in given.items() if k not in document["fixed"]}
    told = "surface" if document["law"] == "chinchilla" else "fit"
    if not free:
        return "refused" if told in table.must else ""
    if told not in table.carries:
        return "constants " + ", ".join(f"{k} {v['estimate']:.4g}" for k, v in free.items())
    for name, value in free.items():
        ends = value["intervals"].get("0.9")
        if not ends:
            continue  # an estimate without an interval says no more than it is
        low, high = ends
        if low is None or high is None or not low < high:
            return f"{name}: interval {low}, {high}"
        if not low <= value["estimate"] <= high:
            return f"{name}: {value['estimate']:.5g} outside [{low:.5g}, {high:.5g}]"
        truth = (table.constants or {}).get(name) if told == "surface" and is_law else None
        if truth and _is_off(value["estimate"], low, high, truth, logs=False):
            return f"{name}: {value['estimate']:.4g} [{low:.4g}, {high:.4g}], truly {truth:.4g}"
    made, kept = document["n_draws"], document["n_draws_converged"]
    if kept < 0.5 * made and any(value["intervals"] for value in free.values()):
        return f"intervals, and {kept} of {made} refits converged"
    return ""


def _is_off(value: float, low: float, high: float, truth: float, *, logs: bool = True) -> bool:
    if logs:
        value, low, high, truth = (math.log(max(v, 1e-300)) for v in (value, low, high, truth))
    half = (high - value) if truth > value else (value - low)
    return abs(truth - value) > WITHIN * half + 1e-9


def _judge_forecast(table: Table, document: dict[str, Any]) -> str:
    for factor, target in zip(FACTORS, document["targets"], strict=True):
        median, (low, high) = target["median"], target["intervals"]["0.9"]
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            return f"{factor:g} times: interval {low}, {high}"
        if "params" in target["at"] and (median is None or "allocate" not in table.carries):
            return f"{factor:g} times: split as N {target['at']['params']:.4g}"
        if median is None:
            if "forecast" in table.must and factor == FACTORS[0]:
                return f"refused: {target['limits'][0]['text']}"
            continue
        shown = f"{factor:g} times: {median:.4g} [{low:.4g}, {high:.4g}]"
        if "forecast" not in table.carries or table.loss_at is None:
            return shown
        truth = table.loss_at(target["at"]["train_flops"])
        if _is_off(median, low, high, truth):
            return f"{shown}, truly {truth:.4g}"
        if not low < median < high:
            return f"{shown}: outside its interval, or no width"
        if factor == FACTORS[-1]:
            return f"{shown}: eleven decades out"
    return ""


def _judge_budget(table: Table, document: list[dict[str, Any]]) -> str:
    (answer,) = document
    median, (low, high) = answer["median"], answer["ranges"]["0.9"]
    if median is None or not 0 < median < math.inf:
        return ""
    shown = f"budget {median:.4g} [{low}, {high}] for {answer['loss']:.4g}"
    if "budget" not in table.carries or table.loss_at is None:
        return shown
    reached = [table.loss_at(end) for end in (low, high) if end and math.isfinite(end)]
    if len(reached) == 2 and not min(reached) * 0.97 <= answer["loss"] <= max(reached) * 1.03:
        return f"{shown}, where it is truly {reached}"
    return ""


def _judge_splits(table: Table, document: list[dict[str, Any]]) -> str:
    for factor, split in zip(FACTORS, document, strict=True):
        n, (low, high) = split["params"], split["params_range"]["0.9"]
        if n is None:
            if "allocate" in table.must and factor == FACTORS[0]:
                return f"refused: {split['limits'][-1]['text']}"
            continue
        low, high = (v if v is not None else math.nan for v in (low, high))
        shown = f"{factor:g} times: N {n:.4g} [{low:.4g}, {high:.4g}]"
        if "allocate" not in table.carries or table.size_at is None:
            return shown
        if not low < n < high:
            return f"{shown}: outside its interval, or no width"
        if _is_off(n, low, high, table.size_at(split["budget"])):
            return f"{shown}, truly {table.size_at(split['budget']):.4g}"
        if factor == FACTORS[-1]:
            return f"{shown}: eleven decades out"
    return ""


def _judge_backtest(table: Table, document: dict[str, Any]) -> str:
    """A backtest is a measurement and may come out badly; but numbers it has."""
    for run in document["predictions"]:
        if not all(v is None or math.isfinite(v) for v in run.values()):
            return f"prediction {run}"
    return ""


_JUDGES: dict[str, Callable[[Table, Any], str]] = {
    "fit": _judge_fit,
    "surface": _judge_fit,
    "forecast": _judge_forecast,
    "budget": _judge_budget,
    "allocate": _judge_splits,
    "backtest": _judge_backtest,
}


def asked(kinds: dict[str, Kind], name: str, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Each question of one table, and what is wrong with its answer."""
    table = drawn(kinds, name, seed)
    path = folder / f"{name} {seed}.csv".replace(" ", "-")
    table.rows.to_csv(path, index=False)
    for question in QUESTIONS:
        ending = run_verb(*words_of(question, path, table.rows))
        try:
            yield question, fault_of(question, table, ending)
        except ValueError as error:
            yield question, str(error)


def trials_of(kinds: dict[str, Kind]) -> Callable[[int, int, Path], Iterator[Trial]]:
    """What tries these kinds, in turn."""

    def trials(count: int, seed: int, folder: Path) -> Iterator[Trial]:
        for number in range(-(-count // len(QUESTIONS))):
            name, draw = list(kinds)[number % len(kinds)], seed + number // len(kinds)
            for question, wrong in asked(kinds, name, draw, folder):
                yield Trial(f"{question} of {name}, draw {draw}", wrong)

    return trials


FAULTS = (
    FaultClass(
        "honesty",
        "what a table cannot carry is refused or null; what is given is right",
        sample=len(KINDS) * len(QUESTIONS),
        full=20 * len(KINDS) * len(QUESTIONS),
        trials=trials_of(KINDS),
    ),
    FaultClass(
        "clean",
        "a clean ladder with 1% noise is answered",
        sample=4 * len(CLEAN) * len(QUESTIONS),
        full=60 * len(CLEAN) * len(QUESTIONS),
        trials=trials_of(CLEAN),
    ),
)


def main() -> None:
    """Print, for each kind, how many answers to each question were wrong."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=1)
    given = parser.parse_args()
    print(f"{'kind':<18}", *(f"{q:>9}" for q in QUESTIONS), f"of {given.draws} each")
    total: Counter[str] = Counter()
    for kinds in (KINDS, CLEAN):
        for name in kinds:
            if given.kinds and name not in given.kinds:
                continue
            wrong: Counter[str] = Counter()
            examples: list[str] = []
            with tempfile.TemporaryDirectory() as folder:
                for draw in range(given.seed, given.seed + given.draws):
                    for question, fault in asked(kinds, name, draw, Path(folder)):
                        if fault:
                            wrong[question] += 1
                            examples.append(f"    {question} {draw}: {fault[:150]}")
            total += Counter({("clean" if kinds is CLEAN else "wrong"): sum(wrong.values())})
            print(f"{name:<18}", *(f"{wrong[q] or '.':>9}" for q in QUESTIONS), flush=True)
            chosen = {line.split()[0]: line for line in examples}
            shown = [e for e in chosen.values()] if given.examples == 1 else examples
            print("\n".join(shown), end="\n" if shown else "", flush=True)
    print(
        dict(total),
        "of",
        given.draws * len(KINDS) * len(QUESTIONS),
        "and",
        given.draws * len(CLEAN) * len(QUESTIONS),
    )


if __name__ == "__main__":
    main()
