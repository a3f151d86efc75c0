"""A file of laws that people write once and name: YAML, one formula a name.

vocabulary:
  formula: L = E + A*N^-alpha + B*D^-beta + G*vocab_size^-gamma
  bounds: {gamma: [0, 2]}
  units: {E: nats per token}
  source: {authors: [Ann Nobody], title: Words and losses, year: 2026, arxiv: "2601.00000"}
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.errors import ConfigError
from scaling.inputs.bounded_yaml import MOST_BYTES, load_yaml
from scaling.laws.base import Bounds
from scaling.laws.reference import Reference
from scaling.laws.registry import LAWS
from scaling.laws.written.formula import Formula
from scaling.tables.notes import printable

_KEYS = ("formula", "bounds", "units", "source")
_SOURCE_KEYS = ("authors", "title", "year", "arxiv")


def read_laws(path: str | Path) -> dict[str, Formula]:
    """The formulas of a file by their names. Raises ConfigError with the place of what is wrong."""
    try:
        with Path(path).open(encoding="utf-8") as opened:
            text = opened.read(MOST_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"--laws {path}: {why}; name a YAML file") from error
    try:
        return _laws(load_yaml(text))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _laws(raw: object) -> dict[str, Formula]:
    if not isinstance(raw, Mapping) or not raw:
        raise ConfigError("holds no laws; write NAME: {formula: ...}, one a law")
    return {str(name): _law(str(name), told) for name, told in raw.items()}


def _law(name: str, told: Any) -> Formula:
    place = printable(name)
    if not name.isidentifier():
        raise ConfigError(f'"{place}" is no name of a law; letters, digits and _ make one')
    if name in LAWS:
        raise ConfigError(f"there is a law {place} already ({LAWS[name].form}); choose a name")
    if isinstance(told, str):
        told = {"formula": told}
    _check_keys(told, _KEYS, place)
    text = told.get("formula")
    if not isinstance(text, str):
        raise ConfigError(f"{place}.formula is missing; write it as text")
    units = told.get("units") or {}
    _check_mapping(units, f"{place}.units")
    bounds = told.get("bounds") or {}
    _check_mapping(bounds, f"{place}.bounds")
    return Formula(
        text,
        name=name,
        bounds={str(k): _ends(v, f"{place}.bounds.{k}") for k, v in bounds.items()},
        units={str(k): str(v) for k, v in units.items()},
        reference=_source(name, told["source"]) if "source" in told else None,
    )


def _check_mapping(told: Any, place: str, key: str = "CONSTANT") -> None:
    if not isinstance(told, Mapping):
        raise ConfigError(f"{printable(place)} is no mapping; write it as {{{key}: ...}}")


def _check_keys(told: Any, known: tuple[str, ...], place: str) -> None:
    _check_mapping(told, place, known[0])
    for key in told:
        if key not in known:
            keys = ", ".join(known)
            raise ConfigError(f'unknown key "{printable(f"{place}.{key}")}"; keys are {keys}')


def _ends(told: Any, place: str) -> Bounds:
    """Two numbers, of which one may be left out (null)."""
    if isinstance(told, list | tuple) and len(told) == 2:
        low, high = (-math.inf if told[0] is None else told[0]), told[1]
        high = math.inf if high is None else high
        are_numbers = all(isinstance(v, int | float) and v is not True for v in (low, high))
        if are_numbers and low < high:
            return float(low), float(high)
    raise ConfigError(f"{printable(place)} is not two numbers, the lower one first: [0, 2]")


def _source(name: str, told: Any) -> Reference:
    place = f"{name}.source"
    _check_keys(told, _SOURCE_KEYS, place)
    authors, title, year = (told.get(key) for key in ("authors", "title", "year"))
    if isinstance(authors, str):
        authors = [authors]
    known = isinstance(authors, list) and authors and isinstance(title, str)
    if not known or not isinstance(year, int) or isinstance(year, bool):
        raise ConfigError(f"{printable(place)} needs authors, a title and a year")
    assert isinstance(authors, list) and isinstance(title, str)
    return Reference(name, tuple(map(str, authors)), title, year, str(told.get("arxiv", "")))
