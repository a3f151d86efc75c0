"""The budget-planning report: one self-contained file of HTML, PDF, Markdown or JSON."""

from analysis.report.asked import Asked
from analysis.report.findings import Findings, gather_findings
from analysis.report.page.render import render_report
from analysis.report.study import Study, write_study
from analysis.report.write import write_report

__all__ = [
    "Asked",
    "Findings",
    "Study",
    "gather_findings",
    "render_report",
    "write_report",
    "write_study",
]
