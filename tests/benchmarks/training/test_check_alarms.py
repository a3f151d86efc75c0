"""Facts about alarms by chance: as rare as the check promises, also where that is hardest."""

import numpy as np
import pytest

from benchmarks.training.check_alarms import TABLE, at_threshold, log_sizes, simulated
from sweeps.checks.coordinates import QUANTITIES, slopes_of
from sweeps.checks.finding import MOST_APART


@pytest.fixture(scope="module")
def measured():
    import pandas as pd

    return log_sizes(pd.read_csv(TABLE))


def test_moved_to_the_threshold_every_slope_is_the_largest_that_passes(measured):
    along, sizes = measured
    findings = slopes_of("width", along, at_threshold(along, sizes), looks=1)
    assert [abs(found.measured) for found in findings] == pytest.approx(
        [MOST_APART / np.log(8)] * len(QUANTITIES)
    )
    before = slopes_of("width", along, sizes, looks=1)
    assert [found.stderr for found in findings] == pytest.approx([found.stderr for found in before])


def test_reports_on_slopes_at_their_threshold_alarm_no_more_than_promised(measured):
    along, sizes = measured
    alarms = simulated(along, at_threshold(along, sizes), reports=300, rng=np.random.default_rng(0))
    # Seven findings at .2% each would be 1.4%; 2.4% of 2,000 such reports fail, as slopes are not
    # quite normal. A check may alarm once in twenty reports.
    assert alarms.rate < 0.05


def test_reports_on_slopes_that_are_too_steep_fail(measured):
    along, sizes = measured
    steep = sizes + 0.3 * (along - along[0])[:, None]  # as a wrong rule gives
    alarms = simulated(along, steep, reports=20, rng=np.random.default_rng(0))
    assert alarms.rate == 1.0
