"""Facts about past runs that join the run store."""

import pandas as pd

from scaling.records import read_records
from scaling.store.connection.mlflow_client import connect
from scaling.store.import_runs import import_records
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from scaling.store.stored_runs import StoredRuns


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


def imported(store, path, text):
    path.write_text(text)
    return import_records(read_records(path), store)


def test_a_run_that_a_person_has_excluded_is_imported_again_and_stays_excluded(
    tracking_uri, tmp_path
):
    store, path = RunStore.open("past", tracking_uri), tmp_path / "runs.csv"
    text = "run_id,params,tokens,loss\na,1e7,1e8,3.5\nb,2e7,1e8,3.25\n"
    imported(store, path, text)
    (one,) = (one for one in store.tries() if one.tags.get("scaling.run_id") == "a")
    connect(tracking_uri).set_tag(one.store_run_id, "scaling.excluded", "wrong data")
    assert imported(store, path, text).unchanged == 2
    assert imported(store, path, text.replace("3.5", "3.4")).updated == 1
    assert store.states()["a"] is RunState.EXCLUDED


def test_columns_of_any_name_and_number_join_the_store_to_the_letter(tracking_uri, tmp_path):
    store, path = RunStore.open("past", tracking_uri), tmp_path / "runs.csv"
    odd = ["acc (%)", "x #", "../up", "a/", ".", *(f"a rather long name {n}" for n in range(400))]
    values = [number / 7 for number in range(len(odd))]
    rows = [
        ",".join(map(str, [size, "1e8", loss, *values])) for size, loss in ((1e7, 3.5), (2e7, 3))
    ]
    text = "\n".join([",".join(["params", "tokens", "loss", *odd]), *rows, ""])
    assert imported(store, path, text).new == 2
    assert list(store.states().values()) == [RunState.FINISHED] * 2
    table = store.read_records().table
    assert [table[name].tolist() for name in odd] == [[value, value] for value in values]
    assert imported(store, path, text).unchanged == 2
    assert StoredRuns(store).times == {}
