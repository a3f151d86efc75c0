"""Facts about what MLflow's pages show of a sweep as a whole, on a real MLflow database."""

import math

import pytest

from scaling.errors import StoreError
from scaling.store.connection.mlflow_client import connect
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from scaling.store.sweep_page import DESCRIPTION

#: What the first version of the toolkit wrote into every experiment.
EARLIER = (
    "Runs of different size, trained for scaling laws: choose **Model training**, top left. The "
    "plus sign at *sweep ...* opens its runs. `final.loss` is the loss on validation data, "
    "`final.train_flops` what training cost, `train_loss` the curve."
)


@pytest.fixture(scope="module")
def database(tmp_path_factory, new_store):
    return new_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(database, sweep_name):
    return RunStore.open(sweep_name, database).with_parent({})


def own_run(store):
    return connect(store.tracking_uri).get_run(store.parent_id).data


def described(store):
    tags = connect(store.tracking_uri).get_experiment(store.experiment_id).tags
    return tags.get(DESCRIPTION, "")


def history(store, metric):
    points = connect(store.tracking_uri).get_metric_history(store.parent_id, metric)
    return [(point.step, point.value) for point in points]


def finish(store, run_id, loss, **facts):
    store.start_run(run_id, run_id, facts).finish({"loss": loss})


def test_a_sweep_without_a_run_of_its_own_has_no_pages(database):
    assert RunStore.open("bare", database).page() is None


def test_a_description_is_renewed_until_a_person_writes_one(store):
    client, page = connect(store.tracking_uri), store.page()
    page.describe("first", "of its own run")
    page.describe("second", "of its own run")
    assert described(store) == "second"
    assert own_run(store).tags[DESCRIPTION] == "of its own run"
    client.set_experiment_tag(store.experiment_id, DESCRIPTION, "by hand")
    page.describe("third", "of its own run")
    assert described(store) == "by hand"
    client.set_experiment_tag(store.experiment_id, DESCRIPTION, "")  # wanted empty
    page.describe("fourth", "of its own run")
    assert described(store) == ""


@pytest.mark.parametrize(("before", "after"), [(EARLIER, "new"), ("theirs", "theirs")])
def test_a_sweep_of_an_earlier_version_is_described_where_nobody_did(store, before, after):
    client = connect(store.tracking_uri)
    client.set_experiment_tag(store.experiment_id, DESCRIPTION, before)
    client.delete_experiment_tag(store.experiment_id, "mlflow.experimentKind")
    store.page().describe("new", "of its own run")
    assert described(store) == after
    tags = client.get_experiment(store.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_files_are_kept_with_the_sweeps_own_run_and_replace_each_other(store, monkeypatch):
    page, client = store.page(), connect(store.tracking_uri)
    assert page.link("plan.csv") == ""
    page.keep_files({"plan.csv": "one", "config.yaml": "name: a"})
    page.keep_files({"plan.csv": "two", "config.yaml": "name: a"})
    names = sorted(file.path for file in client.list_artifacts(store.parent_id))
    assert names == ["config.yaml", "plan.csv"]
    with open(client.download_artifacts(store.parent_id, "plan.csv")) as file:
        assert file.read() == "two"
    run = f"#/experiments/{store.experiment_id}/runs/{store.parent_id}"
    assert page.link("plan.csv") == f"{run}/artifacts/plan.csv?workflowType=machine_learning"
    page.describe("", "")
    monkeypatch.setattr(
        "mlflow.tracking.MlflowClient.log_text", lambda *arguments: pytest.fail("sent again")
    )
    page.keep_files({"plan.csv": "two"})


def test_files_that_do_not_reach_their_store_are_told_in_one_line(store, monkeypatch):
    def fail(*arguments):
        raise ImportError("no boto3")

    monkeypatch.setattr("mlflow.tracking.MlflowClient.log_text", fail)
    with pytest.raises(StoreError, match=r"no boto3.*are not kept with the sweep") as caught:
        store.page().keep_files({"plan.csv": "one"})
    assert "\n" not in str(caught.value)
    assert store.page().link("plan.csv") == ""


def test_each_finished_run_is_a_step_and_a_held_out_loss_is_never_the_best(store):
    planned, page = ["a", "b", "c", "d"], store.page()
    page.log_progress(planned)
    assert history(store, "runs_finished") == [(0, 0)]
    assert history(store, "best_loss") == []
    finish(store, "a", 3.0)
    finish(store, "other", 0.5)  # of another plan
    page.log_progress(planned)
    store.start_run("failed", "failed", {}).fail(RunState.FAILED, "broken")
    finish(store, "b", 1.0, held_out=True)
    finish(store, "c", 2.0)
    page.log_progress(planned)
    page.log_progress(planned)  # says nothing new
    assert history(store, "runs_finished") == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert history(store, "best_loss") == [(1, 3.0), (2, 3.0), (3, 2.0)]
    assert {value for _, value in history(store, "runs_planned")} == {4}


def test_the_last_value_is_that_of_the_plan_at_hand_where_it_has_fewer_runs(store):
    for run_id, loss in (("a", 2.0), ("b", 3.0)):
        finish(store, run_id, loss)
    store.page().log_progress(["a", "b"])
    store.page().log_progress(["b"])
    assert own_run(store).metrics == {"runs_finished": 1, "runs_planned": 1, "best_loss": 3.0}


def test_a_forecast_is_a_point_at_the_runs_it_rests_on_and_is_taken_back_without_support(store):
    page = store.page()
    finish(store, "a", 3.0)
    page.log_progress(["a"])
    assert not page.forecast_stands("hash")
    page.log_forecast("forecast_10x", {}, said="none: too few", data_hash="hash")
    assert page.forecast_stands("hash")
    assert own_run(store).tags["forecast_10x"] == "none: too few"
    assert not any(name.startswith("forecast") for name in own_run(store).metrics)
    page.log_forecast("forecast_10x", {"median": 2.0}, said="2.0 [1, 3]", data_hash="other")
    assert history(store, "forecast_10x.median") == [(1, 2.0)]
    page.log_forecast("forecast_10x", {}, said="none: too few", data_hash="hash")
    assert math.isnan(own_run(store).metrics["forecast_10x.median"])


@pytest.mark.parametrize("said", ["[" * 100_000, "5", '{"step": "x"}', "{}"])
def test_what_is_damaged_of_its_own_notes_is_kept_anew(store, said):
    page, client = store.page(), connect(store.tracking_uri)
    names = ("scaling.files", "scaling.progress", "scaling.forecast")
    for name in names:
        client.set_tag(store.parent_id, name, said[:5000])
    assert page.link("plan.csv") == "" and not page.forecast_stands("hash")
    page.keep_files({"plan.csv": "one"})
    finish(store, "a", 3.0)
    page.log_progress(["a"])
    page.log_forecast("forecast_10x", {"median": 2.0}, said="2.0", data_hash="hash")
    assert page.link("plan.csv") and page.forecast_stands("hash")
    assert history(store, "runs_finished") == [(1, 1)]
    assert history(store, "forecast_10x.median") == [(1, 2.0)]


def test_the_address_opens_the_runs_and_their_charts(store):
    typed, address = store.page().how_to_open().splitlines()
    assert typed == f"mlflow server --backend-store-uri {store.tracking_uri} --port 5000"
    where = f"experiments/{store.experiment_id}/runs?workflowType=machine_learning"
    assert address == f"http://127.0.0.1:5000/#/{where}&compareRunsMode=CHART"
