"""Facts about the times of runs that a table says."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from scaling.sources import records_from
from scaling.store.stored_runs import times_in

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SAID = {
    "ISO 8601": "2026-01-02T04:04:05+01:00",
    "without a zone": "2026-01-02 03:04:05",
    "seconds": TIME.timestamp(),
    "milliseconds": TIME.timestamp() * 1000,
    "a date's own kind": pd.Timestamp("2026-01-02 03:04:05"),
    "with its zone": pd.Timestamp("2026-01-02 04:04:05", tz="Europe/Berlin"),
}
UNSAID = [None, "soon", 5, True, 1e17, 1.7e18, "9999-12-31T23:59:59-12:00"]


def began(said):
    table = {"params": [1e7] * len(said), "tokens": 1e8, "loss": 3.5, "started_at": said}
    return [times.began for times in times_in(records_from(pd.DataFrame(table))).values()]


@pytest.mark.parametrize("form", SAID)
def test_a_time_is_read_in_any_common_form(form):
    assert began([SAID[form]]) == [TIME]
    assert began([SAID[form], None])[0] == TIME


def test_times_of_several_forms_are_read_beside_each_other():
    assert began(list(SAID.values())) == [TIME] * len(SAID)


@pytest.mark.parametrize("said", UNSAID)
def test_what_is_no_time_is_none(said):
    assert began([said]) == [None]
