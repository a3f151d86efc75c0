"""Sealed documents in the tracking store: runs of an experiment of their own, never changed."""

from scaling.errors import StoreError
from scaling.store.mlflow_client import connect, one_line_errors
from scaling.store.run_store import RunStore, sweep_ids
from scaling.store.tracking_uri import resolve_tracking_uri

SEALS = "sealed-forecasts"  # the experiment that holds them
_SEAL = "scaling.seal"
_TAG_LENGTH = 7000  # a tag holds 8,000 characters at most, so a long document is spread


def keep_seal(name: str, document: str, tracking_uri: str | None = None) -> None:
    """Keep a sealed forecast under its name; StoreError if the name is taken, for ever."""
    if name in read_seals(tracking_uri):
        raise StoreError(f'a sealed forecast "{name}" exists already; choose another name')
    store = RunStore.open(SEALS, tracking_uri)
    parts = [document[i : i + _TAG_LENGTH] for i in range(0, len(document), _TAG_LENGTH)]
    tags = {f"{_SEAL}.{number:04d}": part for number, part in enumerate(parts)}
    client = connect(store.tracking_uri)
    with one_line_errors(store.tracking_uri):
        run = client.create_run(store.experiment_id, run_name=name, tags={_SEAL: name, **tags})
        client.set_terminated(run.info.run_id)


def read_seals(tracking_uri: str | None = None) -> dict[str, str]:
    """The document of every sealed forecast by name, oldest first."""
    uri = resolve_tracking_uri(tracking_uri)
    if SEALS not in sweep_ids(uri):
        return {}
    documents = {}
    for tags in (one.tags for one in reversed(RunStore.find(SEALS, uri).tries())):
        if _SEAL in tags:
            parts = sorted(key for key in tags if key.startswith(f"{_SEAL}."))
            documents[tags[_SEAL]] = "".join(tags[key] for key in parts)
    return documents
