"""Facts about filters on a table's own names, in its own units."""

import numpy as np
import pandas as pd
import pytest

from scaling.errors import RecordError
from scaling.records import read_records, records_from_table
from tests.scaling.tables.ladder import grid

MILLIONS = np.array([70.0, 160.0, 410.0, 1400.0])
PPL = [40.0, 30.0, 20.0, 15.0]


def table(**more):
    sizes = {"Params (M)": MILLIONS, "tokens": MILLIONS * 2e7, "val_ppl": PPL}
    return pd.DataFrame({**sizes, **more})


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("Params (M) > 100", 3),  # as the column has it
        ("Params (M) > 100M", 3),  # a unit of its own: ours
        ("Params (M) > 1e2", 3),
        ("params > 100M", 3),
        ("N > 1e8", 3),
        ("val_ppl < 25", 2),
        ("loss < 3.5", 3),  # the logarithm, which is fitted
        ("train_flops > 1e18", 3),  # computed from the others
        ("flag == true", 2),
        ("flag != False", 2),
    ],
)
def test_a_filter_is_in_the_unit_of_the_name_that_it_uses(condition, kept):
    flags = table(flag=[True, False, True, False])
    assert len(records_from_table(flags, where=condition)) == kept


def test_a_filter_reads_the_column_as_the_table_does(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("Params (M);tokens;loss\n70,5;1000000000;3,1\n1.400,0;4000000000;2,5\n")
    assert len(read_records(path, where="Params (M) > 1000")) == 1
    assert len(read_records(path, where="Params (M) > 70,4")) == 2


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("N > 1,5e9", 0),
        ("loss > 1,234", 12),
        ("params < 60,000,000", 3),
        ("N > 1B", 0),
        ("params >= 60M", 9),
        ("N <= 6e7", 6),
        ("params < 200 million", 6),
    ],
)
def test_filters_understand_numbers_as_tables_do(condition, left):
    table = grid().assign(N=lambda t: t.N.map("{:.0f}".format))
    if not left:
        with pytest.raises(RecordError, match="no row is left"):
            records_from_table(table, where=[condition])
    else:
        assert len(records_from_table(table, where=[condition])) == left


@pytest.mark.parametrize(
    ("condition", "says"),
    [("N > big", "is none"), ("name < b", "has no order"), ("size", "column op value")],
)
def test_a_filter_that_cannot_be_meant_is_refused(condition, says):
    with pytest.raises(RecordError, match=says):
        records_from_table(grid().assign(name="a"), where=[condition])


def test_a_mapped_column_answers_to_the_tables_own_name():
    table = grid().rename(columns={"val_loss": "c4"}).assign(loss=9.0)
    records = records_from_table(table, columns={"loss": "c4"}, where=["c4 < 4"])
    assert 0 < len(records) < 12
    assert (records.column("loss") < 4).all()
