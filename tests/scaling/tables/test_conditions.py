"""Facts about filters on a table's own names, in its own units."""

import numpy as np
import pandas as pd
import pytest

from scaling.records import read_records, records_from_table

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
