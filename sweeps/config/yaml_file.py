"""A sweep's YAML file, and overrides from the command line, as a SweepConfig."""

import difflib
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from scaling.errors import ConfigError
from sweeps.config.sweep import SweepConfig


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep that a YAML file describes, with `key.path=value` overrides applied.

    Raises ConfigError, in one line that begins with the path, for a file that cannot be read, an
    unknown key (naming the nearest known one), a value of the wrong type, and sizes that make no
    run.
    """
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; is the path right?") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); is it YAML?") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_yaml_problem(error)}; mend the YAML") from error
    try:
        return config_from_mapping(raw, overrides)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def config_from_mapping(raw: object, overrides: Sequence[str] = ()) -> SweepConfig:
    """The sweep that a nested mapping describes; raises ConfigError like load_config, without the
    path."""
    if not isinstance(raw, Mapping):
        raise ConfigError("holds no settings; a sweep needs at least a name and a grid")
    values = _normalised(raw, SweepConfig, "")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f'override "{override}" is not of the form key.path=value')
        value: object = yaml.load(text, Loader=_Loader)
        for name in reversed(key.strip().lstrip("-").split(".")):
            value = {name: value}
        values = _merged(values, _normalised(value, SweepConfig, ""))
    # Imported here: a config that code has made needs no parser.
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--sweep", type=SweepConfig)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    try:
        config: SweepConfig = instantiate(parser.parse_object({"sweep": values})).sweep
    except ArgumentError as error:
        raise ConfigError(_one_line(error)) from error
    return config


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 3e10 for a string; budgets are written so."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _normalised(raw: object, kind: Any, where: str) -> Any:
    """The raw value with unknown keys refused and single values made lists where lists are
    meant."""
    if typing.get_origin(kind) is tuple:
        values = raw if isinstance(raw, list | tuple) else [raw]
        item = typing.get_args(kind)[0]
        return [_normalised(value, item, f"{where}[{index}]") for index, value in enumerate(values)]
    if not is_dataclass(kind):
        return raw
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} is {raw!r}; it needs settings of the form key: value")
    known = {item.name: item.type for item in fields(kind)}
    for key in raw:
        if key not in known:
            label = f"{where}.{key}" if where else key
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.4)
            hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
            raise ConfigError(f'unknown key "{label}"; {hint}')
    return {
        key: _normalised(value, known[key], f"{where}.{key}" if where else key)
        for key, value in raw.items()
        if value is not None
    }


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _one_line(error: Exception) -> str:
    """jsonargparse's nested message as one line that names the key."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    keys = [line.split('"')[1] for line in lines if line.startswith("Parser key")]
    key = ".".join(keys).removeprefix("sweep.")
    reason = lines[-1].replace("<class '", "").replace("'>", "").replace("sweep.", "")
    return f"{key}: {reason}" if key else reason


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + (getattr(error, "problem", None) or str(error).splitlines()[0])
