"""Seals as a chain: each holds its number and the digest of the one before, as commits of git do.

A seal that was changed, deleted, renamed or dated anew contradicts a later one, the store's note of
the last one, the time at which it came into the store, or what this machine has read before. None
of that holds against somebody who makes a whole chain again and never showed a digest to anybody:
that is what publishing is for (`scaling.store.seals.publication`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scaling.errors import StoreError
from scaling.limits import Limit, LimitCode
from scaling.words import counted

CLOCKS_DIFFER = timedelta(minutes=10)  # by which clocks of honest machines may differ
SHOWN = 16  # digits of a digest that tell it from all others


@dataclass(frozen=True, kw_only=True)
class Link:
    """The place of a seal in a chain."""

    chain: str  # names the chain: made at random with its first seal
    number: int  # from 1
    previous: str  # the digest of the seal before; "" for the first


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a store notes of the last seal of its chain."""

    chain: str
    number: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The digest of a seal as it stands somewhere outside the store."""

    chain: str  # the first digits of the chain's name; "" where only a digest was given
    number: int
    digest: str
    where: str
    at: str | None = None  # UTC, by the clock of whoever published; None where nobody says
    remotes: tuple[str, ...] = ()  # remotes of git that hold it now
    disputed: tuple[str, ...] = ()  # those that hold another one in its place


@dataclass(frozen=True, kw_only=True)
class KeptSeal:
    """One seal as the store has it, and what speaks against it."""

    name: str
    number: int  # 0 for one of an older version, which is in no chain
    digest: str
    kept_at: datetime  # when it came into the store, by the store's own record
    document: str | None  # None where it cannot be read or does not match the digest
    verified: tuple[Mapping[str, Any], ...] = ()  # runs that verified it, as they were first seen
    published: Publication | None = None  # this seal or a later one, which holds its digest
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SealChain:
    """The seals of a store, oldest first, and what speaks against the whole."""

    name: str = ""
    seals: tuple[KeptSeal, ...] = ()
    count: int = 0  # how many there have been
    limits: tuple[Limit, ...] = ()

    def named(self, name: str) -> KeptSeal:
        """The seal of this name. Raises StoreError where there is none, or it cannot be read."""
        for seal in self.seals:
            if seal.name == name:
                if seal.document is None:
                    raise StoreError("; ".join(limit.text for limit in seal.limits))
                return seal
        names = ", ".join(seal.name for seal in self.seals) or "none"
        raise StoreError(f'no sealed forecast "{name}" (sealed: {names})')


@dataclass
class _Doubts:
    """What speaks against each seal, by position, and against the chain."""

    of_seals: list[list[Limit]]
    of_chain: list[Limit] = field(default_factory=list)

    def altered(self, position: int, text: str) -> None:
        self.of_seals[position].append(Limit(LimitCode.ALTERED, text))


def checked_chain(
    seals: Sequence[KeptSeal], head: Head | None, known: Iterable[Mapping[str, Any]] = ()
) -> SealChain:
    """The seals of a store with what speaks against each, and against their chain.

    ``head`` is what the store itself noted of its last seal; ``known`` are documents that this
    machine has read before, each with its ``digest``.
    """
    doubts = _Doubts([list(seal.limits) for seal in seals])
    documents = [_parsed(seal) for seal in seals]
    chains = [
        document["chain"]
        for seal, document in zip(seals, documents, strict=True)
        if seal.number and document.get("chain")
    ]
    chain = head.chain if head else next(iter(chains), "")
    by_number: dict[int, int] = {}
    for position, (seal, document) in enumerate(zip(seals, documents, strict=True)):
        if seal.number in by_number:
            doubts.altered(position, f"two seals are numbered {seal.number}: one was made anew")
        by_number.setdefault(seal.number, position)
        if not seal.number:
            doubts.altered(position, f'"{seal.name}" has no number: it stands in no chain')
        elif document:
            _check_content(doubts, position, seal, document, chain)
    _check_links(doubts, seals, documents, by_number, head)
    seen = [one for one in known if chain and one.get("chain") == chain]
    _check_known(doubts, seals, by_number, seen)
    numbers = [*by_number, *(one["number"] for one in seen), head.number if head else 0]
    count = max(numbers, default=0)
    missing = [number for number in range(1, count + 1) if number not in by_number]
    if missing:
        names = {one["number"]: f' ("{one["name"]}")' for one in seen}
        which = ", ".join(f"{number}{names.get(number, '')}" for number in missing)
        text = f"of {counted(count, 'seal')} the store has lost number {which}"
        doubts.of_chain.append(Limit(LimitCode.SEAL_MISSING, text))
    return SealChain(
        name=chain,
        seals=tuple(
            replace(seal, limits=tuple(limits))
            for seal, limits in zip(seals, doubts.of_seals, strict=True)
        ),
        count=count,
        limits=tuple(doubts.of_chain),
    )


def _parsed(seal: KeptSeal) -> dict[str, Any]:
    """A document's fields; none where it is no JSON object."""
    try:
        found = json.loads(seal.document or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_content(
    doubts: _Doubts, position: int, seal: KeptSeal, document: Mapping[str, Any], chain: str
) -> None:
    """What a document says of itself against what the store says of it."""
    if document.get("name") != seal.name:
        doubts.altered(position, f'"{seal.name}" was sealed as "{document.get("name")}": renamed')
    if (document.get("number"), document.get("chain")) != (seal.number, chain):
        doubts.altered(position, f'"{seal.name}" was sealed at another place of a chain')
    sealed_at = sealed_time(document)
    if sealed_at is None or abs(sealed_at - seal.kept_at) > CLOCKS_DIFFER:
        dated = "nothing" if sealed_at is None else in_words(sealed_at)
        text = f'"{seal.name}" is dated {dated}, but came into the store {in_words(seal.kept_at)}'
        doubts.altered(position, text)


def _check_links(
    doubts: _Doubts,
    seals: Sequence[KeptSeal],
    documents: Sequence[Mapping[str, Any]],
    by_number: Mapping[int, int],
    head: Head | None,
) -> None:
    """Each seal against the next one, which holds its digest, and the last against the store."""
    for number, position in by_number.items():
        after = by_number.get(number + 1)
        if not number or after is None or not documents[after]:
            continue
        seal, later = seals[position], seals[after]
        if documents[after].get("previous") != seal.digest:
            doubts.altered(
                position,
                f'"{seal.name}" is not what it was when "{later.name}" was sealed after it: '
                "another digest is held there",
            )
        times = [sealed_time(documents[one]) for one in (position, after)]
        if times[0] and times[1] and times[1] < times[0] - CLOCKS_DIFFER:
            text = f'"{later.name}" is dated before "{seal.name}", which was sealed first'
            doubts.altered(after, text)
    last = by_number.get(head.number) if head else None
    if head and last is not None and head.digest != seals[last].digest:
        text = f'"{seals[last].name}" is not what the store noted when it was sealed'
        doubts.altered(last, text)


def _check_known(
    doubts: _Doubts,
    seals: Sequence[KeptSeal],
    by_number: Mapping[int, int],
    seen: Sequence[Mapping[str, Any]],
) -> None:
    """The seals against documents of the same chain that this machine has read before."""
    for one in seen:
        position = by_number.get(one["number"])
        if position is not None and one["digest"] != seals[position].digest:
            doubts.altered(
                position,
                f'"{seals[position].name}" is not seal {one["number"]} as this machine has read '
                f"it before (digest {one['digest'][:SHOWN]}): it was changed, or this is another "
                "copy of the store",
            )


def with_publications(
    chain: SealChain, publications: Sequence[Publication], doubts: Sequence[Limit] = ()
) -> SealChain:
    """The chain held against digests that were published; each vouches for all seals before it."""
    own = sorted(
        (one for one in publications if chain.name.startswith(one.chain)),
        key=lambda one: one.number,
    )
    others = len(publications) - len(own)
    by_number = {seal.number: seal for seal in chain.seals}
    wrong = {
        one.number: one
        for one in own
        if one.number in by_number and not by_number[one.number].digest.startswith(one.digest)
    }
    seals = []
    for seal in chain.seals:
        limits = seal.limits
        if one := wrong.get(seal.number):
            text = f'"{seal.name}" is not what was published: {one.where} says {one.digest[:SHOWN]}'
            limits += (Limit(LimitCode.ALTERED, text),)
        for one in own:
            if one.number == seal.number and one.disputed:
                text = f"{' and '.join(one.disputed)} has another {one.where} than is here"
                limits += (Limit(LimitCode.ALTERED, text),)
        sound = (one for one in own if one.number not in wrong and one.number in by_number)
        published = next((one for one in sound if seal.number and one.number >= seal.number), None)
        seals.append(replace(seal, limits=limits, published=published))
    gone = [one for one in own if one.number > chain.count]
    missing = tuple(
        Limit(LimitCode.SEAL_MISSING, f"{one.where} speaks of a seal that the store does not have")
        for one in gone
    )
    if others:
        text = f"{counted(others, 'tag')} here of seals of another chain: its store is not this one"
        missing += (Limit(LimitCode.NOT_PROVED, text),)
    count = max([chain.count, *(one.number for one in gone)])
    limits = (*chain.limits, *missing, *doubts)
    return replace(chain, seals=tuple(seals), count=count, limits=limits)


def with_published_digest(chain: SealChain, digest: str) -> SealChain:
    """The chain held against one digest that somebody kept; where no seal has it, none counts."""
    digest = digest.strip().lower().removeprefix("sha256:")
    if len(digest) < SHOWN or set(digest) - set("0123456789abcdef"):
        raise StoreError(
            f"--published {digest}: a digest has at least {SHOWN} digits 0 to f, as "
            "scaling forecast --seal printed it; or say: --published git"
        )
    found = [seal for seal in chain.seals if seal.digest.startswith(digest)]
    if not found:
        text = f"no seal of this store has the published digest {digest[:SHOWN]}"
        limits = (Limit(LimitCode.ALTERED, text),)
        seals = tuple(replace(seal, limits=seal.limits + limits) for seal in chain.seals)
        return replace(chain, seals=seals)
    one = Publication(chain="", number=found[0].number, digest=digest, where="the digest given")
    return with_publications(chain, (one,))


def sealed_time(document: Mapping[str, Any]) -> datetime | None:
    """When a document says that it was sealed; None where it does not."""
    try:
        found = datetime.fromisoformat(str(document.get("sealed_at")))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def in_words(time: datetime) -> str:
    """A time as a sentence has it, to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
