"""The report as Markdown, for a ticket: the summary and the tables of the page, cell by cell."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from analysis.report.findings import Findings
from analysis.report.page.parts import Part, parts_of
from analysis.report.page.references import references_for
from analysis.report.tables import decision as decision_tables
from analysis.report.tables import forecasts as tables
from analysis.report.tables import metrics
from analysis.report.tables import state as state_tables
from analysis.report.tables.cells import Table
from analysis.report.words.formula import law_title
from analysis.report.words.summary import summarise
from analysis.text.numbers import in_print
from scaling.limits import texts
from scaling.tables.notes import plain

_SPECIAL = str.maketrans(
    {mark: f"\\{mark}" for mark in "\\`*_[]<>|#~!"} | {"\n": " ", "\r": " ", "&": "&amp;"}
)


def report_markdown(findings: Findings, title: str) -> str:
    """The summary and the tables of the report, as Markdown."""
    records = findings.records
    lines = [
        f"# {escaped(title)}",
        "",
        f"Source: {escaped(records.source)}, data hash {records.data_hash}, written "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        "## Summary",
    ]
    for statement in summarise(findings):
        lines += ["", f"**{escaped(statement.heading)}.** {escaped(statement.text)}"]
    for heading, table in report_tables(findings):
        lines += ["", f"## {escaped(heading)}", "", *_table_lines(table)]
    for part in parts_of(findings):
        lines += ["", f"## {escaped(part.heading)}", *_piece_lines(part)]
    told = [*texts(findings.limits), *(note.text for note in records.told)]
    if told:
        lines += ["", "## Limits", "", *(f"- {escaped(in_print(text))}." for text in told)]
    cited = [cited.line for cited in references_for(findings)]
    lines += ["", "## Methods", "", *(f"- {escaped(line)}" for line in cited)] if cited else []
    return "\n".join(lines) + "\n"


def report_tables(findings: Findings) -> Iterator[tuple[str, Table]]:
    """Every table of the page that says something, with its heading, in its order."""
    return ((title, table) for title, table in _tables(findings) if table.rows or table.note)


def _tables(findings: Findings) -> Iterator[tuple[str, Table]]:
    plan, level = findings.plan, findings.confidence_level
    if plan is not None:
        yield "The decision", decision_tables.decision_table(plan, level)
        yield "What it takes", decision_tables.taken_table(plan)
        yield "What a wrong size costs", decision_tables.wrong_size_table(plan)
        yield "What is built", decision_tables.built_table(plan)
        granted = tuple((in_print(one.text),) for one in plan.assumed)
        yield "Taken for granted", Table(head=("Assumption",), rows=granted)
    if findings.answers:
        yield "What you asked for", tables.asked_table(findings)
        yield "Best splits of the budgets asked for", tables.asked_splits_table(findings)
        yield "Budgets for the losses asked for", tables.asked_budgets_table(findings)
        for made in findings.answers.metrics:
            yield made.metric, metrics.metric_forecast_table(made, level)
    yield "What was run", state_tables.runs_table(findings)
    yield "What losses are held against", state_tables.references_table(findings)
    yield "Left out of the fits", state_tables.dropped_table(findings)
    yield "Health of the rungs", state_tables.health_table(findings.health)
    for law in findings.laws:
        yield law_title(law.law.name), tables.constants_table(law)
    yield "The held-out check", tables.held_out_table(findings)
    yield "With those runs", tables.from_all_table(findings)
    yield "Forecast", tables.forecast_table(findings)
    yield "Where the width comes from", tables.shares_table(findings)
    yield "What the runs alone allow", tables.certificate_table(findings)
    if len((weights := tables.weights_table(findings)).rows) > 1:
        yield "Which law has which say", weights
    if findings.forecast and not findings.forecast.floor_identified:
        yield "With the floor pinned", tables.pinned_table(findings)
    yield "Compute-optimal size and tokens", tables.splits_table(findings)
    yield "By simpler approaches", decision_tables.approaches_table(plan)
    yield "Rolling-origin backtest of this ladder", tables.backtest_table(findings)
    if findings.seals:
        yield (
            "Sealed forecasts and their verdicts",
            state_tables.seals_table(findings.seals, level),
        )


def _piece_lines(part: Part) -> Iterator[str]:
    for piece in part.pieces:
        yield ""
        if isinstance(piece, str):
            yield escaped(piece)
        elif isinstance(piece, Table):
            yield from _table_lines(piece)
        else:
            yield from (f"**{escaped(piece.title)}**", "") if piece.title else ()
            yield from (f"- {escaped(sentence)}." for sentence in piece.sentences)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no line of its own."""
    return plain(text.replace("\u00a0", " ")).translate(_SPECIAL)


def _table_lines(table: Table) -> list[str]:
    lines = []
    if table.rows:
        lines += [_row(table.head), _row(["---"] * len(table.head), raw=True)]
        lines += [_row(row) for row in table.rows]
    if table.note:
        lines += ["", escaped(table.note)]
    return lines


def _row(cells: Sequence[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cell if raw else escaped(cell) for cell in cells)} |"
