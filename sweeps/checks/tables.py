"""Findings as lines and as a table for a terminal."""

from rich.console import Console
from rich.table import Table

from sweeps.checks.finding import Finding
from sweeps.checks.run import CheckReport

_WIDTH = 120


def finding_text(found: Finding) -> str:
    """One finding as a line, as it comes."""
    return f"{found.verdict:8} {found.check}: {_number(found.measured)} ({found.detail})"


def findings_text(report: CheckReport) -> str:
    """Every check with what was measured, the most it may be, and the verdict."""
    table = Table(box=None, pad_edge=False, header_style="")
    for column in ("check", "measured", "threshold", "verdict"):
        table.add_column(column, justify="left" if column in ("check", "verdict") else "right")
    for found in report.findings:
        table.add_row(found.check, _number(found.measured), f"{found.threshold:g}", found.verdict)
    console = Console(width=_WIDTH, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table, highlight=False)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([*lines, "", *_closing(report)])


def _closing(report: CheckReport) -> list[str]:
    passed = sum(found.verdict == "pass" for found in report.findings)
    said = [
        f"{report.sweep}, recipe {report.recipe}: {passed} of {len(report.findings)} checks passed "
        f"in {report.seconds:.0f} s"
    ]
    for found in report.failed:
        said.append(f"FAILED: {found.check}: {_number(found.measured)}; {found.detail}")
    for found in report.broken:
        said.append(f"BROKEN: {found.check}: {_number(found.measured)}; {found.detail}")
    return said


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
