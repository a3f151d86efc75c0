"""Sealed forecasts: the verb that scores them, and their standings for a report."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING

from scaling.cli.inputs import load
from scaling.cli.outputs import answer, say
from scaling.errors import ConfigError, ScalingError, StoreError

if TYPE_CHECKING:
    from analysis.evaluation.sealed import Seal
    from analysis.evaluation.verdicts import SealStanding
    from analysis.forecasting.answer.result import Forecast
    from scaling.records import Records
    from scaling.sources import Source
    from scaling.store.seals.chain import Link, SealChain
    from scaling.store.stored_runs import StoredRuns

Arguments = argparse.Namespace


def verify(arguments: Arguments) -> None:
    """Score the forecast sealed under NAME, or --all, on runs that it had not seen."""
    from analysis.display import results_json
    from analysis.evaluation.sealed import Seal
    from analysis.evaluation.verdicts import standing_of
    from analysis.text.evaluation import standing_text, standings_text
    from scaling.store.seals.kept import read_seals

    if arguments.all == bool(arguments.name):
        raise ConfigError("verify one sealed forecast by its NAME, or all of them with --all")
    chain = _held_against(arguments.published, read_seals(fresh=arguments.name))
    if arguments.all:
        standings = _standings(chain)
        _note_verified(standings)
        answer(results_json(standings), lambda: standings_text(standings), arguments)
        return
    kept = chain.named(arguments.name)
    seal = Seal.from_json(kept.document or "")
    records = load(arguments) if arguments.source else _source_of(seal)
    stored = _stored(records.source)
    standing = standing_of(seal, records, kept=kept, chain=chain, stored=stored)
    _note_verified((standing,))
    answer(standing.to_json(), lambda: standing_text(standing), arguments)


def seal(
    answered: "Forecast",
    name: str,
    records: "Records",
    *,
    unfiltered: "Source",
    publish: bool = False,
    asked: Sequence[str] = (),
    where: str | Sequence[str] = (),
) -> None:
    """Keep a forecast under a name in the run store, and say what to publish; the rest goes to
    `seal_forecast`.

    Raises ForecastError where a run at one of its targets has landed already, and StoreError where
    the store does not take it, or git could not tag it: then nothing is sealed.
    """
    from analysis.evaluation.sealed import seal_forecast
    from scaling.store.seals.kept import keep_seal
    from scaling.store.seals.publication import publication_line, publish_in_git, require_repository

    made = seal_forecast(answered, name, records, asked, where, unfiltered)
    links: list[Link] = []

    def document_at(link: "Link") -> str:
        if publish:
            require_repository(link)
        links.append(link)
        return replace(made, **asdict(link)).to_json()

    kept = keep_seal(made.name, document_at)
    line = publication_line(kept, links[-1])
    say(f"sealed as {made.name}, digest {kept.digest[:16]}")
    say(f"to publish before the run begins: {line}")
    if publish:
        tag = publish_in_git(kept, links[-1])
        say(f"tagged here as {tag}; to publish it: git push REMOTE {tag}")


def seal_standings() -> "tuple[SealStanding, ...]":
    """Where every sealed forecast of the run store stands."""
    from scaling.store.seals.kept import read_seals

    return _standings(read_seals())


def seals_to_report() -> "tuple[SealStanding, ...]":
    """The sealed forecasts for a report; a store that does not answer only costs their section."""
    try:
        return seal_standings()
    except ScalingError as error:
        say(f"scaling: sealed forecasts are left out: {error}")
        return ()


def _standings(chain: "SealChain") -> "tuple[SealStanding, ...]":
    from analysis.evaluation.verdicts import standings_of

    return standings_of(chain, _source_of, cache(_stored))


def _stored(source: str) -> "StoredRuns | None":
    """What the store knows of ``mlflow:EXPERIMENT`` beside its table; None of any other source."""
    from scaling.sources import STORED
    from scaling.store.run_store import RunStore
    from scaling.store.stored_runs import StoredRuns

    if not source.startswith(STORED):
        return None
    return StoredRuns(RunStore.find(source.removeprefix(STORED)))


def _held_against(published: str | None, chain: "SealChain") -> "SealChain":
    """The chain against what --published names: the tags of git here, or one digest."""
    from scaling.store.seals.chain import with_published_digest
    from scaling.store.seals.publication import held_against_git

    if published is None:
        return chain
    return (
        held_against_git(chain) if published == "git" else with_published_digest(chain, published)
    )


def _note_verified(standings: "Sequence[SealStanding]") -> None:
    """Note with each seal the runs that verify it now, so that later changes of them show."""
    from analysis.evaluation.verdicts import verified_runs
    from scaling.store.seals.kept import keep_verified

    for standing in standings:
        try:
            if runs := verified_runs(standing):
                keep_verified(standing.seal.name, runs)
        except StoreError as error:
            say(f"scaling: what verified {standing.seal.name} is not noted: {error}")


def _source_of(seal: "Seal") -> "Records":
    """The runs that a sealed forecast was made from, as they are now."""
    from scaling.sources import records_from

    return records_from(seal.source, where=seal.where, reading=seal.how)
