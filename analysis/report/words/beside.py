"""What stands beside the forecast, in sentences: open cells, another recipe, further runs."""

from collections.abc import Iterator

from analysis.decisions.further_runs.next_runs import NextRuns
from analysis.decisions.two_recipes.compared import ArmComparison
from analysis.intervals import interval_at, telling_digits
from analysis.report.findings import Findings
from analysis.text.compared import chance_in_words
from analysis.text.next_runs import provisional_line, width_in_words
from analysis.text.numbers import flops_in_words, in_print
from scaling.tables.notes import printable
from scaling.words import counted


def told_beside(findings: Findings) -> Iterator[tuple[str, str]]:
    """Heading and sentences of each."""
    if findings.provisional:
        yield "Provisional", f"{in_print(provisional_line(findings.provisional))}."
    if findings.comparison is not None:
        yield "Which recipe", _compared(findings.comparison)
    if findings.proposal is not None:
        yield "What to run next", _proposed(findings.proposal)


def _compared(found: ArmComparison) -> str:
    verdict, target = found.verdict(), found.targets[-1]
    other = printable(found.b, most=60)
    decided = f"Decision: {verdict.decision} ({verdict.because})."
    if target.multiplier is None:
        return f"{other} against this one: {decided}"
    low, high = interval_at(target.multiplier_intervals, found.confidence_level)
    digits = telling_digits(target.multiplier, [(low, high)], 3)
    told = [f"{value:.{digits}g}" for value in (target.multiplier, low, high)]
    chance = target.probability_b_is_better
    surely = "" if chance is None else f"; it is better with a chance of {chance_in_words(chance)}"
    return (
        f"To do as well as {other} at {flops_in_words(target.train_flops, 3)} FLOP this recipe "
        f"needs {told[0]} times its compute ({100 * found.confidence_level:g}% interval "
        f"{told[1]} to {told[2]}){surely}. {decided}"
    )


def _proposed(found: NextRuns) -> str:
    target = flops_in_words(found.target_flops, 3)
    if found.after is None:
        return f"{in_print(found.limits[-1].text)}."
    runs = counted(sum(run.times for run in found.runs), "run")
    return (
        f"{runs} for {flops_in_words(found.spent, 3)} FLOP would narrow the 90% interval at "
        f"{target} FLOP from {width_in_words(found.now, found.aim)} to "
        f"{width_in_words(found.after, found.aim)}."
    )
