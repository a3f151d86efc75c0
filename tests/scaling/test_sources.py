"""Facts about where runs come from: a file and a data frame are read by one path."""

import pandas as pd
import pytest

import analysis
from scaling import LimitCode, records_from
from scaling.errors import RecordError, StoreError
from scaling.laws import Chinchilla

TRUTH = Chinchilla.example()
RUNS = pd.DataFrame(Chinchilla.example_runs()).assign(
    loss=lambda runs: TRUTH.loss(runs["params"], runs["tokens"])
)
SPELT = RUNS.rename(columns={"params": "N", "tokens": "D", "loss": "val_loss"})


@pytest.fixture
def path(tmp_path):
    SPELT.to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


def test_a_frame_is_understood_as_the_file_of_it_is(path):
    of_file, of_frame = records_from(path), records_from(SPELT)
    assert of_frame.data_hash == of_file.data_hash == records_from(str(path)).data_hash
    assert of_frame.names == of_file.names
    assert of_frame.notes == of_file.notes
    assert records_from(of_frame) is of_frame


def test_a_frame_is_refused_and_filtered_as_the_file_of_it_is(path):
    for source in (path, SPELT):
        kept = records_from(source, where=["N > 1e8"])
        assert len(kept) == (RUNS["params"] > 1e8).sum()
        assert {run.code for run in kept.dropped} == {LimitCode.LEFT_OUT}
        with pytest.raises(RecordError, match='names no column "absent"'):
            records_from(source, columns={"loss": "absent"})
    wrong = SPELT.assign(val_loss=["much", *SPELT["val_loss"][1:]])
    assert any('row 2 "much"' in note.text for note in records_from(wrong).told)
    with pytest.raises(RecordError, match='is "much", not a number'):
        records_from(wrong.assign(val_loss="much"), columns={"loss": "val_loss"})
    with pytest.raises(RecordError, match="no such file"):
        records_from("absent.csv")


@pytest.mark.parametrize("source", ["file", "frame", "records"])
def test_a_condition_that_stands_alone_is_one_condition_not_its_letters(source, path):
    runs = {"file": path, "frame": SPELT, "records": records_from(SPELT)}[source]
    assert len(records_from(runs, where="N > 1e8")) == (RUNS["params"] > 1e8).sum()


def test_a_condition_that_leaves_no_row_is_named_whole(path):
    with pytest.raises(RecordError, match="no row is left after N > 1e30; loosen"):
        records_from(path, where="N > 1e30")


def test_a_store_in_place_of_its_experiment_is_answered_with_how_to_name_one(
    tracking_uri, tmp_path
):
    shown = rf"mlflow:EXPERIMENT, with MLFLOW_TRACKING_URI={tracking_uri}"
    for source in (tmp_path / "mlflow.db", tracking_uri):
        with pytest.raises(RecordError, match=shown):
            records_from(source)
    with pytest.raises(RecordError) as refused:
        records_from("postgresql://me:secret@host/mlflow")
    assert "MLFLOW_TRACKING_URI=postgresql://host/mlflow" in str(refused.value)


def test_columns_of_runs_that_were_read_already_are_not_named_again():
    with pytest.raises(RecordError, match="name columns where they are read"):
        records_from(records_from(SPELT), columns={"loss": "other"})


def test_a_sweep_of_the_run_store_is_named_as_on_the_command_line(tracking_uri):
    with pytest.raises(StoreError, match="absent"):
        records_from("mlflow:absent")


def test_a_fit_takes_a_frame_or_a_path_for_its_runs(path):
    fits = [
        analysis.fit_law(source, "chinchilla", bootstrap=0)
        for source in (SPELT, path, records_from(path))
    ]
    assert fits[0].law == fits[1].law == fits[2].law


def test_records_show_what_they_hold_and_how_they_were_read_not_every_row(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = records_from(SPELT, where=["N > 1e8"])
    text, html = repr(shown), shown._repr_html_()
    assert max(map(len, text.splitlines())) <= 80 and len(text) < 2000
    assert text.startswith(f"{len(shown):,} runs of DataFrame")
    assert "val_loss" in text and "not N > 1e8" in text
    assert html.count("<tr>") == 1 + len(shown.table.columns)
