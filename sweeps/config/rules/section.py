"""Part of a config: it knows the key under which it lies, and states its rules by that key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from scaling.errors import ConfigError


class Section:
    """Base of the dataclasses that make up a config.

    Each refuses in its own `__post_init__` what it cannot mean, in one line that begins with the
    whole key, whether a file or code gave the value: `launch.workers is 0; it must be positive`.
    """

    place: ClassVar[str] = ""
    """The key under which it lies; empty where it lies under several, as a grid does."""
    tag: ClassVar[str] = ""
    """The setting that says which variant it is, for example `source`; empty where there is one."""
    open_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The keys that a field takes whose type is a dict, by its name; a field that is not among them
    takes any."""
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The words that a field may hold, where they are few, by its name."""

    def __init_subclass__(cls, *, place: str | None = None) -> None:
        """Note the key; a subclass that names none lies where its base does."""
        if place is not None:
            cls.place = place

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """The type of each field, by name."""
        hints = get_type_hints(cls)
        return {item.name: hints[item.name] for item in fields(_dataclass(cls))}

    @classmethod
    def variants(cls) -> Mapping[str, type[Section]]:
        """The types of which it may be one, by the value of their `tag`; without a tag, itself."""
        return {"": cls}

    @classmethod
    def variant_of(cls, settings: Mapping[str, Any]) -> type[Section]:
        """The type that these settings name."""
        return cls

    @classmethod
    def not_used(cls, name: str) -> str | None:
        """What to say of a field that other variants have and this one has not."""
        return None

    @classmethod
    def is_path(cls, name: str, value: str) -> bool:
        """Whether a field's value names files to read: in a config's file, from its folder on."""
        return False

    def mapping(self) -> dict[str, Any]:
        """All its settings as a file would state them."""
        stated = {self.tag: getattr(self, self.tag)} if self.tag else {}
        return stated | {name: _plain(getattr(self, name)) for name in self.field_types()}

    def stated(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as a file anywhere could state them: paths
        are whole."""
        found: dict[str, Any] = {self.tag: getattr(self, self.tag)} if self.tag else {}
        for item in fields(_dataclass(self)):
            value = getattr(self, item.name)
            if (
                item.default is MISSING
                and item.default_factory is MISSING
                or value != _default(item)
            ):
                found[item.name] = self._stated(item.name, value)
        return found

    def _stated(self, name: str, value: Any) -> Any:
        if isinstance(value, Section):
            return value.stated()
        if isinstance(value, tuple):
            return [self._stated(name, one) for one in value]
        if isinstance(value, str) and not value.startswith("~") and self.is_path(name, value):
            return str(Path(value).absolute())
        return value

    def changed(self, **changes: Any) -> Self:
        """A copy with other values; a mapping changes single fields of a part.

        launch.changed(device="cpu", speed={"inner_steps": 7})
        """
        for name, value in changes.items():
            part = getattr(self, name, None)
            if isinstance(part, Section) and isinstance(value, Mapping):
                changes[name] = part.changed(**value)
        return replace(_dataclass(self), **changes)

    @classmethod
    def key(cls, name: str) -> str:
        """The whole key of a field."""
        return f"{cls.place}.{name}" if cls.place else name

    def check_positive(self, *names: str) -> None:
        """Refuse numbers that are not positive; None is no number."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{self.key(name)} is {value:g}; it must be positive")

    def check_not_negative(self, *names: str) -> None:
        """Refuse numbers below zero; None is no number."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{self.key(name)} is {value:g}; it is 0 or more")

    def check_choice(self, *names: str) -> None:
        """Refuse words that are none of a field's `choices`."""
        for name in names:
            self.check_word(name, self.choices[name])

    def check_word(self, name: str, choices: tuple[str, ...]) -> None:
        """Refuse a word that is none of these."""
        value = getattr(self, name)
        if value not in choices:
            raise ConfigError(f'{self.key(name)} is "{value}"; choose one of {", ".join(choices)}')

    def check_unused(self, reason: str, *names: str) -> None:
        """Refuse values that nobody will read: those that differ from the field's default."""
        for item in fields(_dataclass(self)):
            if item.name in names and getattr(self, item.name) != _default(item):
                raise ConfigError(f"{self.key(item.name)} {reason}")


def _dataclass(section: Any) -> Any:
    """For the type checker: every Section is one."""
    return section


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.mapping()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()
