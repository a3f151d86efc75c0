"""Sealed forecasts: the verb that scores them, and their standings for a report."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.cli.inputs import load
from scaling.cli.outputs import answer, say
from scaling.errors import ConfigError, ScalingError

if TYPE_CHECKING:
    from analysis.evaluation.sealed import Seal, SealStanding
    from analysis.forecasting.result import Forecast
    from scaling.records import Records

Arguments = argparse.Namespace


def verify(arguments: Arguments) -> None:
    """Score the forecast sealed under NAME, or --all, on runs that it had not seen."""
    from analysis.evaluation.sealed import Seal, standing_of
    from analysis.text.evaluation import standing_text, standings_text
    from analysis.text.tables import result_json, results_json
    from scaling.store.seals import read_seal

    if arguments.all == bool(arguments.name):
        raise ConfigError("verify one sealed forecast by its NAME, or all of them with --all")
    if arguments.all:
        standings = seal_standings()
        answer(results_json(standings), lambda: standings_text(standings), arguments)
        return
    seal = Seal.from_json(read_seal(arguments.name))
    records = load(arguments) if arguments.source else _source_of(seal)
    standing = standing_of(seal, records)
    answer(result_json(standing), lambda: standing_text(standing), arguments)


def seal(answered: "Forecast", name: str, records: "Records", **how: Sequence[str]) -> None:
    """Keep a forecast under a name in the run store, and say so; ``how`` goes to `seal_forecast`.

    Raises ForecastError where a run at one of its targets has landed already, and StoreError where
    the store does not take it: then nothing is sealed.
    """
    from analysis.evaluation.sealed import seal_forecast
    from scaling.store.seals import keep_seal

    made = seal_forecast(answered, name, records, **how)
    digest = keep_seal(made.name, made.to_json())
    say(f"sealed as {made.name}, digest {digest[:16]}")


def seal_standings() -> "tuple[SealStanding, ...]":
    """Where every sealed forecast of the run store stands."""
    from analysis.evaluation.sealed import standings_of
    from scaling.store.seals import read_seals

    return standings_of(read_seals(), _source_of)


def seals_to_report() -> "tuple[SealStanding, ...]":
    """The sealed forecasts for a report; a store that does not answer only costs their section."""
    try:
        return seal_standings()
    except ScalingError as error:
        say(f"scaling: sealed forecasts are left out: {error}")
        return ()


def _source_of(seal: "Seal") -> "Records":
    """The runs that a sealed forecast was made from, as they are now."""
    from scaling.sources import records_from
    from scaling.tables.reading import Reading

    how = Reading(columns=seal.columns, **seal.reading)
    return records_from(seal.source, where=seal.where, reading=how)
