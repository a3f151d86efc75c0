"""A config as the YAML file that says it: what differs from the defaults, and nothing else."""

import os
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, cast

import yaml

from sweeps.config.rules.section import Section
from sweeps.config.sweep import Grid, SweepConfig

_LONG = 1e6


def config_text(config: SweepConfig, folder: str | Path, heading: Sequence[str] = ()) -> str:
    """The file of a config that is to lie in ``folder``, under a ``heading`` of comments.

    `load_config` of it gives the config again: files that it reads are named as seen from there.
    """
    comments = "".join(f"# {line}".rstrip() + "\n" for line in heading)
    stated = _stated(config, Path(folder))
    blocks = [
        yaml.dump({key: value}, Dumper=_Dumper, sort_keys=False, width=96)
        for key, value in stated.items()
    ]
    return comments + "".join(blocks)


def cells_text(cells: Sequence[Grid]) -> str:
    """Cells as YAML, one a line; nothing of none."""
    stated = [_InlineMapping(_stated(cell, Path())) for cell in cells]
    text: str = yaml.dump(stated, Dumper=_Dumper, sort_keys=False, width=200) if stated else ""
    return text


def _stated(part: Section, folder: Path) -> dict[str, Any]:
    """What a part of a config says beyond its defaults."""
    kind = type(part)
    found: dict[str, Any] = {kind.tag: getattr(part, kind.tag)} if kind.tag else {}
    for item in fields(cast(Any, part)):
        value = getattr(part, item.name)
        if value == _default(item) and type(value) is type(_default(item)):
            continue
        found[item.name] = _plain(value, kind, item.name, folder)
    return found


def _plain(value: Any, kind: type[Section], name: str, folder: Path) -> Any:
    if isinstance(value, Section):
        return _stated(value, folder)
    if isinstance(value, tuple):
        listed = [_plain(one, kind, name, folder) for one in value]
        return (
            _Inline(listed)
            if not any(isinstance(one, dict) for one in listed)
            else [_InlineMapping(one) for one in listed]
        )
    if isinstance(value, str) and kind.is_path(name, value) and not value.startswith("~"):
        return os.path.relpath(value, folder)
    return value


def _default(item: Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


class _Inline(list[Any]):
    """A list on one line."""


class _InlineMapping(dict[str, Any]):
    """A mapping on one line, as cells are."""


class _Dumper(yaml.SafeDumper):
    """Lists of numbers and cells on a line each."""


_Dumper.add_representer(
    _Inline,
    lambda dumper, value: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", list(value), flow_style=True
    ),
)
_Dumper.add_representer(
    _InlineMapping,
    lambda dumper, value: dumper.represent_mapping(
        "tag:yaml.org,2002:map", dict(value).items(), flow_style=True
    ),
)


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    """5.0e+11 for 500000000000.0, and other numbers as they are."""
    if abs(value) < _LONG or value != float(f"{value:.10e}"):
        return dumper.represent_float(value)
    digits, exponent = f"{value:.10e}".split("e")
    digits = digits.rstrip("0")
    digits += "0" * digits.endswith(".")
    return dumper.represent_scalar("tag:yaml.org,2002:float", f"{digits}e{exponent}")


_Dumper.add_representer(float, _number)
