"""Facts about sealed forecasts and their verdicts in a report."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.evaluation.verdicts import SealStanding, Verdict
from analysis.report import render_report
from analysis.report.tables.state import seals_table
from scaling.limits import Limit, LimitCode
from tests.analysis.report.page.read import Page


@pytest.mark.usefixtures("undrawn")
def test_sealed_forecasts_and_verdicts_are_a_section_where_there_are_any(findings, html, seal):
    assert "Sealed forecasts" not in html
    (target,) = seal.targets
    seal = replace(seal, targets=(target, replace(target, at={"params": 2e9, "tokens": 4e10})))
    verdict = Verdict(
        seal="bet",
        at=target.at,
        run="r9",
        predicted=2.5,
        measured=2.7,
        error=float(np.log(2.7 / 2.5)),
        inside={0.9: False},
    )
    standing = SealStanding(seal=seal, verdicts=(verdict,), limits=())
    table = seals_table((standing,))
    assert [row[-1] for row in table.rows] == ["OUTSIDE", "not landed yet"]
    assert table.marked == (0,)
    text = Page(render_report(replace(findings, seals=(standing,)))).text
    assert "0 of 1 inside the 90% interval" in text
    assert "OUTSIDE" in text


@pytest.mark.usefixtures("undrawn")
def test_a_verdict_that_does_not_count_says_why_in_the_report(findings, seal):
    late = Limit(LimitCode.SEALED_LATE, "sealed after the run began")
    open_claim = Limit(LimitCode.NOT_PROVED, "not proved: when it was sealed")
    gone = Limit(LimitCode.SEAL_MISSING, "of 2 seals the store has lost number 2")
    verdict = Verdict(
        seal="bet",
        at=seal.targets[0].at,
        run="r9",
        predicted=2.5,
        measured=2.5,
        error=0.0,
        inside={0.5: True, 0.9: True},
        counted=False,
        limits=(late,),
    )
    standing = SealStanding(seal=seal, verdicts=(verdict,), limits=(open_claim, gone))
    (row,) = seals_table((standing,)).rows
    assert row[-1] == "not counted (inside): sealed after the run began"
    text = Page(render_report(replace(findings, seals=(standing,)))).text
    assert "0 verdicts, 1 not counted" in text
    for limit in (late, open_claim, gone):
        assert limit.text in text


def test_a_seal_without_the_level_that_is_shown_says_which_it_shows(seal):
    (row,) = seals_table(
        (SealStanding(seal=seal, verdicts=(), limits=()),), confidence_level=0.8
    ).rows
    assert any(cell.endswith("(50%)") for cell in row)
    (row,) = seals_table(
        (SealStanding(seal=seal, verdicts=(), limits=()),), confidence_level=0.9
    ).rows
    assert not any("%" in cell for cell in row)
