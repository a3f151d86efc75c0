"""The report of `scaling report`, from any page."""

import html
from collections.abc import Callable

from analysis.dashboard.page import Page
from analysis.forecasting.question.targets import Targets
from analysis.report.asked import Asked
from analysis.report.findings import gather_findings
from analysis.report.page.render import render_report
from scaling.errors import ScalingError


def report(
    page: Page, targets: Targets | None = None, loss: float | None = None
) -> Callable[[], str]:
    """The report of the page's runs with what was asked here, made when it is wanted; where there
    can be none, a page that says why."""
    asked = Asked(
        targets=(targets,) if targets is not None else (),
        losses=(loss,) if loss is not None else (),
    )

    def made() -> str:
        try:
            findings = gather_findings(
                page.records,
                options=page.options,
                confidence_level=page.level,
                curves=page.feeds.curves(page.source, None),
                seals=page.feeds.seals(),
                asked=asked,
            )
            return render_report(findings)
        except ScalingError as error:
            return f"<!DOCTYPE html><title>No report</title><p>{html.escape(str(error))}</p>"

    return made
