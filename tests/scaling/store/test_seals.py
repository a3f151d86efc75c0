"""Facts about seals in the store: an artifact held to its digest, and nothing sealed by halves."""

from pathlib import Path

import pytest

from scaling.errors import StoreError
from scaling.store import seals
from scaling.store.mlflow_client import connect
from scaling.store.run_store import RunStore
from scaling.store.seals import SEALS, keep_seal, read_seal, read_seals, sealed_names

LONG = "0123456789" * 3000  # longer than a tag can be


@pytest.fixture(autouse=True)
def no_copies(tmp_path, monkeypatch):
    """Copies of seals in a folder of this test."""
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path / "state"))


def test_a_sealed_document_of_any_length_comes_back_and_is_never_overwritten(tracking_uri):
    digest = keep_seal("one", LONG, tracking_uri)
    keep_seal("two", "short", tracking_uri)
    assert len(digest) == 64
    assert read_seals(tracking_uri) == {"one": LONG, "two": "short"}
    assert read_seal("one", tracking_uri) == LONG
    with pytest.raises(StoreError, match="exists already"):
        keep_seal("one", "another", tracking_uri)


def test_a_name_that_nobody_sealed_is_answered_with_those_that_are(tracking_uri):
    with pytest.raises(StoreError, match=r"sealed: none"):
        read_seal("nothing", tracking_uri)
    keep_seal("one", "document", tracking_uri)
    with pytest.raises(StoreError, match=r"sealed: one"):
        read_seal("nothing", tracking_uri)


def test_a_seal_is_read_from_any_working_directory_and_lies_beside_the_database(
    tracking_uri, tmp_path, monkeypatch
):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    keep_seal("one", LONG, tracking_uri)
    monkeypatch.chdir(there)
    assert read_seal("one", tracking_uri) == LONG
    assert list(tmp_path.glob("mlruns/*/artifacts/seal.json"))
    assert not list(here.iterdir()) and not list(there.iterdir())


def artifact(tmp_path: Path) -> Path:
    (path,) = tmp_path.glob("mlruns/*/artifacts/seal.json")
    return path


def test_a_changed_artifact_is_noticed(tracking_uri, tmp_path):
    keep_seal("one", LONG, tracking_uri)
    artifact(tmp_path).write_text(LONG.replace("9", "8", 1))
    for read in (lambda: read_seal("one", tracking_uri), lambda: read_seals(tracking_uri)):
        with pytest.raises(StoreError, match="was changed after it was sealed") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_an_artifact_that_is_gone_is_one_line_with_its_place(tracking_uri, tmp_path):
    keep_seal("one", LONG, tracking_uri)
    artifact(tmp_path).unlink()
    with pytest.raises(StoreError, match='"one" is not read') as caught:
        read_seal("one", tracking_uri)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_is_sealed_while_the_artifact_store_cannot_be_reached(tracking_uri, tmp_path):
    store = RunStore.open(SEALS, tracking_uri)
    (tmp_path / "mlruns").write_text("a file where the folder of artifacts should be")
    with pytest.raises(StoreError, match='"one" is not sealed') as caught:
        keep_seal("one", LONG, tracking_uri)
    assert "\n" not in str(caught.value)
    assert sealed_names(tracking_uri) == () and read_seals(tracking_uri) == {}
    assert connect(tracking_uri).search_runs([store.experiment_id]) == []
    (tmp_path / "mlruns").unlink()
    keep_seal("one", LONG, tracking_uri)  # the name was not used up
    assert read_seals(tracking_uri) == {"one": LONG}


def test_an_artifact_store_whose_library_is_missing_or_breaks_is_one_line(
    tracking_uri, monkeypatch
):
    from mlflow.tracking import MlflowClient

    for error in (ModuleNotFoundError("No module named 'boto3'"), RuntimeError()):

        def fails(*arguments, error=error):
            raise error

        monkeypatch.setattr(MlflowClient, "log_text", fails)
        with pytest.raises(StoreError, match="is not sealed"):
            keep_seal("one", "document", tracking_uri)
    assert sealed_names(tracking_uri) == ()


def test_a_list_of_seals_fetches_each_artifact_once(tracking_uri, monkeypatch):
    for name in ("one", "two", "three"):
        keep_seal(name, f"{LONG} {name}", tracking_uri)
    fetched, fetch = [], seals._fetch
    monkeypatch.setattr(
        seals, "_fetch", lambda uri, name, *run: fetched.append(name) or fetch(uri, name, *run)
    )
    first = read_seals(tracking_uri)
    assert read_seals(tracking_uri) == first
    assert fetched == ["one", "two", "three"]
    sealed_names(tracking_uri)  # a list of names needs no artifact
    assert len(fetched) == 3
    read_seal("two", tracking_uri)  # to verify one is to look at what the store has now
    assert fetched[3:] == ["two"]


def test_a_copy_that_was_changed_on_this_machine_is_fetched_again(tracking_uri, tmp_path):
    digest = keep_seal("one", LONG, tracking_uri)
    assert read_seals(tracking_uri) == {"one": LONG}
    (tmp_path / "state" / "cache" / "seals" / digest).write_text("something else")
    assert read_seals(tracking_uri) == {"one": LONG}
