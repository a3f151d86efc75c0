"""Facts about tracebacks in the store: whole, without credentials, and only on request."""

import pytest

from scaling.store.one_run.run_state import RunState
from scaling.store.one_run.tracebacks import traceback_of, traceback_tags
from scaling.store.run_store import RunStore


@pytest.mark.parametrize("length", [0, 1, 4_000, 4_001, 59_999])
def test_a_traceback_of_any_usual_length_comes_back_whole(length):
    text = "0123456789" * 6_000
    assert traceback_of(traceback_tags(text[:length])) == text[:length]


def test_of_a_message_without_end_both_ends_are_kept():
    kept = traceback_of(traceback_tags("begin" + "x" * 1_000_000 + "end"))
    assert kept.startswith("begin") and kept.endswith("end") and len(kept) < 61_000
    assert "characters left out" in kept


def test_each_part_is_short_enough_for_any_store():
    # MLflow's own limit is 8,000 characters, that of managed ones 5,000
    assert max(map(len, traceback_tags("x" * 50_000).values())) <= 5_000


def test_a_shorter_traceback_takes_the_place_of_a_longer_one():
    assert traceback_of(traceback_tags("x" * 9_000) | traceback_tags("short")) == "short"


def test_credentials_are_taken_out(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "open sesame")
    tags = traceback_tags("at http://user:hidden@host with open sesame")
    assert traceback_of(tags) == "at http://host with [MLFLOW_TRACKING_PASSWORD]"


@pytest.mark.parametrize("by_sql", [True, False])
def test_the_store_reads_it_back_by_run_and_lists_runs_without_it(
    tracking_uri, monkeypatch, by_sql
):
    store = RunStore.open("crashes", tracking_uri)
    for name in ("crashed", "calm"):
        writer = store.start_run(name, name, {"width": 32})
        if name == "crashed":
            writer.log_traceback("Traceback\n" + "frame\n" * 2_000)
        writer.fail(RunState.FAILED, "no http://user:hidden@host")
    monkeypatch.setattr("scaling.store.run_store.speaks_sql", lambda uri: by_sql)
    assert store.tracebacks(["crashed", "calm"]) == {"crashed": "Traceback\n" + "frame\n" * 2_000}
    facts = store.facts()
    assert facts["crashed"]["has_traceback"] and "has_traceback" not in facts["calm"]
    assert all("frame" not in str(one.tags) for one in store.tries())
    assert facts["calm"]["reason"] == "no http://host"
