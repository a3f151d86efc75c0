"""Findings as lines and as a table for a terminal."""

from rich.console import Console
from rich.table import Table

from scaling.words import counted
from sweeps.checks.finding import Finding
from sweeps.checks.run import CheckReport

_WIDTH = 120


def finding_text(found: Finding) -> str:
    """One finding as a line, as it comes."""
    return f"{found.verdict:9} {found.check}: {_number(found)} ({found.detail})"


def findings_text(report: CheckReport) -> str:
    """Every check with what was measured, the most it may be, and the verdict."""
    table = Table(box=None, pad_edge=False, header_style="")
    for column in ("check", "measured", "at most", "verdict"):
        table.add_column(column, justify="left" if column in ("check", "verdict") else "right")
    for found in report.findings:
        table.add_row(found.check, _number(found), f"{found.threshold:.3g}", found.verdict)
    console = Console(width=_WIDTH, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table, highlight=False)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([*lines, "", *_closing(report)])


def _closing(report: CheckReport) -> list[str]:
    passed = sum(found.verdict == "pass" for found in report.findings)
    skipped = sum(found.verdict == "skipped" for found in report.findings)
    made = counted(len(report.findings) - skipped, "check")
    others = counted(skipped, "other does", "others do")
    rest = f" ({others} not apply here)" if skipped else ""
    said = [
        f"{report.sweep}, recipe {report.recipe}: {passed} of {made} passed{rest} in "
        f"{report.seconds:.0f} s, on small models with a context of {report.context} in float32 on "
        "the CPU"
    ]
    if report.false_alarm_rate:
        said.append(
            "a measurement with an error fails where it surely lies beyond its threshold: at most "
            f"{report.false_alarm_rate:.1%} of such reports do of a recipe that keeps them all; it "
            "passes where it surely does not, and is undecided between"
        )
    for word, findings in (
        ("undecided", report.undecided),
        ("FAILED", report.failed),
        ("BROKEN", report.broken),
    ):
        said += [f"{word}: {found.check}: {_number(found)}; {found.detail}" for found in findings]
    return said


def _number(found: Finding) -> str:
    if found.measured is None:
        return ""
    error = "" if found.stderr is None else f" +- {found.stderr:.2g}"
    return f"{found.measured:.3g}{error}"
