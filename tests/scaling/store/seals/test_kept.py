"""Facts about seals in the store: an artifact held to its digest, in a chain that shows gaps."""

import json
import shutil
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaling.errors import StoreError
from scaling.inputs.names import SEALS
from scaling.limits import LimitCode
from scaling.store.connection.mlflow_client import connect
from scaling.store.experiments import opened_experiment
from scaling.store.run_store import RunStore
from scaling.store.seals import kept as seals
from scaling.store.seals.kept import keep_seal, keep_verified, read_seals, sealed_names

LONG = "0123456789" * 3000  # longer than a tag can be


@pytest.fixture(autouse=True)
def no_copies(tmp_path, monkeypatch):
    """Copies of seals in a folder of this test."""
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path / "state"))


def keep(name, tracking_uri, content="content", *, at=None):
    """Seal a document that holds no more than its place, its time and some content."""

    def document_at(link):
        sealed_at = (at or datetime.now(UTC)).isoformat()
        said = {**asdict(link), "name": name, "sealed_at": sealed_at, "content": content}
        return json.dumps(said)

    return keep_seal(name, document_at, tracking_uri)


def read(tracking_uri):
    """Every document by name, as it was sealed."""
    return {seal.name: seal.document for seal in read_seals(tracking_uri=tracking_uri).seals}


def doubted(chain):
    """The codes of what speaks against each seal by name, and against the chain."""
    of_seals = {one.name: {limit.code for limit in one.limits} for one in chain.seals}
    return {name: codes for name, codes in of_seals.items() if codes}, {
        limit.code for limit in chain.limits
    }


def run_of(name, tracking_uri):
    """MLflow's client and id of the run that is a seal."""
    client, store = connect(tracking_uri), RunStore.find(SEALS, tracking_uri)
    (run,) = client.search_runs([store.experiment_id], f"tags.`scaling.seal` = '{name}'")
    return client, run.info


def forge(name, tracking_uri, change, *, with_head=False):
    """Change a document in the store, and every digest there that would tell."""
    client, info = run_of(name, tracking_uri)
    path = Path(info.artifact_uri.removeprefix("file://")) / "seal.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    digest = seals._sha256(path.read_bytes())
    client.set_tag(info.run_id, "scaling.seal.digest", digest)
    if with_head:
        head = f"{document['chain']} {document['number']} {digest}"
        client.set_experiment_tag(info.experiment_id, "scaling.seal.head", head)
    return digest


def test_a_sealed_document_of_any_length_comes_back_and_is_never_overwritten(tracking_uri):
    first = keep("one", tracking_uri, LONG)
    second = keep("two", tracking_uri)
    assert len(first.digest) == 64
    assert read(tracking_uri) == {"one": first.document, "two": second.document}
    with pytest.raises(StoreError, match="exists already"):
        keep("one", tracking_uri)


def test_seals_are_numbered_and_each_holds_the_digest_of_the_one_before(tracking_uri):
    kept = [keep(name, tracking_uri) for name in ("one", "two", "three")]
    chain = read_seals(tracking_uri=tracking_uri)
    documents = [json.loads(seal.document) for seal in chain.seals]
    assert [one["number"] for one in documents] == [1, 2, 3] and chain.count == 3
    assert [one["previous"] for one in documents] == ["", kept[0].digest, kept[1].digest]
    assert {one["chain"] for one in documents} == {chain.name}
    assert doubted(chain) == ({}, set())


def test_a_name_that_nobody_sealed_is_answered_with_those_that_are(tracking_uri):
    with pytest.raises(StoreError, match=r"sealed: none"):
        read_seals(tracking_uri=tracking_uri).named("nothing")
    keep("one", tracking_uri)
    with pytest.raises(StoreError, match=r"sealed: one"):
        read_seals(tracking_uri=tracking_uri).named("nothing")


def test_a_seal_is_read_from_any_working_directory_and_lies_beside_the_database(
    tracking_uri, tmp_path, monkeypatch
):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    kept = keep("one", tracking_uri, LONG)
    monkeypatch.chdir(there)
    assert read_seals("one", tracking_uri).named("one").document == kept.document
    assert list(tmp_path.glob("mlruns/*/artifacts/seal.json"))
    assert not list(here.iterdir()) and not list(there.iterdir())


def artifact(tmp_path: Path) -> Path:
    (path,) = tmp_path.glob("mlruns/*/artifacts/seal.json")
    return path


def test_a_changed_artifact_is_noticed_and_stops_no_other_seal(tracking_uri, tmp_path):
    keep("one", tracking_uri, LONG)
    artifact(tmp_path).write_text(LONG)
    keep("two", tracking_uri)
    chain = read_seals("one", tracking_uri)
    assert chain.named("two").document
    with pytest.raises(StoreError, match="was changed after it was sealed") as caught:
        chain.named("one")
    assert "\n" not in str(caught.value)
    assert doubted(chain) == ({"one": {LimitCode.ALTERED}}, {LimitCode.SEAL_MISSING})


def test_an_artifact_that_is_gone_is_one_line_with_its_place(tracking_uri, tmp_path):
    keep("one", tracking_uri)
    artifact(tmp_path).unlink()
    with pytest.raises(StoreError, match='"one" is not read') as caught:
        read_seals("one", tracking_uri).named("one")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_is_sealed_while_the_artifact_store_cannot_be_reached(tracking_uri, tmp_path):
    experiment = opened_experiment(SEALS, tracking_uri)
    (tmp_path / "mlruns").write_text("a file where the folder of artifacts should be")
    with pytest.raises(StoreError, match='"one" is not sealed') as caught:
        keep("one", tracking_uri)
    assert "\n" not in str(caught.value)
    assert sealed_names(tracking_uri) == () and read(tracking_uri) == {}
    assert connect(tracking_uri).search_runs([experiment]) == []
    (tmp_path / "mlruns").unlink()
    assert keep("one", tracking_uri).number == 1  # neither the name nor the number was used up


def test_an_artifact_store_whose_library_is_missing_or_breaks_is_one_line(
    tracking_uri, monkeypatch
):
    from mlflow.tracking import MlflowClient

    for error in (ModuleNotFoundError("No module named 'boto3'"), RuntimeError()):

        def fails(*arguments, error=error):
            raise error

        monkeypatch.setattr(MlflowClient, "log_text", fails)
        with pytest.raises(StoreError, match="is not sealed"):
            keep("one", tracking_uri)
    assert sealed_names(tracking_uri) == ()


def test_a_list_of_seals_fetches_no_artifact_that_this_machine_has_read(tracking_uri, monkeypatch):
    for name in ("one", "two", "three"):
        keep(name, tracking_uri, LONG)
    shutil.rmtree(seals._copy(""))
    fetched, fetch = [], seals._fetch
    monkeypatch.setattr(
        seals, "_fetch", lambda uri, name, run: fetched.append(name) or fetch(uri, name, run)
    )
    first = read(tracking_uri)
    assert read(tracking_uri) == first
    assert fetched == ["one", "two", "three"]
    sealed_names(tracking_uri)  # a list of names needs no artifact
    assert len(fetched) == 3
    read_seals("two", tracking_uri)  # to verify one is to look at what the store has now
    assert fetched[3:] == ["two"]


def test_a_copy_that_was_changed_on_this_machine_is_fetched_again(tracking_uri):
    kept = keep("one", tracking_uri, LONG)
    seals._copy(kept.digest).write_text("something else")
    assert read(tracking_uri) == {"one": kept.document}


def double(document):
    document["content"] = "twice the median"


def test_a_forged_document_with_its_digest_contradicts_the_seal_after_it(tracking_uri):
    keep("one", tracking_uri)
    keep("two", tracking_uri)
    shutil.rmtree(seals._copy(""))  # a machine that has read none
    forge("one", tracking_uri, double)
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({"one": {LimitCode.ALTERED}}, set())


def test_a_forged_last_document_contradicts_what_the_store_noted(tracking_uri):
    keep("one", tracking_uri)
    shutil.rmtree(seals._copy(""))
    forge("one", tracking_uri, double)
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({"one": {LimitCode.ALTERED}}, set())


def test_a_forgery_of_the_whole_store_shows_on_a_machine_that_has_read_it_before(tracking_uri):
    keep("one", tracking_uri)
    forge("one", tracking_uri, double, with_head=True)
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({"one": {LimitCode.ALTERED}}, set())
    shutil.rmtree(seals._copy(""))  # on any other nothing shows: that is what publishing is for
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({}, set())


def test_a_document_that_is_dated_anew_contradicts_the_time_it_came_into_the_store(tracking_uri):
    keep("one", tracking_uri)
    shutil.rmtree(seals._copy(""))

    def date_back(document):
        document["sealed_at"] = "2020-01-01T00:00:00+00:00"

    forge("one", tracking_uri, date_back, with_head=True)
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({"one": {LimitCode.ALTERED}}, set())


@pytest.mark.parametrize("gone", ["one", "two", "three"])
def test_a_deleted_seal_leaves_a_gap_wherever_it_stood(gone, tracking_uri):
    for name in ("one", "two", "three"):
        keep(name, tracking_uri)
    shutil.rmtree(seals._copy(""))
    client, info = run_of(gone, tracking_uri)
    client.delete_run(info.run_id)
    chain = read_seals(tracking_uri=tracking_uri)
    assert doubted(chain) == ({}, {LimitCode.SEAL_MISSING})
    assert chain.count == 3 and len(chain.seals) == 2
    assert keep("four", tracking_uri).number == 4  # the gap is not filled
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({}, {LimitCode.SEAL_MISSING})


def test_a_renamed_seal_is_noticed(tracking_uri):
    keep("bad", tracking_uri)
    client, info = run_of("bad", tracking_uri)
    client.set_tag(info.run_id, "scaling.seal", "good")
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({"good": {LimitCode.ALTERED}}, set())


@pytest.mark.parametrize("how", ["renamed", "deleted"])
def test_a_chain_that_was_put_out_of_the_way_shows_beside_a_new_one(how, tracking_uri):
    keep("bad", tracking_uri)
    client, info = run_of("bad", tracking_uri)
    if how == "deleted":
        client.delete_experiment(info.experiment_id)
        with pytest.raises(StoreError, match="was deleted in MLflow"):
            keep("good", tracking_uri)
    else:
        client.rename_experiment(info.experiment_id, "old")
        keep("good", tracking_uri)
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({}, {LimitCode.SEAL_MISSING})


def test_two_copies_of_a_store_that_both_sealed_show_on_a_machine_that_reads_both(
    tracking_uri, tmp_path
):
    keep("one", tracking_uri)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "mlflow.db", other)
    keep("high", tracking_uri)
    keep("low", f"sqlite:///{other}/mlflow.db")
    for uri, name in ((tracking_uri, "high"), (f"sqlite:///{other}/mlflow.db", "low")):
        assert doubted(read_seals(tracking_uri=uri)) == ({name: {LimitCode.ALTERED}}, set())


def test_a_clock_that_is_behind_the_last_seal_seals_nothing(tracking_uri, monkeypatch):
    keep("one", tracking_uri)

    class Past(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) - timedelta(days=2)

    monkeypatch.setattr(seals, "datetime", Past)
    with pytest.raises(StoreError, match="set the clock right"):
        keep("two", tracking_uri)
    assert sealed_names(tracking_uri) == ("one",)


def test_of_two_seals_at_the_same_moment_one_is_refused(tracking_uri, monkeypatch):
    link = seals.next_link(tracking_uri)
    keep("one", tracking_uri)
    monkeypatch.setattr(seals, "next_link", lambda uri: link)
    with pytest.raises(StoreError, match="same moment"):
        keep("two", tracking_uri)
    assert sealed_names(tracking_uri) == ("one",)


def test_a_run_that_verified_a_seal_is_noted_as_it_first_was(tracking_uri):
    keep("one", tracking_uri)
    run = {"target": 0, "source": "runs.csv", "run": "r9", "loss": 2.5}
    keep_verified("one", [run], tracking_uri)
    keep_verified("one", [{**run, "loss": 2.1}], tracking_uri)
    (seal,) = read_seals(tracking_uri=tracking_uri).seals
    assert [one["loss"] for one in seal.verified] == [2.5]


def test_a_seal_of_an_older_version_stands_in_no_chain_and_says_so(tracking_uri):
    old = json.dumps({"name": "old", "sealed_at": "2026-01-02T03:04:05+00:00"})
    keep_seal("old", lambda link: old, tracking_uri)
    client, info = run_of("old", tracking_uri)
    client.delete_tag(info.run_id, "scaling.seal.link")
    client.delete_experiment_tag(info.experiment_id, "scaling.seal.head")
    assert doubted(read_seals(tracking_uri=tracking_uri)) == ({"old": {LimitCode.ALTERED}}, set())
    assert keep("new", tracking_uri).number == 1
