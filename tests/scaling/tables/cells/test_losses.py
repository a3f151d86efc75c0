"""Facts about losses of a table: which column they are, their unit, and those that are none."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.measurements.frontier import unbeaten_runs
from scaling.errors import RecordError
from scaling.records import read_records, records_from_table
from scaling.tables.cells.losses import stray_note
from scaling.tables.reading import Reading
from tests.scaling.tables.ladder import CASES, floor_of, grid, said


def test_several_losses_are_refused_and_a_training_loss_stands_back():
    table = grid().rename(columns={"val_loss": "loss"})
    records = records_from_table(table.assign(val_loss=table["loss"] + 0.5))
    with pytest.raises(RecordError, match='"loss" and "val_loss" both look like loss'):
        records.usable("params")
    records = records_from_table(grid().assign(**{"train/loss": 9.0}))
    assert 'not "train/loss"' in said(records)
    assert records.column("loss").max() < 9


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("val_bpb", "bits_per_byte"),
        ("c4_en/bpb", "bits_per_byte"),
        ("val_loss", ""),
        ("bits per byte", "bits_per_byte"),
        ("valLoss", ""),
        ("y", "unstated"),
        ("log2_ppl", "bits_per_token"),
        ("ln_ppl", ""),
    ],
)
def test_the_unit_of_a_loss_follows_from_its_name(name, kind):
    table = grid().rename(columns={"val_loss": name})
    assert records_from_table(table, columns={"loss": name}).loss_kind == kind
    nats = records_from_table(table, columns={"loss": name}, reading=Reading(loss_unit="nats"))
    assert nats.loss_kind in ("", "nats_per_token")


def test_a_table_of_bits_per_byte_is_never_said_to_be_in_nats():
    records = read_records(CASES / "bits_per_byte_column.csv")
    assert (len(unbeaten_runs(records)), records.loss_kind) == (5, "bits_per_byte")
    assert "is bits per byte" in said(records)


def test_perplexity_is_fitted_by_its_logarithm():
    table = grid()
    by_name = records_from_table(table.assign(val_ppl=np.exp(table.pop("val_loss"))))
    assert floor_of(by_name) == pytest.approx(1.7, abs=1e-3)
    assert "logarithm" in said(by_name)


@pytest.mark.parametrize("name", ["val_acc", "accuracy", "MMLU score", "f1", "pass@1", "reward"])
def test_a_metric_that_is_better_when_higher_is_asked_about(name):
    table = grid().assign(**{name: lambda t: 1 - t.pop("val_loss") / 100})
    with pytest.raises(RecordError, match="--better higher"):
        records_from_table(table, columns={"loss": name})
    records = records_from_table(table, columns={"loss": name}, reading=Reading(better="higher"))
    assert floor_of(records) == pytest.approx(0.017, abs=1e-4)
    assert records.loss_kind == f"1 - {name}"


def test_a_loss_kind_of_accuracy_is_asked_about_too():
    with pytest.raises(RecordError, match="--better higher"):
        records_from_table(grid().assign(loss_kind="accuracy"))


@pytest.mark.parametrize(
    "column", ["dataset", "corpus", "data_source", "tokenizer", "language", "data version"]
)
def test_two_corpora_are_refused_with_the_filter(column):
    table = pd.read_csv(CASES / "two_datasets.csv").rename(columns={"dataset": column})
    with pytest.raises(RecordError, match=f'--where "{column} == c4"'):
        records_from_table(table).usable("params")
    for name, floor in (("c4", 2.6), ("pile", 2.2)):
        records = records_from_table(table, where=[f"{column} == {name}"])
        assert floor_of(records) == pytest.approx(floor, abs=0.01)


@pytest.mark.parametrize("beside", ["language", "data_mix"])
def test_two_corpora_are_refused_whatever_agrees_beside_them(beside):
    table = pd.read_csv(CASES / "two_datasets.csv").assign(**{beside: "en"})
    with pytest.raises(RecordError, match='--where "dataset == c4"'):
        records_from_table(table).usable("params")


@pytest.mark.parametrize(("loss", "is_told"), [(99.0, True), (0.02, True), (4.0, False)])
def test_a_loss_far_from_all_others_is_told(loss, is_told):
    table = grid()
    table.loc[5, "val_loss"] = loss
    assert ("val_loss of row 7" in said(records_from_table(table))) is is_told


def test_one_absurd_loss_does_not_hide_the_floor_from_a_robust_fit():
    table = grid(sizes=(2e7, 6e7, 2e8, 6e8, 2e9), ratios=(5, 10, 20, 40, 80))
    table.loc[5, "val_loss"] = 99.0
    records = records_from_table(table)
    found = fit_as_asked(records.usable("params", "tokens"), "chinchilla", bootstrap=0, card=False)
    floor = found.law.E
    assert found.floor_identified
    assert floor == pytest.approx(1.7, rel=0.01)


def test_strays_are_looked_for_among_many_losses_in_no_time():
    loss = pd.Series(np.r_[np.linspace(2, 5, 200_000), 99.0])
    note = stray_note(loss, "loss")  # a search of all pairs would not end
    assert note is not None
    assert "loss of row 200002 (99)" in note.text
