"""Rows that take no part in an answer, and what that makes of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from scaling.limits import Limit, LimitCode
from scaling.words import counted


@dataclass(frozen=True)
class DroppedRun:
    """A row that does not take part, and why."""

    row: str
    reason: str
    code: LimitCode = LimitCode.LEFT_OUT
    value: str = ""
    """What the row holds where that is the reason, as people read it."""


def rows_left_out(
    names: Sequence[str], reason: str, code: LimitCode, values: Iterable[float] = ()
) -> tuple[DroppedRun, ...]:
    """Rows of these names that one reason leaves out, each with its value where that is it."""
    told = [f"{value:g}" for value in values] or [""] * len(names)
    return tuple(
        DroppedRun(name, reason, code, value) for name, value in zip(names, told, strict=True)
    )


def limits_of(dropped: Collection[DroppedRun], codes: Collection[LimitCode]) -> tuple[Limit, ...]:
    """That rows were left out, and why: for reasons of these codes, or for any; and where runs are
    among them that were not measured to their end, that the answer is provisional."""
    told = _left_out(
        [one for one in dropped if not codes or one.code in (*codes, LimitCode.PROVISIONAL)]
    )
    waiting = Counter(one.reason for one in dropped if one.code is LimitCode.PROVISIONAL)
    if not waiting:
        return told
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(waiting.items()))
    runs = counted(sum(waiting.values()), "run is", "runs are")
    text = f"provisional: {runs} not measured to the end ({states})"
    return (*told, Limit(LimitCode.PROVISIONAL, text))


def _left_out(dropped: Collection[DroppedRun]) -> tuple[Limit, ...]:
    reasons = Counter(one.reason for one in dropped)
    if not reasons:
        return ()
    first: dict[str, str] = {}
    for one in dropped:
        if one.value:
            first.setdefault(one.reason, f", first {one.value} in {one.row}")
    text = ", ".join(f"{why} ({count:,}{first.get(why, '')})" for why, count in reasons.items())
    return (Limit(LimitCode.LEFT_OUT, f"left out: {text}"),)
