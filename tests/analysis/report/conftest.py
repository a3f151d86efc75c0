"""What the tests of the report share: the findings on one ladder, and their page."""

import pytest

from analysis.report import gather_findings, render_report


@pytest.fixture(scope="session")
def findings(ladder):
    return gather_findings(ladder, bootstrap=100)


@pytest.fixture(scope="session")
def html(findings):
    return render_report(findings)
