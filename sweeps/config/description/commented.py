"""A config with every setting, each under what it is: the file that `scaling config` prints."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from scaling.errors import ConfigError
from sweeps.config.data import SOURCES, TextData
from sweeps.config.description.describe import (
    Setting,
    constants_of_recipes,
    recipe_constants,
    settings_of,
)
from sweeps.config.rules.section import Section
from sweeps.config.sweep import RecipeConfig, SweepConfig

_WIDTH = 96  # characters of a line
_HEADER = """\
Every setting of a sweep with its default. Leave out what you do not change: a sweep needs a name,
and a grid or cells. null stands for the default. `scaling plan` shows what it would train."""
#: What a sweep cannot do without.
_EXAMPLE: Mapping[str, Any] = {
    "name": "my-sweep",
    "grid": {"width": [32, 48, 64], "flops": [1.0e11, 2.0e11, 4.0e11]},
}


def commented_config(source: str = TextData.source) -> str:
    """A YAML file that loads: every setting with its default and what it is; data from this
    source, and those from other sources as comments. ConfigError for an unknown source."""
    if source not in SOURCES:
        raise ConfigError(f'no source "{source}"; choose one of {", ".join(SOURCES)}')
    lines = list(_comment(_HEADER))
    for setting in settings_of(SweepConfig):
        lines += ["", *_setting(setting, _EXAMPLE.get(setting.name), source)]
    return "\n".join(lines) + "\n"


def _setting(setting: Setting, example: Any, source: str) -> Iterator[str]:
    """One setting and all below it."""
    part = setting.section
    if part is None:
        yield from _comment(_reason(setting))
        given = setting.default if example is None else example
        yield f"{setting.name}: {_yaml(given)}" + ("  # an example" if example else "")
    elif setting.is_list:
        names = (f"{item.name} (needed)" * item.required or item.name for item in settings_of(part))
        yield from _comment(f"{setting.reason} Each has {', '.join(names)}.")
        yield f"{setting.name}: []"
    else:
        yield from _comment(setting.reason)
        yield f"{setting.name}:"
        variants = part.variants()
        yield from _indented(_part(variants.get(source, part), setting.key, example, source))
        for name, other in variants.items():
            if len(variants) > 1 and name != source:
                yield ""
                yield from _out([f"{setting.name}:", *_indented(_part(other, "", None, name))])


def _part(part: type[Section], place: str, example: Any, source: str) -> Iterator[str]:
    """The settings of a part, without its own key."""
    if part.tag:
        yield f"{part.tag}: {getattr(part, part.tag)}"
    for setting in settings_of(part, place):
        yield from _setting(setting, (example or {}).get(setting.name), source)
    if part is RecipeConfig:
        title = f"The constants, as {RecipeConfig().name} has them and overrides may replace them:"
        yield from _comment(title)
        yield from _out(["overrides:", *_indented(_constants())])


def _constants() -> Iterator[str]:
    """What `recipe.overrides` may replace, as the recipe of the default has it."""
    for constant in recipe_constants():
        others = {
            name: value
            for name, value in constants_of_recipes(constant.name).items()
            if value != constant.default
        }
        elsewhere = "; ".join(f"{name}: {_yaml(value)}" for name, value in others.items())
        yield from _comment(_reason(constant) + (f" ({elsewhere})" if elsewhere else ""))
        yield f"{constant.name}: {_yaml(constant.default)}"


def _reason(setting: Setting) -> str:
    choices = f" One of: {', '.join(setting.choices)}." if setting.choices else ""
    unit = f" [{setting.unit}]" if setting.unit else ""
    return setting.reason + choices + unit


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)


def _out(lines: Iterable[str]) -> Iterator[str]:
    """Lines as comments: without the first two characters they count."""
    return (f"# {line}" for line in lines)


def _yaml(value: Any) -> str:
    """A value as YAML on one line, numbers as a person writes them: 1e+11, 24."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]
