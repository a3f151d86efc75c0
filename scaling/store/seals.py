"""Sealed documents in the tracking store: runs of an experiment of their own, never changed.

    sealed-forecasts          an experiment
      NAME                    a run for each seal
        seal.json             its artifact: the document, byte for byte
        scaling.seal          a tag: NAME
        scaling.seal.digest   a tag: SHA-256 of the artifact, as `sha256sum` prints it

A run without both tags is no seal, and they are written when the artifact has arrived. What was
read once is kept on this machine under its digest, so a list of seals fetches none twice.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from scaling.errors import StoreError
from scaling.store.experiments import sweep_ids
from scaling.store.mlflow_client import artifact_errors, connect, log_batches, one_line_errors
from scaling.store.run_store import RunStore
from scaling.store.state_folder import state_folder
from scaling.store.tracking_uri import resolve_tracking_uri, without_credentials

SEALS = "sealed-forecasts"  # the experiment that holds them
_NAME = "scaling.seal"
_DIGEST = "scaling.seal.digest"
_FILE = "seal.json"


def keep_seal(name: str, document: str, tracking_uri: str | None = None) -> str:
    """Keep a sealed forecast under its name, for ever; its digest.

    Raises StoreError if the name is taken, or if the document does not reach the store: then
    nothing is sealed and the name stays free.
    """
    if name in sealed_names(tracking_uri):
        raise StoreError(f'a sealed forecast "{name}" exists already; choose another name')
    store = RunStore.open(SEALS, tracking_uri)
    uri, digest = store.tracking_uri, _sha256(document.encode())
    client = connect(uri)
    with one_line_errors(uri):
        run = client.create_run(store.experiment_id, run_name=name).info
    try:
        with artifact_errors(run.artifact_uri, f'"{name}" is not sealed'):
            client.log_text(run.run_id, document, _FILE)
        with one_line_errors(uri):
            log_batches(client, run.run_id, tags={_NAME: name, _DIGEST: digest})
            client.set_terminated(run.run_id)
    except StoreError:
        with suppress(Exception):  # a run without tags is no seal, so one that stays does no harm
            client.delete_run(run.run_id)
        raise
    return digest


def sealed_names(tracking_uri: str | None = None) -> tuple[str, ...]:
    """The names of all sealed forecasts, oldest first."""
    return tuple(_seals(resolve_tracking_uri(tracking_uri)))


def read_seal(name: str, tracking_uri: str | None = None) -> str:
    """One sealed document as the store has it now.

    Raises StoreError where there is none of that name, its artifact cannot be read, or it was
    changed since.
    """
    uri = resolve_tracking_uri(tracking_uri)
    seals = _seals(uri)
    if name not in seals:
        raise StoreError(f'no sealed forecast "{name}" (sealed: {", ".join(seals) or "none"})')
    return _fetch(uri, name, *seals[name])


def read_seals(tracking_uri: str | None = None) -> dict[str, str]:
    """The document of every sealed forecast by name, oldest first; see `read_seal` for errors.

    One that this machine has read before comes from its own copy, which the digest vouches for.
    """
    uri = resolve_tracking_uri(tracking_uri)
    return {
        name: _read_copy(digest) or _fetch(uri, name, run, digest)
        for name, (run, digest) in _seals(uri).items()
    }


def _seals(uri: str) -> dict[str, tuple[str, str]]:
    """(MLflow's run id, digest) of every seal by name, oldest first."""
    if SEALS not in sweep_ids(uri):
        return {}
    tries = reversed(RunStore.find(SEALS, uri).tries())
    return {
        one.tags[_NAME]: (one.store_run_id, one.tags[_DIGEST])
        for one in tries
        if _NAME in one.tags and _DIGEST in one.tags
    }


def _fetch(uri: str, name: str, store_run_id: str, digest: str) -> str:
    """The document from the store of artifacts, held against its digest."""
    client = connect(uri)
    with one_line_errors(uri):
        place = client.get_run(store_run_id).info.artifact_uri
    with tempfile.TemporaryDirectory() as folder, artifact_errors(place, f'"{name}" is not read'):
        content = Path(client.download_artifacts(store_run_id, _FILE, folder)).read_bytes()
    found = _sha256(content)
    if found != digest:
        raise StoreError(
            f'the sealed forecast "{name}" was changed after it was sealed (digest {digest[:16]}, '
            f"content {found[:16]} in {without_credentials(place)}); it cannot be scored"
        )
    _keep_copy(digest, content)
    return content.decode()


def _read_copy(digest: str) -> str | None:
    """This machine's own copy of a document; None where there is none, or it is not whole."""
    try:
        content = _copy(digest).read_bytes()
    except OSError:
        return None
    return content.decode() if _sha256(content) == digest else None


def _keep_copy(digest: str, content: bytes) -> None:
    with suppress(OSError):  # then it is fetched again
        scratch = _copy(digest).with_suffix(f".{os.getpid()}")
        scratch.write_bytes(content)
        scratch.replace(_copy(digest))


def _copy(digest: str) -> Path:
    return state_folder("cache", "seals") / digest


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
