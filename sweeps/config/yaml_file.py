"""A sweep's YAML file, and overrides from the command line, as a SweepConfig."""

import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from importlib.resources.abc import Traversable
from pathlib import Path
from types import NoneType
from typing import Any

from scaling.errors import ConfigError
from scaling.inputs.bounded_yaml import MOST_BYTES, load_yaml
from scaling.tables.cells.numbers import number
from scaling.tables.notes import printable
from sweeps.config.rules.section import Section
from sweeps.config.rules.unknown_key import unknown_key
from sweeps.config.shipped import config_file
from sweeps.config.sweep import SweepConfig

#: Bounds of whole numbers and of all others, within which arithmetic stays finite.
LARGEST_COUNT = 2**31 - 1
LARGEST_NUMBER = 1e30
SMALLEST_NUMBER = 1e-30


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep that a YAML file describes, with `key.path=value` overrides applied.

    The file is given by its path; one that comes with the project also by its name (quickstart).
    Relative paths of what it reads belong to its folder; those of overrides to the current one.

    Raises ConfigError, in one line that begins with the path, or with the override that is at
    fault, for a file that cannot be read, an unknown key (naming where it belongs, or the nearest
    known one), a value of the wrong type, and whatever a part of the config refuses.
    """
    file = config_file(path)
    raw: object = None
    try:
        raw = load_yaml(_text_of(file))
        if isinstance(raw, Mapping):
            raw = _from_folder(raw, SweepConfig, Path(path).parent)
        return config_from_mapping(raw, overrides)
    except ConfigError as error:
        at_fault = _override_at_fault(raw, overrides)
        where = printable(path, most=4000) if at_fault is None else f"--set {printable(at_fault)}"
        raise ConfigError(f"{where}: {error}") from error


def _override_at_fault(raw: object, overrides: Sequence[str]) -> str | None:
    """The override after which settings are refused that were none before; None where those of the
    file are refused by themselves and with every override."""
    for count in reversed(range(len(overrides))):
        with suppress(ConfigError):
            config_from_mapping(raw, overrides[:count])
            return overrides[count]
    return None


def _text_of(file: Traversable) -> str:
    """The text of a config, read to its bound: it may be a pipe, or have no end."""
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 text (byte {error.start}); is it YAML?") from error
    except OSError as error:
        what = "a folder" if isinstance(error, IsADirectoryError) else error.strerror or error
        raise ConfigError(f"{what}; name a YAML file") from error


def config_from_mapping(raw: object, overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep that a nested mapping describes; raises ConfigError like load_config, without the
    path."""
    if not isinstance(raw, Mapping):
        raise ConfigError("holds no settings; a sweep needs at least a name and a grid")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"{printable(override)} is not of the form key.path=value")
        value: object = load_yaml(text)
        for name in reversed(key.strip().lstrip("-").split(".")):
            value = {name: value}
        raw = merged(raw, typing.cast(Mapping[str, Any], value))
    config: SweepConfig = _section(raw, SweepConfig, "")
    return config


def _from_folder(raw: Mapping[str, Any], kind: type[Section], folder: Path) -> dict[str, Any]:
    """The settings with the files that they name as seen from the current folder.

    What is not what its type says stays as it is: it is refused where it is read.
    """

    def seen(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [seen(name, item) for item in value]
        if isinstance(value, str) and kind.is_path(name, value) and not value.startswith("~"):
            return str(folder / value)
        held = types.get(name)
        if isinstance(held, type) and issubclass(held, Section) and isinstance(value, Mapping):
            return _from_folder(value, held, folder)
        return value

    types = kind.field_types()
    return {name: seen(name, value) for name, value in raw.items()}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `base` with those of `over` in their place, key by key at any depth."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def _section(raw: object, kind: type[Section], place: str) -> Any:
    """The part of a config that a mapping describes."""
    if not isinstance(raw, Mapping):
        example = f"{place}.{next(iter(kind.field_types()))}"
        raise ConfigError(
            f"{place} is {printable(repr(raw))}; it needs settings, for example {example}"
        )
    kind = kind.variant_of(raw)
    types = kind.field_types()
    values = {}
    for key, value in raw.items():
        if kind.tag and key == kind.tag:
            continue
        if key not in types:
            raise ConfigError(unknown_key(key, value, kind, place, SweepConfig))
        if value is not None or NoneType in typing.get_args(types[key]):
            values[key] = _value(value, types[key], f"{place}.{key}" if place else key)
        # Elsewhere null is no value: it means the default.
    for item in fields(typing.cast(Any, kind)):
        if item.name not in values and item.default is item.default_factory is MISSING:
            raise ConfigError(f"{place}.{item.name} is missing; give it".removeprefix("."))
    try:
        return kind(**values)
    except ConfigError as error:
        if kind.place or not place:
            raise
        raise ConfigError(f"{place}.{error}") from error  # it lies at several keys: this one


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _value(raw: object, kind: Any, place: str) -> Any:
    """The raw value as one of a field's type; a single value is a list of one."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return _section(raw, kind, place)
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        values = raw if isinstance(raw, list | tuple) else [raw]
        if isinstance(item, type) and issubclass(item, Section):
            places = [f"{place}[{index}]" for index in range(len(values))]
            return tuple(_section(raw, item, at) for raw, at in zip(values, places, strict=True))
        return tuple(_value(value, item, place) for value in values)
    if typing.get_origin(kind) is dict:
        if not isinstance(raw, Mapping):
            raise ConfigError(
                f"{place} is {printable(repr(raw))}; it needs settings of the form key: value"
            )
        _, item = typing.get_args(kind)
        return {str(key): _value(value, item, f"{place}.{key}") for key, value in raw.items()}
    choices = typing.get_args(kind) or (kind,)
    if isinstance(raw, str) and str not in choices:
        with suppress(ValueError):  # 1M, 3 ZFLOP, 124,439,808
            raw = number(raw)
            raw = int(raw) if float not in choices and raw.is_integer() else raw
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        _check_number(raw, int in choices and float not in choices, place)
    if type(raw) in choices or (raw is None and NoneType in choices):
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool) and float in choices:
        return float(raw)
    words = " or ".join(_WORDS[choice] for choice in choices if choice in _WORDS)
    raise ConfigError(f"{place} is {printable(repr(raw))}; it must be {words}")


def _check_number(value: float, is_count: bool, place: str) -> None:
    """Refuse numbers that no setting can mean, before arithmetic meets them."""
    largest = LARGEST_COUNT if is_count else LARGEST_NUMBER
    if 0 < abs(value) < SMALLEST_NUMBER:
        raise ConfigError(f"{place} is {value:g}; it must be 0, or at least {SMALLEST_NUMBER:g}")
    if not -largest <= value <= largest:  # nan too
        raise ConfigError(
            f"{place} is {printable(repr(value))}; it must be a number up to {largest:g}"
        )
