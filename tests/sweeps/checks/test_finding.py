"""Facts about findings: what passes, what fails, what is undecided, and what a report says."""

import dataclasses
import json
import math

import numpy as np
import pytest

from scaling.errors import CheckError
from sweeps.checks.finding import (
    FALSE_ALARMS,
    FALSE_PASSES,
    Finding,
    stderr_of_mean,
    until_decided,
)
from sweeps.checks.run import CheckReport
from sweeps.checks.tables import findings_text


def test_a_difference_in_an_invariant_breaks_it_and_elsewhere_is_a_finding():
    found = Finding(check="c", measured=-0.3, threshold=0.2)
    assert found.verdict == "FAIL"
    assert dataclasses.replace(found, is_invariant=True).verdict == "BROKEN"
    assert dataclasses.replace(found, measured=0.2).verdict == "pass"
    assert dataclasses.replace(found, measured=math.nan).verdict == "FAIL"
    assert dataclasses.replace(found, measured=None).verdict == "skipped"


def test_an_estimate_fails_or_passes_where_its_error_allows_and_is_undecided_between():
    found = Finding(check="c", measured=0.0, threshold=0.2, stderr=0.01, degrees_of_freedom=9)
    verdicts = {
        measured: dataclasses.replace(found, measured=measured).verdict
        for measured in (-0.25, -0.19, 0.0, 0.17, 0.19, 0.2, 0.21, 0.25, math.nan)
    }
    assert verdicts == {
        -0.25: "FAIL", -0.19: "undecided", 0.0: "pass", 0.17: "pass", 0.19: "undecided",
        0.2: "undecided", 0.21: "undecided", 0.25: "FAIL", math.nan: "FAIL",
    }  # fmt: skip
    assert dataclasses.replace(found, measured=-9.0, one_sided=True).verdict == "pass"
    near = dataclasses.replace(found, measured=0.21, is_invariant=True)
    assert near.verdict == "pass"
    assert dataclasses.replace(near, measured=0.25).verdict == "BROKEN"
    assert dataclasses.replace(found, stderr=math.nan).verdict == "undecided"


def test_an_estimate_at_its_threshold_alarms_and_passes_as_rarely_as_is_said():
    """Four thousand checks of something that lies exactly at the threshold, each with looks at 5,
    10, 20 and 40 normal draws."""
    rng = np.random.default_rng(1)
    looks = [range(5), range(5), range(10), range(20)]

    def estimate(values):
        return [
            Finding(
                check="c",
                measured=float(values.mean()),
                threshold=1.0,
                stderr=stderr_of_mean(values),
                degrees_of_freedom=len(values) - 1,
                looks=len(looks),
            )
        ]

    def verdict():
        (found,) = until_decided(looks, lambda seeds: 1 + rng.normal(size=len(seeds)), estimate)
        return found.verdict

    verdicts = [verdict() for _ in range(4000)]
    # Both rates are upper bounds; three standard errors of 4,000 draws beside the first.
    assert verdicts.count("FAIL") <= 4000 * FALSE_ALARMS + 3 * math.sqrt(4000 * FALSE_ALARMS)
    assert 0.5 * FALSE_PASSES < verdicts.count("pass") / 4000 <= FALSE_PASSES


def test_what_was_decided_stays_while_others_are_looked_at_again():
    def findings(values):
        sure = Finding(check="sure", measured=float(len(values)), threshold=0.5)
        unsure = dataclasses.replace(
            sure, check="unsure", stderr=1e3 / len(values) ** 3, degrees_of_freedom=len(values)
        )
        return [sure, unsure]

    asked = []

    def measured(seeds):
        asked.append(tuple(seeds))
        return np.zeros(len(seeds))

    sure, unsure = until_decided([(1, 2), (3, 4), range(5, 30), (31,)], measured, findings)
    assert asked == [(1, 2), (3, 4), tuple(range(5, 30))]
    assert (sure.measured, unsure.measured) == (2.0, 29.0)


def test_a_report_in_which_a_check_fails_is_an_error():
    finding = Finding(check="slope", measured=0.1, threshold=0.2)
    report = CheckReport(sweep="s", recipe="r", context=16, findings=(finding,), seconds=1.0)
    report.require_passed()
    assert json.loads(report.to_json())["findings"][0]["verdict"] == "pass"
    for is_invariant, said in ((False, "s: failed: slope; recipe r"), (True, "s: broken: slope")):
        failed = dataclasses.replace(finding, measured=math.nan, is_invariant=is_invariant)
        wrong = dataclasses.replace(report, findings=(finding, failed))
        with pytest.raises(CheckError, match=said):
            wrong.require_passed()
        document = json.loads(wrong.to_json(), parse_constant=pytest.fail)
        assert document["passed"] is False


def test_a_report_says_what_is_undecided_and_how_often_it_alarms_falsely():
    near = Finding(check="near", measured=0.2, threshold=0.2, stderr=0.1, degrees_of_freedom=4)
    report = CheckReport(sweep="s", recipe="r", context=16, findings=(near, near), seconds=1.0)
    report.require_passed()
    assert json.loads(report.to_json())["false_alarm_rate"] == 2 * FALSE_ALARMS
    text = findings_text(report)
    assert "undecided: near: 0.2 +- 0.1" in text
    assert "0.4% of such reports" in text


def test_what_does_not_apply_is_not_counted_among_the_checks():
    findings = [
        Finding(check="made", measured=0.0, threshold=1.0),
        Finding(check="not made", measured=None, threshold=1.0, detail="no such thing"),
    ]
    report = CheckReport(sweep="one", recipe="r", context=16, findings=tuple(findings), seconds=1.0)
    assert "1 of 1 check passed (1 other does not apply here) in 1 s" in findings_text(report)
    report = dataclasses.replace(report, findings=(findings[0],) * 2)
    assert "2 of 2 checks passed in 1 s" in findings_text(report)
