"""Sealed documents in the tracking store: runs of an experiment of their own, never changed.

    sealed-forecasts            an experiment
      scaling.seal.head         its tag: chain, number and digest of the last seal
      NAME                      a run for each seal
        seal.json               its artifact: the document, byte for byte
        scaling.seal            a tag: NAME
        scaling.seal.link       a tag: its chain and its number there
        scaling.seal.digest     a tag: SHA-256 of the artifact, as `sha256sum` prints it
        scaling.seal.verified.* tags: each run that verified it, as it was when it first did

A run without name and digest is no seal, and they are written when the artifact has arrived. Each
document holds the digest of the one before (`scaling.store.seals.chain` says what that shows). What
was read once is kept on this machine under its digest: a list of seals fetches none twice, and what
the store has since lost or changed is noticed here.
"""

import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scaling.errors import StoreError
from scaling.inputs.names import SEALS, checked_name
from scaling.limits import Limit, LimitCode
from scaling.store.connection.mlflow_client import (
    all_experiments,
    artifact_errors,
    connect,
    log_batches,
    one_line_errors,
)
from scaling.store.connection.sql_reads import experiment_tags, or_slowly, speaks_sql
from scaling.store.connection.state_folder import state_folder
from scaling.store.connection.tracking_uri import resolve_tracking_uri, without_credentials
from scaling.store.experiments import opened_experiment, sweep_ids
from scaling.store.run_store import RunStore
from scaling.store.seals.chain import (
    CLOCKS_DIFFER,
    SHOWN,
    Head,
    KeptSeal,
    Link,
    SealChain,
    checked_chain,
    in_words,
)
from scaling.store.tags.cache import Try
from scaling.words import counted

_NAME = "scaling.seal"
_LINK = "scaling.seal.link"
_DIGEST = "scaling.seal.digest"
_HEAD = "scaling.seal.head"
_VERIFIED = "scaling.seal.verified."
_FILE = "seal.json"


def keep_seal(
    name: str, document_at: Callable[[Link], str], tracking_uri: str | None = None
) -> KeptSeal:
    """Keep a sealed forecast under its name, for ever, as the next of its chain.

    ``document_at`` writes the document for its place in the chain. Raises ConfigError for what is
    no name (`scaling.inputs.names`), StoreError if the name is taken, if another seal was
    made at the same moment, if the clock of this machine is behind the store's last seal, or if the
    document does not reach the store: then nothing is sealed.
    """
    checked_name(name, "the name of the seal")
    uri = resolve_tracking_uri(tracking_uri)
    experiment = opened_experiment(SEALS, uri)
    _require_free(name, uri)
    link = next_link(uri)
    document = document_at(link)
    digest = _sha256(document.encode())
    client = connect(uri)
    with one_line_errors(uri):
        run = client.create_run(experiment, run_name=name).info
    try:
        with artifact_errors(run.artifact_uri, f'"{name}" is not sealed'):
            client.log_text(run.run_id, document, _FILE)
        with one_line_errors(uri):
            place = f"{link.chain} {link.number}"
            tags = {_NAME: name, _DIGEST: digest, _LINK: place}
            log_batches(client, run.run_id, tags=tags)
            client.set_terminated(run.run_id)
            if sum(_link_of(one)[1] == link.number for one in _tries(uri)) > 1:
                for tag in tags:  # a run without them is no seal
                    client.delete_tag(run.run_id, tag)
                raise StoreError(
                    f'another forecast was sealed at the same moment; "{name}" is not sealed: try '
                    "again"
                )
            client.set_experiment_tag(experiment, _HEAD, f"{place} {digest}")
    except StoreError:
        with suppress(Exception):  # a run without tags is no seal, so one that stays does no harm
            client.delete_run(run.run_id)
        raise
    _keep_copy(digest, document.encode())
    return KeptSeal(
        name=name,
        number=link.number,
        digest=digest,
        kept_at=_time(run.start_time),
        document=document,
    )


def next_link(tracking_uri: str | None = None) -> Link:
    """The place of the next seal of this store. Raises StoreError where this machine's clock is
    behind the store's last seal: what is sealed now would be dated before it."""
    uri = resolve_tracking_uri(tracking_uri)
    tries, head = _tries(uri), _heads(uri).get(SEALS)
    now = datetime.now(UTC)
    latest = max((_time(one.start) for one in tries), default=now)
    if latest - now > CLOCKS_DIFFER:
        raise StoreError(
            f"the clock of this machine says {in_words(now)}, but the last seal of this store was "
            f"made {in_words(latest)}; set the clock right"
        )
    last = max(tries, key=lambda one: _link_of(one)[1], default=None)
    chain, number = _link_of(last) if last else ("", 0)
    if head and head.number >= number:
        return Link(chain=head.chain, number=head.number + 1, previous=head.digest)
    if not last or not number:
        return Link(chain=uuid.uuid4().hex, number=1, previous="")
    return Link(chain=chain, number=number + 1, previous=last.tags[_DIGEST])


def sealed_names(tracking_uri: str | None = None) -> tuple[str, ...]:
    """The names of all sealed forecasts, oldest first."""
    return tuple(one.tags[_NAME] for one in _tries(resolve_tracking_uri(tracking_uri)))


def read_seals(fresh: str | None = None, tracking_uri: str | None = None) -> SealChain:
    """Every sealed forecast, oldest first, with what speaks against each and against the whole.

    The seal named ``fresh`` is read from the store itself; others that this machine has read before
    come from its own copies, which their digests vouch for. A document that cannot be read, or does
    not match its digest, is None and says so in the seal's limits.
    """
    uri = resolve_tracking_uri(tracking_uri)
    seals = [_kept(uri, one, is_fresh=one.tags[_NAME] == fresh) for one in _tries(uri)]
    heads = _heads(uri)
    chain = checked_chain(seals, heads.pop(SEALS, None), _copies())
    unread = tuple(
        Limit(LimitCode.SEAL_MISSING, limit.text)
        for seal in chain.seals
        if seal.document is None
        for limit in seal.limits
    )
    hidden = tuple(
        Limit(
            LimitCode.SEAL_MISSING,
            f"another chain of {counted(head.number, 'seal')} lies in this store, in an experiment "
            f'that was renamed or deleted ("{name}")',
        )
        for name, head in heads.items()
        if head.chain != chain.name
    )
    return replace(chain, limits=(*chain.limits, *hidden, *unread))


def keep_verified(
    name: str, runs: Iterable[Mapping[str, Any]], tracking_uri: str | None = None
) -> None:
    """Note with a seal the runs that verify it, as they are now; what was noted before stays."""
    uri = resolve_tracking_uri(tracking_uri)
    found = next((one for one in _tries(uri) if one.tags[_NAME] == name), None)
    if found is None:  # renamed or gone: the chain says so
        return
    new = {}
    for run in runs:
        identity = json.dumps([run["target"], run["source"], run["run"]])
        tag = _VERIFIED + _sha256(identity.encode())[:16]
        if tag not in found.tags:
            new[tag] = json.dumps({**run, "at": datetime.now(UTC).isoformat(timespec="seconds")})
    if new:
        client = connect(uri)
        with one_line_errors(uri):
            log_batches(client, found.store_run_id, tags=new)


def _require_free(name: str, uri: str) -> None:
    if name in sealed_names(uri):
        raise StoreError(f'a sealed forecast "{name}" exists already; choose another name')


def _tries(uri: str) -> list[Try]:
    """The runs that are seals, oldest first."""
    if SEALS not in sweep_ids(uri):
        return []
    tries = reversed(RunStore.find(SEALS, uri).tries())
    found = [one for one in tries if _NAME in one.tags and _DIGEST in one.tags]
    return sorted(found, key=lambda one: _link_of(one)[1])


def _link_of(one: Try) -> tuple[str, int]:
    """A seal's chain and number; ("", 0) for one of an older version."""
    chain, _, number = one.tags.get(_LINK, "").partition(" ")
    return (chain, int(number)) if number.isdecimal() else ("", 0)


def _heads(uri: str) -> dict[str, Head]:
    """What the store notes of the last seal of each chain, by experiment, deleted ones too."""
    if not sweep_ids(uri):  # no database yet: asking would make one
        return {}
    tags = None
    if speaks_sql(uri):
        with or_slowly(uri):
            tags = experiment_tags(uri, _HEAD)
    if tags is None:
        found = all_experiments(connect(uri), uri)
        tags = {one.name: one.tags[_HEAD] for one in found if _HEAD in one.tags}
    return {name: head for name, text in tags.items() if (head := _head(text))}


def _head(text: str) -> Head | None:
    chain, number, digest = (text.split() + ["", "", ""])[:3]
    if not number.isdecimal():
        return None
    return Head(chain=chain, number=int(number), digest=digest)


def _kept(uri: str, one: Try, *, is_fresh: bool) -> KeptSeal:
    """A seal with its document, from this machine's copy unless it must be fresh."""
    name, digest = one.tags[_NAME], one.tags[_DIGEST]
    limits: tuple[Limit, ...] = ()
    document = None if is_fresh else _read_copy(digest)
    if document is None:
        try:
            content, place = _fetch(uri, name, one.store_run_id)
        except StoreError as error:
            limits = (Limit(LimitCode.NO_ANSWER, str(error)),)
        else:
            found = _sha256(content)
            if found == digest:
                _keep_copy(digest, content)
                document = content.decode(errors="replace")
            else:
                text = (
                    f'the sealed forecast "{name}" was changed after it was sealed (digest '
                    f"{digest[:SHOWN]}, content {found[:SHOWN]} in {place}); it cannot be scored"
                )
                limits = (Limit(LimitCode.ALTERED, text),)
    notes = [value for tag, value in one.tags.items() if tag.startswith(_VERIFIED)]
    return KeptSeal(
        name=name,
        number=_link_of(one)[1],
        digest=digest,
        kept_at=_time(one.start),
        document=document,
        verified=tuple(filter(None, map(_note, notes))),
        limits=limits,
    )


def _note(text: str) -> dict[str, Any] | None:
    """A run that verified a seal, as it was noted; None for what is no such note."""
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        found = json.loads(text)
        kinds = {"target": int, "source": str, "run": str, "loss": float, "at": str}
        return {name: kind(found[name]) for name, kind in kinds.items()}
    return None


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _fetch(uri: str, name: str, store_run_id: str) -> tuple[bytes, str]:
    """The document from the store of artifacts, and the place that it came from."""
    client = connect(uri)
    with one_line_errors(uri):
        place = client.get_run(store_run_id).info.artifact_uri
    with tempfile.TemporaryDirectory() as folder, artifact_errors(place, f'"{name}" is not read'):
        content = Path(client.download_artifacts(store_run_id, _FILE, folder)).read_bytes()
    return content, without_credentials(place)


def _read_copy(digest: str) -> str | None:
    """This machine's own copy of a document; None where there is none, or it is not whole."""
    try:
        content = _copy(digest).read_bytes()
    except (OSError, ValueError):  # no file, or no name of one
        return None
    return content.decode(errors="replace") if _sha256(content) == digest else None


def _copies() -> list[dict[str, Any]]:
    """Every document of a chain that this machine has read, with its digest."""
    found = []
    for path in sorted(_copy("").iterdir()):
        with suppress(ValueError, RecursionError):
            document = json.loads(_read_copy(path.name) or "null")
            if isinstance(document, dict) and isinstance(document.get("number"), int):
                found.append({**document, "digest": path.name})
    return found


def _keep_copy(digest: str, content: bytes) -> None:
    with suppress(OSError):  # then it is fetched again
        scratch = _copy(digest).with_suffix(f".{os.getpid()}")
        scratch.write_bytes(content)
        scratch.replace(_copy(digest))


def _copy(digest: str) -> Path:
    return state_folder("cache", "seals") / digest


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
