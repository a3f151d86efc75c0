"""Facts about the store's address: credentials stay in the environment, and nothing prints them."""

import pickle

import pytest

from scaling.store.connection.mlflow_client import connect, sender
from scaling.store.connection.spool import Unavailable
from scaling.store.connection.tracking_uri import (
    resolve_tracking_uri,
    tracking_environment,
    with_credentials,
    without_credentials,
    without_secrets,
)
from scaling.store.run_store import RunStore

SECRET = "opensesame"


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("http://ann:opensesame@host:5000", "http://host:5000"),
        ("http://ann:open@sesame@host", "http://host"),
        ("postgresql://ann:opensesame@host/runs", "postgresql://host/runs"),
        ("postgresql://host/runs?password=opensesame", "postgresql://host/runs"),
        ("sqlite:////home/ann@work/mlflow.db", "sqlite:////home/ann@work/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_an_address_is_shown_without_its_credentials(uri, public):
    assert without_credentials(uri) == public


def test_credentials_of_the_environment_are_left_there_and_found_again(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:{SECRET}@127.0.0.1:9")
    uri = resolve_tracking_uri()
    assert uri == "http://127.0.0.1:9"
    assert with_credentials(uri) == f"http://ann:{SECRET}@127.0.0.1:9"
    store = RunStore(sweep="tiny", tracking_uri=uri, experiment_id="1")
    assert SECRET.encode() not in pickle.dumps(store)  # what a task carries to its worker
    assert connect_error(uri).count(SECRET) == 0


def connect_error(uri):
    with pytest.raises(Exception, match="does not answer") as caught:
        connect(uri)
    return str(caught.value)


def test_another_store_than_the_environment_s_gets_no_credentials(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:{SECRET}@one")
    assert with_credentials("http://two") == "http://two"


def test_a_message_of_a_library_is_stripped_of_the_password_in_any_place(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    message = f"request to http://ann:{SECRET}@host/api failed: 401 for ann, {SECRET}"
    assert SECRET not in without_secrets(message)
    assert "http://host/api failed: 401" in without_secrets(message)


def test_what_an_unreachable_server_is_answered_with_names_no_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:{SECRET}@127.0.0.1:9")
    with pytest.raises(Unavailable) as caught:
        sender("http://127.0.0.1:9", "1")(None, [{"op": "start"}])
    assert SECRET not in str(caught.value)


def test_workers_elsewhere_are_handed_mlflow_s_variables_and_no_others(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    handed = tracking_environment()
    assert handed["MLFLOW_TRACKING_USERNAME"] == "ann"
    assert SECRET not in handed.values()
