"""Facts about rows that are no runs, and about rows that do not say how their run ended."""

import numpy as np
import pandas as pd
import pytest

from scaling.errors import RecordError
from scaling.records import read_records, records_from_table
from tests.scaling.tables.ladder import said

LADDER = [(n, r * n) for n in (2e7, 6e7, 2e8, 6e8) for r in (10, 30, 90)]


def ladder(**columns):
    """Twelve runs of exact losses E + A N^-.34 + B D^-.28, with what people write beside them."""
    n, d = map(np.array, zip(*LADDER, strict=True))
    loss = 1.7 + 400 / n**0.34 + 410 / d**0.28
    table = pd.DataFrame({"model": [f"m{i}" for i in range(12)], "N": n, "D": d, "loss": loss})
    return table.assign(**{"Status": "done", "lr": 3e-4, "seed": np.arange(12) % 3, **columns})


def with_row(table, how=None, **cells):
    """The table with one row more: some cells, and the ``how`` of the columns of numbers."""
    made = {c: getattr(table[c], how)() for c in ("N", "D", "loss")} if how else {}
    return pd.concat([table, pd.DataFrame([made | cells])], ignore_index=True)


@pytest.mark.parametrize("how", [None, "sum", "mean", "median"])
@pytest.mark.parametrize(
    "name", ["Total", "Mean:", "Gesamt", "average of all runs", "M\u00e9diane"]
)
def test_a_row_that_sums_up_others_is_no_run_and_is_named(how, name):
    cells = {"model": name} if how else {"model": name, "D": 9e11}
    records = records_from_table(with_row(ladder(), how, **cells))
    assert len(records) == 12
    assert [run.row for run in records.dropped] == ["row 14"]
    assert f'row 14 "{name}" sums up others' in said(records)
    assert "row 14" in records.usable("params").left_out()[0].text


@pytest.mark.parametrize("how", ["sum", "mean"])
def test_a_row_without_a_name_sums_up_others_where_all_its_numbers_do(how):
    both = with_row(with_row(ladder(), how), model="Total", D=9e11)
    assert len(records_from_table(both)) == 12
    rounded = with_row(ladder(), how).round({"loss": 3})
    assert said(records_from_table(rounded)).endswith("row 14 sums up others (1)")


def test_a_run_that_lacks_a_value_stays_a_run_and_its_row_is_named():
    records = records_from_table(with_row(ladder(), model="m12", N=1e9, D=1e10, loss=2.9))
    assert len(records) == 13
    assert "1 row without a status counted as finished (row 14)" in said(records)


def test_runs_called_by_such_words_stay_where_nothing_else_says_so():
    table = ladder(model="mean")
    assert len(records_from_table(table)) == 12
    table = ladder()
    table.loc[3, "model"] = "median"
    assert len(records_from_table(table)) == 12


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("Status == done", 11),
        ("Status == finished", 11),
        ("status = Completed", 11),
        ('Status != ""', 12),
        ('Status == ""', 1),
        ("Status != done", 2),
        ('Model != ""', 12),
        ('Model == ""', 1),
        ('loss != ""', 13),
    ],
)
def test_a_filter_sees_a_status_as_it_is_written_and_a_blank_as_no_text(condition, left):
    table = with_row(ladder(), N=1e9, D=1e10, loss=2.9).rename(columns={"model": "Model"})
    table.loc[2, "Status"] = "crashed"
    assert len(records_from_table(table, where=[condition])) == left


def test_a_status_has_no_order():
    with pytest.raises(RecordError, match="a status has no order"):
        records_from_table(ladder(), where=["Status > done"])


@pytest.mark.parametrize("name", ["Status", "status", "run_state"])
def test_words_for_a_status_that_are_not_known_are_told_with_their_counts(name):
    words = ["gemacht"] * 10 + ["kaputt", "bald"]
    table = ladder().drop(columns="Status").assign(**{name: words})
    records = records_from_table(table)
    assert records.is_finished.sum() == 12
    assert "no word that is known (gemacht 10, kaputt 1, bald 1): all rows" in said(records)
    assert len(records_from_table(table, where=[f"{name} == gemacht"])) == 10
    some = records_from_table(table.replace("kaputt", "crashed"))
    assert "(gemacht 10, bald 1): known are 1 failed, all others count as finished" in said(some)
    assert some.is_finished.sum() == 11


@pytest.mark.parametrize(
    "words",
    [
        ("fertig", "abgebrochen", "l\u00e4uft"),
        ("termin\u00e9", "\u00e9chou\u00e9", "en cours"),
        ("completado", "fallido", "en curso"),
    ],
)
def test_a_status_may_be_german_french_or_spanish(words):
    done, failed, running = words
    records = records_from_table(ladder(Status=[done] * 10 + [failed, running]))
    ours = "interrupted" if failed == "abgebrochen" else "failed"
    assert records.status.value_counts().to_dict() == {"finished": 10, ours: 1, "running": 1}


def test_titles_and_blank_rows_are_said(tmp_path):
    lines = ladder().to_csv(index=False, sep=";").splitlines()
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["Ablations Q3;;;;;;", *lines[:4], ";;;;;;", *lines[4:]]) + "\n")
    records = read_records(path)
    assert 'the header is line 2, below "Ablations Q3"' in said(records)
    assert "skipped as blank: row 6" in said(records)
    assert len(records) == 12


def test_a_last_row_that_is_the_mean_of_every_column_is_no_run():
    n, d = np.array([1e8, 2e8, 4e8, 8e8]), np.array([2e9, 4e9, 9e9, 2e10])
    table = pd.DataFrame({"params": n, "tokens": d, "loss": [4.0, 3.5, 3.2, 2.9]})
    with_mean = pd.concat([table, table.mean().to_frame().T], ignore_index=True)
    records = records_from_table(with_mean)
    assert len(records) == 4
    assert "row 6 sums up others" in " ".join(note.text for note in records.told)
    equal = pd.concat([table.head(1)] * 5, ignore_index=True).assign(seed=range(5))
    assert len(records_from_table(equal)) == 5


@pytest.mark.parametrize("cell", [1e308, float("inf"), float("-inf")])
def test_a_cell_of_any_size_costs_no_warning(cell):
    table = pd.DataFrame(ladder()).assign(other=1.0)
    table.loc[:3, "other"] = cell
    assert len(records_from_table(table)) == len(table)
