"""The configs that come with the project, by name, wherever it is installed.

They are the repository's folder configs/; the link sweeps/configs puts them into the package, so
that a checkout and a wheel find them in the same way.
"""

from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from scaling.errors import ConfigError
from scaling.tables.notes import printable


def shipped_configs() -> dict[str, Traversable]:
    """Every shipped config's file by its name, such as quickstart, in the order of the names."""
    found = sorted((files("sweeps") / "configs").iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file for file in found if file.name.endswith(".yaml")}


def config_file(name: str | Path) -> Traversable:
    """The file at this path or, where none is there, the shipped config of this name.

    Raises ConfigError, naming the shipped ones, where there is neither.
    """
    path, shipped = Path(name), shipped_configs()
    there = False
    with suppress(OSError, ValueError):  # no path at all: too long, a NUL byte
        if str(name) in shipped and not path.is_file():
            return shipped[str(name)]
        there = path.exists()
    if not there:
        raise ConfigError(
            f"{printable(name)}: no such file; name one, or a config that comes with the project: "
            f"{', '.join(shipped)}"
        )
    return path
