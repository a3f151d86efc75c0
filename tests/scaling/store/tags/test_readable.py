"""Facts about what is read of stored runs: what is whole, and the rest by name."""

import json

import pytest

from scaling.store.connection import notices
from scaling.store.one_run.run_writer import record_json
from scaling.store.tags.cache import Try
from scaling.store.tags.readable import readable

RECORD = {"run_id": "abc", "loss": 2.5, "params": 1e6, "tokens": 2e7, "width": 32}
WHOLE = {
    "scaling.run_id": "abc",
    "scaling.state": "finished",
    "scaling.record": record_json(RECORD),
}


@pytest.fixture(autouse=True)
def told_anew(monkeypatch):
    monkeypatch.setattr(notices, "_TOLD", set())


def read(tags):
    return readable([Try("0123", 1, 2, tags)], "sqlite:///x.db")


def test_a_whole_record_is_read_and_its_digest_is_no_column():
    (one,) = read(WHOLE)
    assert one.record == RECORD
    assert json.loads(WHOLE["scaling.record"]).keys() - RECORD.keys() == {"digest"}


def test_a_record_of_a_version_without_digests_is_read_by_the_kinds_of_its_columns():
    (one,) = read(WHOLE | {"scaling.record": json.dumps(RECORD)})
    assert one.record == RECORD


def without(name):
    return {key: value for key, value in WHOLE.items() if key != name}


def saying(**tags):
    return WHOLE | {f"scaling.{name}": text for name, text in tags.items()}


BAD = {
    "its scaling.record is damaged": saying(record=WHOLE["scaling.record"].replace("2.5", "1.5")),
    "its scaling.record is no JSON": saying(record="[" * 100_000),
    "its scaling.record is not that of run abc": saying(record='{"run_id": "abd", "loss": 1.0}'),
    "its loss is no number": saying(record='{"run_id": "abc", "loss": "low"}'),
    "its tokens is no number": saying(record='{"run_id": "abc", "tokens": true}'),
    "it has no scaling.record": without("scaling.record"),
    "it has no scaling.state": without("scaling.state"),
    "it has no scaling.run_id": without("scaling.run_id"),
    'its scaling.state is "FINISHED"': saying(state="FINISHED"),
    'its scaling.state is "planned"': saying(state="planned"),
}


@pytest.mark.parametrize("said", BAD)
def test_a_bad_run_is_named_once_and_left_out(said, caplog):
    assert read(BAD[said]) == read(BAD[said]) == []
    (message,) = [record.getMessage() for record in caplog.records]
    assert said in message and "0123" in message and "\n" not in message


def test_a_record_under_another_run_s_id_is_not_believed():
    assert read(WHOLE | {"scaling.run_id": "abd"}) == []


def test_runs_of_other_programs_are_passed_over_without_a_word(caplog):
    assert read({"mlflow.user": "ada"}) == [] and not caplog.records
