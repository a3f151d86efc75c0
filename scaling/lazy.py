"""The names that a package offers, each imported when it is first used, so that it stays light."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

VERSION = "__version__"


def offer(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """``__all__``, ``__getattr__`` and ``__dir__`` of a package, in this order.

    ``homes`` maps each module to the names that it is the home of; "" stands for the package's own
    modules. Raises AttributeError for a name that the package does not offer.
    """
    home_of = {name: module for module, names in homes.items() for name in names}
    names = sorted((*home_of, VERSION))

    def get(name: str) -> Any:
        if name == VERSION:
            from scaling.version import installed_version

            return installed_version()
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not home_of[name]:
            return import_module(f"{package}.{name}")
        return getattr(import_module(home_of[name]), name)

    return names, get, lambda: names
