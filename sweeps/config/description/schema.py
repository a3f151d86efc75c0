"""The JSON schema of a config, by which an editor completes keys and marks mistakes."""

import typing
from types import NoneType
from typing import Any

from sweeps.config.description.describe import Setting, recipe_constants, settings_of
from sweeps.config.recipe import RECIPES
from sweeps.config.rules.section import Section
from sweeps.config.sweep import RecipeConfig, SweepConfig

_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}
#: A number as a person writes it: 1M, 3 ZFLOP, 124,439,808.
_NUMBER = r"^[-+]?[0-9][0-9., _]*([eE][-+]?[0-9]+)?[ ]?[A-Za-z ]*$"
_DRAFT = "http://json-schema.org/draft-07/schema#"  # what editors' YAML servers read


def config_schema() -> dict[str, Any]:
    """The JSON schema (draft 7) of a sweep's YAML file, as `load_config` reads it: a single value
    is a list of one, null is the default, and a key that nobody knows is refused. Rules between
    settings are the loader's alone."""
    return {"$schema": _DRAFT, "title": "A sweep of scaling", **_part(SweepConfig)}


def _part(part: type[Section]) -> dict[str, Any]:
    """A part of a config, or the choice between its variants."""
    variants = part.variants()
    if len(variants) == 1:
        return _object(part)
    without = part.variant_of({})  # the one that settings without the tag name
    return {
        "anyOf": [
            _object(kind, {part.tag: {"const": name}}, tag_needed=kind is not without)
            for name, kind in variants.items()
        ]
    }


def _object(
    part: type[Section], tag: dict[str, Any] | None = None, tag_needed: bool = False
) -> dict[str, Any]:
    settings = settings_of(part)
    needed = [setting.name for setting in settings if setting.required]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": (tag or {}) | {item.name: _setting(item, part) for item in settings},
        "required": [*(tag if tag and tag_needed else ()), *needed],
    }


def _setting(setting: Setting, part: type | None = None) -> dict[str, Any]:
    """What a setting may hold, with what it is and its default."""
    unit = f" [{setting.unit}]" if setting.unit else ""
    said: dict[str, Any] = {"description": setting.reason + unit}
    if setting.section is None and not setting.required:
        said["default"] = setting.default
    if part is RecipeConfig and setting.name == "name":
        return said | {"type": ["string", "null"], "enum": [*RECIPES, None]}
    if part is RecipeConfig and setting.name == "overrides":
        held: dict[str, Any] = {"type": "object", "additionalProperties": False}
        held["properties"] = {
            constant.name: {"description": constant.reason, **_held(constant)}
            for constant in recipe_constants()
        }
    else:
        held = _held(setting)
    return said | (held if setting.required else _or_null(held))


def _held(setting: Setting) -> dict[str, Any]:
    if setting.is_list:
        item = _part(setting.section) if setting.section else _plain(_arguments(setting.kind)[0])
        return {"anyOf": [{"type": "array", "items": item}, item]}
    if setting.section:
        return _part(setting.section)
    if typing.get_origin(setting.kind) is dict:
        return {"type": "object", "additionalProperties": _plain(_arguments(setting.kind)[1])}
    return {"enum": list(setting.choices)} if setting.choices else _plain(setting.kind)


def _plain(kind: Any) -> dict[str, Any]:
    """A number, a word, or one of several such types."""
    if typing.get_origin(kind) is typing.Literal:
        return {"enum": list(_arguments(kind))}
    choices = _arguments(kind) or (kind,)
    said: dict[str, Any] = {"type": [_TYPES[choice] for choice in choices]}
    if {int, float} & set(choices) and str not in choices:
        said["type"].append("string")
        said["pattern"] = _NUMBER
    return said


def _arguments(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind)


def _or_null(held: dict[str, Any]) -> dict[str, Any]:
    """Null stands for the default wherever there is one."""
    return {"anyOf": [held, {"type": "null"}]}
