"""Ten ways to make a sealed forecast look better than it was, each in several variations.

A store with twelve runs is copied, a forecast of a thirteenth is sealed in it, the run lands, and
somebody cheats in between or afterwards, with the rights of the store's owner. `scaling verify`
must then notice (a refusal, or a verdict that does not count, or a gap in the chain) or, where a
lone owner cannot be caught, say what is not proved. Honest seals must count without complaint.
"""

import contextlib
import json
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.faults.cheats import with_contents, with_time
from benchmarks.faults.cheats.case import VARIATIONS, Case, Ladder, owned
from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.verb import Ending

CHEATS = (with_time, with_contents)  # each enters its own among VARIATIONS
NOTICED = ("altered", "sealed late", "seal missing", "other evaluation")
SAID = ("not proved", "time unknown")
HONEST = (*SAID, "waiting")


def limits_of(ending: Ending) -> tuple[dict[str, list[str]], list[bool]]:
    """What limits the standings that `verify --json` printed, texts by code, and what counts."""
    printed = json.loads(ending.out)
    standings: list[Mapping[str, Any]] = printed if isinstance(printed, list) else [printed]
    verdicts = [verdict for standing in standings for verdict in standing["verdicts"]]
    found: dict[str, list[str]] = {}
    for one in (*standings, *verdicts):
        for limit in one["limits"]:
            found.setdefault(limit["code"], []).append(limit["text"])
    return found, [verdict["counted"] for verdict in verdicts]


def wrong_of(ending: Ending, expected: str) -> str:
    """How an ending differs from what is expected of it: noticed, honest, or said and how."""
    if ending.fault:
        return ending.fault
    if ending.code == 2:
        return "" if expected == "noticed" else f"refused: {ending.refusals[0][:200]}"
    limits, counts = limits_of(ending)
    codes = set(limits)
    if expected == "honest":
        complaints = codes - set(HONEST)
        return "" if counts and all(counts) and not complaints else f"complains: {complaints}"
    if expected == "noticed":
        is_gap = "seal missing" in codes
        is_told = bool(codes & set(NOTICED)) and (is_gap or not any(counts))
        return "" if is_told else f"not noticed: {sorted(codes)}, counted {counts}"
    said = "; ".join(text for code in SAID for text in limits.get(code, ()))
    words = expected.removeprefix("said: ")
    return "" if words in said else f"not said: {words}, but {said[:200]}"


def trials(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """So many cheats and honest seals, each variation in turn."""
    ladder = Ladder(folder / "ladder")
    for number in range(seed, seed + count):
        try_it, expected = VARIATIONS[number % len(VARIATIONS)]
        home = folder / f"case{number}"
        with owned_case(ladder, home, number) as case:
            wrong = wrong_of(try_it(case), expected)
        shutil.rmtree(home)
        cause = try_it.__name__.strip("_").replace("_", " ")
        yield Trial(f"{cause} ({expected}), seed {number}", wrong)


@contextlib.contextmanager
def owned_case(ladder: Ladder, home: Path, number: int) -> Iterator[Case]:
    """A case of its own store, in force."""
    case = Case(ladder, home, random.Random(number))
    with owned(home):
        yield case


FAULTS = FaultClass(
    "seals",
    "a cheat on a sealed forecast is noticed, or said to be unprovable; honest seals count",
    sample=60,
    full=600,
    trials=trials,
)
