"""Names that people give to what is kept: experiments, folders and words of commands."""

import re

from scaling.errors import ConfigError
from scaling.tables.notes import printable

MOST_CHARACTERS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SEALS = "sealed-forecasts"  # the experiment that holds sealed forecasts
#: Experiments that are made for other things: sealed forecasts, and MLflow's own.
RESERVED = (SEALS, "default")


def checked_name(name: str, place: str) -> str:
    """The name, if it may name a sweep or a sealed forecast.

    Raises ConfigError, which begins with `place`, for anything but letters, digits, ".", "_", "-"
    behind a letter or digit, for more than 100 characters, and for names that are taken.
    """
    if len(name) > MOST_CHARACTERS:
        raise ConfigError(
            f"{place} has {len(name):,} characters; a name has at most {MOST_CHARACTERS}"
        )
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-")
        hint = f", for example {near}" if near else ""
        raise ConfigError(
            f'{place} is "{printable(name)}"; a name holds letters, digits, ".", "_" and "-", and '
            f"begins with a letter or digit{hint}"
        )
    if name.lower() in RESERVED:
        raise ConfigError(f'{place} is "{name}", which is kept for other things; choose another')
    return name
