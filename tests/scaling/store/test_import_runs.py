"""Facts about past runs that join the run store."""

import pandas as pd

from scaling.records import read_records
from scaling.store.import_runs import import_records
from scaling.store.run_store import RunStore


def test_a_wandb_export_joins_the_store_once_with_every_digit(tracking_uri, tmp_path):
    exported = pd.DataFrame(
        {
            "Name": ["a", "b", "c"],
            "params": [1_000_000, 2_000_000, 4_000_000],
            "tokens": [2e7, 4e7, 8e7],
            "val": [3.25, 2.0 / 3.0, 2.5],
        }
    )
    path = tmp_path / "wandb-export.csv"
    exported.to_csv(path, index=False)
    records = read_records(path, columns={"loss": "val"})
    store = RunStore.open("past", tracking_uri)
    assert import_records(records, store).new == 3
    assert import_records(records, store).new == 0
    stored = store.read_records()
    assert len(stored.usable("params", "tokens")) == 3
    assert sorted(stored.column("loss")) == sorted(exported["val"])
    assert set(stored.table["Name"]) == {"a", "b", "c"}
