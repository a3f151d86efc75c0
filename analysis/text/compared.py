"""Two arms beside each other, as text."""

from collections.abc import Mapping, Sequence

from analysis.decisions.two_recipes.compared import ArmComparison, ComparedTarget, Verdict
from analysis.intervals import Interval, telling_digits
from analysis.text.numbers import digits_apart
from scaling.display import Block, Section, Table, answer_alone, as_text
from scaling.limits import texts
from scaling.tables.notes import printable
from scaling.words import counted

MULTIPLIER = (
    "the multiplier is how much more compute A needs to do as well as B: above 1, B is better"
)


def comparison_text(
    found: ArmComparison, verdict: Verdict | None = None, *, alone: bool = False
) -> str:
    """The comparison as text, with a promotion decision where one is asked for; ``alone``: without
    what explains it."""
    blocks = comparison_blocks(found)
    if verdict is not None:
        blocks.insert(1, verdict_line(verdict))
    return as_text(answer_alone(blocks) if alone else blocks)


def verdict_line(verdict: Verdict) -> str:
    """The decision, and what it rests on."""
    return f"decision: {verdict.decision} ({verdict.because})"


def comparison_blocks(found: ArmComparison) -> list[Block]:
    """B against A at each target, then by rung, then how surely they differ."""
    levels = list(found.rungs[0].intervals)
    head = ["budget"]
    for name in ("multiplier", "in wall time", "loss B - A"):
        head += [name, *(f"{100 * level:.10g}%" for level in levels)]
    is_timed = any(target.wall_multiplier is not None for target in found.targets)
    rows = [_target_cells(found, target, levels) for target in found.targets]
    kept = [i for i in range(len(head) + 2) if is_timed or not _is_of_wall(i, len(levels))]
    head += ["B better", "B's run wins"]
    rungs = [
        [f"{rung.train_flops:.3g}", str(rung.cells), *spread(rung.multiplier, rung.intervals)]
        for rung in found.rungs
    ]
    by_level = [f"{100 * level:.10g}%" for level in levels]
    return [
        f"A: {printable(found.a, most=4000)}, B: {printable(found.b, most=4000)}",
        "",
        Table([head[i] for i in kept], [[row[i] for i in kept] for row in rows]),
        "",
        Table(["rung", "cells", "multiplier", *by_level], rungs),
        MULTIPLIER,
        "",
        *comparison_lines(found),
        Section("limits", [*_unsupported(found), *texts(found.limits)]),
    ]


def comparison_lines(found: ArmComparison) -> list[str]:
    """What the cells say together, in sentences."""
    level = f"{100 * found.confidence_level:g}%"
    drift = "{} {}".format(*spread(found.drift, found.drift_intervals))
    how = "differ" if found.significant else "do not differ"
    lines = [
        f"paired by {' and '.join(found.paired_by)}: {counted(len(found.cells), 'cell')}, which "
        f"{how} by more than runs scatter, at {level} (p {found.p_value:.2g})",
        f"the multiplier changes by a factor of {drift} with ten times the compute",
    ]
    if found.crossing is not None and found.crossing_interval is not None:
        low, high = found.crossing_interval
        lines.append(
            f"the arms cross at {found.crossing:.2g} FLOP, {level} interval [{low:.1g}, {high:.1g}]"
        )
    return lines


def _is_of_wall(column: int, levels: int) -> bool:
    """Whether a column of the table is of wall time."""
    return 1 + (1 + levels) <= column < 1 + 2 * (1 + levels)


def _target_cells(
    found: ArmComparison, target: ComparedTarget, levels: Sequence[float]
) -> list[str]:
    digits = digits_apart(each.train_flops for each in found.targets)
    cells = [f"{target.train_flops:.{digits}g}"]
    for name in ("multiplier", "wall_multiplier", "loss_difference"):
        value, ends = getattr(target, name), getattr(target, f"{name}_intervals")
        unknown = "unsupported" if target.limits else "-"
        cells += [unknown, *["-"] * len(levels)] if value is None else spread(value, ends)
    for chance in (target.probability_b_is_better, target.probability_b_run_wins):
        cells.append("-" if chance is None else chance_in_words(chance))
    return cells


def spread(value: float, intervals: Mapping[float, Interval]) -> list[str]:
    """A number and its interval at each level, in as many digits as tell the ends apart."""
    digits = telling_digits(value, intervals.values(), 3)
    told = [f"[{low:.{digits}g}, {high:.{digits}g}]" for low, high in intervals.values()]
    return [f"{value:.{digits}g}", *told]


def chance_in_words(chance: float) -> str:
    """A probability in percent; no draw is ever certain."""
    return "<1%" if chance < 0.01 else ">99%" if chance > 0.99 else f"{100 * chance:.0f}%"


def _unsupported(found: ArmComparison) -> list[str]:
    return [
        f"unsupported: {target.train_flops:.3g} FLOP, {text}"
        for target in found.targets
        for text in texts(target.limits)
    ]
