"""What there is to say of each setting of a config, read from its dataclasses and their docstrings:
key, type, default, choices and reason. The printed config, its schema and the reference say it."""

import ast
import inspect
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any

from sweeps.config.recipe import CONSTANTS, RECIPES, Recipe
from sweeps.config.rules.section import Section
from sweeps.config.sweep import SweepConfig

#: Units of config keys, by the last part of the key.
_UNITS = {
    "tokens": "tokens",
    "tokens_per_param": "tokens per parameter",
    "flops": "FLOP",
    "flops_per_second": "FLOP/s",
    "seconds": "s",
    "hang_seconds": "s",
    "memory_gb": "GB",
    "device_memory_gb": "GB",
    "device_hours": "device hours",
    "ask_above_device_hours": "device hours",
    "cost": "budget.currency",
    "price_per_device_hour": "budget.currency an hour",
    "context": "tokens",
    "batch_tokens": "tokens",
    "inner_steps": "optimizer steps",
    "micro_sequences": "sequences",
    "validation_windows": "sequences",
    "max_epochs": "passes over the data",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a part of a config."""

    name: str
    key: str
    """The whole key, for example `launch.speed.pack`; in a list of sections `cells[].width`."""
    kind: Any
    """Its type, as annotated."""
    default: Any
    """MISSING where it must be given."""
    choices: tuple[str, ...]
    """The words it may hold; empty where others are possible."""
    reason: str
    """What it is, and why: its docstring on one line."""

    @property
    def unit(self) -> str:
        """The unit of its value; empty for a plain number or word."""
        return _UNITS.get(self.name, "")

    @property
    def required(self) -> bool:
        """Whether a config must give it."""
        return self.default is MISSING

    @property
    def section(self) -> type[Section] | None:
        """The part that it holds, or that each item of its list is; None for plain values."""
        item = typing.get_args(self.kind)[:1] if self.is_list else (self.kind,)
        held = item[0] if item else None
        return held if isinstance(held, type) and issubclass(held, Section) else None

    @property
    def is_list(self) -> bool:
        """Whether it holds any number of values."""
        return typing.get_origin(self.kind) is tuple


def settings_of(part: type, place: str = "") -> tuple[Setting, ...]:
    """The settings of a dataclass, in its order; those below its parts are not among them.

    `place` is the key under which it lies. Any dataclass will do, a `Recipe` too.
    """
    hints, reasons = typing.get_type_hints(part), field_docstrings(part)
    choices = getattr(part, "choices", {})
    return tuple(
        Setting(
            name=item.name,
            key=f"{place}.{item.name}" if place else item.name,
            kind=hints[item.name],
            default=_default(item),
            choices=choices.get(item.name, ()),
            reason=reasons.get(item.name, ""),
        )
        for item in fields(typing.cast(Any, part))
    )


def all_settings() -> Iterator[tuple[Setting, str]]:
    """Every setting of the config, parts before what lies in them, each with the variant that has
    it (`markov` of the sources of data); without one where all have it."""
    yield from _below(SweepConfig, "", "")


def _below(part: type[Section], place: str, variant: str) -> Iterator[tuple[Setting, str]]:
    for setting in settings_of(part, place):
        yield setting, variant
        if setting.section is None:
            continue
        below = f"{setting.key}[]" if setting.is_list else setting.key
        seen: set[str] = set()
        members = setting.section.variants()
        in_all = set.intersection(*(set(kind.field_types()) for kind in members.values()))
        for name, kind in members.items():
            for inner, inner_variant in _below(kind, below, name):
                shared = inner.name in in_all
                if not (shared and inner.key in seen):
                    yield inner, "" if shared else inner_variant
                seen.add(inner.key)


def recipe_constants() -> tuple[Setting, ...]:
    """The constants of a recipe, which `recipe.overrides` may replace; the defaults are those of
    the recipe that a config has unless it names another."""
    known = {setting.name: setting for setting in settings_of(Recipe, "recipe.overrides")}
    return tuple(known[name] for name in CONSTANTS)


def constants_of_recipes(name: str) -> dict[str, Any]:
    """What each named recipe has for a constant, by the recipe's name."""
    return {recipe.name: getattr(recipe, name) for recipe in RECIPES.values()}


@cache
def field_docstrings(part: type) -> dict[str, str]:
    """The string below each field of a class and its bases, on one line, by the field's name.

    Python keeps none of them, so they are read from the source; without one there are none.
    """
    found: dict[str, str] = {}
    for kind in reversed(part.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
        except (OSError, TypeError):  # built in, or of a session
            continue
        body = typing.cast(ast.ClassDef, tree.body[0]).body
        for field, after in zip(body, body[1:], strict=False):
            text = after.value if isinstance(after, ast.Expr) else None
            target: ast.expr | None = field.target if isinstance(field, ast.AnnAssign) else None
            target = field.targets[0] if isinstance(field, ast.Assign) else target
            if isinstance(target, ast.Name) and isinstance(text, ast.Constant):
                found[target.id] = " ".join(str(text.value).split())
    return found


def _default(item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else MISSING
