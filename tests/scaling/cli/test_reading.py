"""Facts about what verbs say of the tables that they read, and about imports."""

import json
from pathlib import Path

import pandas as pd
import pytest

from scaling.cli import main
from scaling.records import read_records
from scaling.store.run_store import RunStore
from scaling.store.stored_runs import StoredRuns, times_in

CASES = Path(__file__).parents[2] / "data" / "tables"


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_text_and_json_say_how_a_table_was_read(capsys):
    asked = ("fit", CASES / "history.csv", "--law", "chinchilla", "--bootstrap", 0)
    code, out, _ = run(capsys, *asked)
    assert code == 0
    assert "read as:\n" in out
    assert "the last row of each run counts" in out
    code, out, _ = run(capsys, *asked, "--json")
    codes = [note["code"] for note in json.loads(out)["notes"]]
    assert codes == ["understood", "chosen", "filled in", "rows left out"]


def test_a_list_of_answers_says_it_in_each(capsys):
    code, out, _ = run(
        capsys,
        *("allocate", CASES / "experts_active_total_no_flops.csv", "--flops", "1e20", "--json"),
        *("--columns", "params=active_params"),
    )
    (split,) = json.loads(out)
    assert code == 0
    assert split["params"] == pytest.approx(7.8e8, rel=0.15)
    assert split["tokens"] == pytest.approx(2.1e10, rel=0.15)
    assert 'params = "active_params"' in split["notes"][0]["text"]


@pytest.mark.parametrize("verb", ["allocate", "forecast"])
def test_a_choice_between_sizes_is_asked_for_in_one_line(capsys, verb):
    path = CASES / "experts_active_total_no_flops.csv"
    code, out, err = run(capsys, verb, path, "--flops", "100E18")
    assert (code, out) == (2, "") if err.count("\n") == 1 else err
    code, out, err = run(capsys, verb, path, "--flops", "1e20")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert '"active_params" and "total_params" both look like params' in err


def imported(capsys, path, *words):
    code, _, err = run(capsys, "import", path, "--sweep", "past", *words)
    return code, err


def test_an_import_counts_by_status_and_a_second_one_updates(capsys, tracking_uri, tmp_path):
    table = pd.read_csv(CASES / "mlflow_export.csv").drop(columns="Run ID")
    table = table.assign(other=table["val_loss"] + 1)
    path = tmp_path / "past.csv"
    table.to_csv(path, index=False)
    code, err = imported(capsys, path, "--columns", "loss=other")
    assert code == 0
    assert "15 runs joined (14 finished, 1 failed)" in err
    assert "kept under the table's own names: Duration" in err
    assert "0 runs joined, 15 unchanged" in imported(capsys, path, "--columns", "loss=other")[1]
    assert "0 runs joined, 15 updated (14" in imported(capsys, path)[1]
    asked = ("fit", "mlflow:past", "--law", "chinchilla", "--bootstrap", 0, "--json")
    fitted = json.loads(run(capsys, *asked)[1])
    assert fitted["n_runs"] == 14
    assert fitted["constants"]["E"]["estimate"] == pytest.approx(1.7, rel=1e-3)


def test_an_import_refuses_unknown_status_words_before_it_stores(capsys, tracking_uri, tmp_path):
    path = tmp_path / "past.csv"
    table = pd.read_csv(CASES / "mlflow_export.csv")
    table.loc[3, "Status"] = "wobbly"
    table.to_csv(path, index=False)
    code, err = imported(capsys, path)
    assert code == 2
    assert 'status "wobbly" is no word for how a run ended' in err
    code, _, err = run(capsys, "fit", "mlflow:past")
    assert code == 2
    assert "no runs" in err or "no experiment" in err


def test_an_experiment_of_another_program_is_a_table(capsys, tracking_uri, tmp_path):
    from scaling.store.connection.mlflow_client import connect

    client = connect(tracking_uri)
    experiment = client.create_experiment("foreign")
    export = pd.read_csv(CASES / "mlflow_export.csv")
    for row in export.itertuples():
        run_id = client.create_run(experiment).info.run_id
        client.log_param(run_id, "model.n_params", f"{row.n_params / 1e6:g}M")
        client.log_param(run_id, "n_tokens", row.n_tokens)
        client.log_metric(run_id, "eval/quality", 99.0, step=1)
        client.log_metric(run_id, "eval/quality", row.val_loss, step=2)
        client.set_terminated(run_id, row.Status)
    asked = ("--columns", "loss=eval/quality")
    code, out, _ = run(
        capsys,
        *("fit", "mlflow:foreign", "--law", "chinchilla", "--bootstrap", 0, "--json", *asked),
    )
    assert code == 0
    assert json.loads(out)["constants"]["alpha"]["estimate"] == pytest.approx(0.34, rel=1e-3)
    path = tmp_path / "foreign.csv"
    assert run(capsys, "collect", "foreign", "-o", path, *asked)[0] == 0
    table = pd.read_csv(path)
    assert table["status"].value_counts().to_dict() == {"finished": 14, "failed": 1}
    stored = StoredRuns(RunStore.find("foreign")).times
    told = times_in(read_records(path))  # when each began and ended, to the millisecond
    assert told == stored and all(one.began and one.ended for one in told.values())


def test_a_run_of_another_program_without_a_metric_is_left_out_with_its_reason(
    capsys, tracking_uri
):
    from scaling.store.connection.mlflow_client import connect

    client = connect(tracking_uri)
    experiment = client.create_experiment("foreign")
    for i, (n, d) in enumerate((n, d) for n in (1e6, 1e7, 1e8) for d in (1e8, 1e9, 1e10)):
        run_id = client.create_run(experiment, run_name=f"r{i}").info.run_id
        client.log_param(run_id, "n_params", n)
        client.log_param(run_id, "n_tokens", d)
        if i != 4:
            client.log_metric(run_id, "val_loss", 1.7 + 400 / n**0.34 + 410 / d**0.28)
        client.set_terminated(run_id)
    client.set_terminated(client.create_run(experiment).info.run_id)  # a parent of others, say
    asked = ("fit", "mlflow:foreign", "--law", "chinchilla", "--bootstrap", 0)
    fitted = json.loads(run(capsys, *asked, "--json")[1])
    assert fitted["n_runs"] == 8
    assert fitted["dropped"] == {"loss is blank or not finite": 2}
    assert "left out: loss is blank or not finite (2)" in run(capsys, *asked)[1]


def test_the_best_splits_of_iso_flop_profiles_are_their_minima(capsys):
    columns = ("--columns", "train_flops=budget", "--columns", "loss=paloma macro")
    budgets = ("--flops", "1e18", "3e18", "1e19")
    asked = ("allocate", CASES / "isoflop_status.csv", *columns, *budgets, "--json")
    splits = json.loads(run(capsys, *asked)[1])
    assert [split["tokens"] for split in splits] == pytest.approx([2.84e9, 5.11e9, 9.7e9], rel=0.03)
