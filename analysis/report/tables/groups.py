"""The table of groups of runs: what each was, and what it would reach."""

from analysis.intervals import interval_at
from analysis.report.apart import GroupAnswers
from analysis.report.findings import Findings
from analysis.report.tables.cells import Table
from analysis.report.words.decision import told_loss
from analysis.report.words.places import targets_in_words
from analysis.report.words.summary import NOT_SUPPORTED
from analysis.text.numbers import rough_in_words
from scaling.tables.notes import printable


def group_forecasts_table(findings: Findings, groups: GroupAnswers) -> Table:
    """A row a group and run that was asked for: its loss with interval, how far it lies beyond."""
    level = findings.confidence_level
    rows = []
    for label, forecasts in groups.forecasts.items():
        targets = [target for made in forecasts for target in made.targets]
        for name, target in zip(targets_in_words(targets), targets, strict=True):
            ends = interval_at(target.in_meaningful_digits().intervals, level)
            if target.median is None:
                told = (NOT_SUPPORTED, *map(rough_in_words, ends))
            else:
                told = told_loss(target.median, ends)
            median, low, high = told
            beyond = f"{target.decades_beyond:.1f}"
            rows.append((printable(label), name, median, f"{low} to {high}", beyond))
    by = printable(groups.by)
    head = (by, "Run", "Loss", f"{100 * level:g}% interval", "Decades beyond its runs")
    return Table(head=head, rows=tuple(rows))
