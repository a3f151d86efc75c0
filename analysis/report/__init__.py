"""The budget-planning report: one self-contained HTML file."""

from analysis.report.findings import Asked, Findings, gather_findings
from analysis.report.study import Study, write_study
from analysis.report.write import render_report, write_report

__all__ = [
    "Asked",
    "Findings",
    "Study",
    "gather_findings",
    "render_report",
    "write_report",
    "write_study",
]
