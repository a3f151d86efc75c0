"""Studies of theory that `scaling study NAME` runs, each from a few settings."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from scaling.cli import options
from scaling.cli.budgets import given_number
from scaling.cli.outputs import put, say, write
from scaling.errors import ConfigError
from scaling.tables.notes import printable

Arguments = argparse.Namespace
_IMPLICIT_BIAS = {
    "contexts": 50,
    "dimensions": 60,
    "vocabulary": 10,
    "support": 6,
    "seed": 3,
    "steps": 10_000,
}
_MOST = 10_000_000


def implicit_bias(arguments: Arguments) -> None:
    """Train linear next-token models on contexts with sparse supports, and hold the loss, the
    direction and the finite part of their weights against theory."""
    from analysis.plots.implicit_bias import save_implicit_bias_figure
    from analysis.studies.contexts import random_contexts
    from analysis.studies.implicit_bias import study_implicit_bias

    if arguments.seal is not None or arguments.publish:
        raise ConfigError("implicit-bias forecasts no run, so nothing can be sealed; drop --seal")
    settings = _settings(_IMPLICIT_BIAS, arguments.set)
    steps = settings.pop("steps")
    found = study_implicit_bias(random_contexts(**settings), steps=steps)
    folder = Path(arguments.output or Path("results") / "implicit-bias")
    write(found.to_json() + "\n", str(folder / "implicit_bias.json"))
    save_implicit_bias_figure(found, folder / "implicit_bias.svg")
    put(found.to_text())
    say(f"written: {folder / 'implicit_bias.json'}, {folder / 'implicit_bias.svg'}")


#: The name after `scaling study`, and what runs it.
STUDIES: dict[str, Callable[[Arguments], None]] = {"implicit-bias": implicit_bias}


def subject(command: argparse.ArgumentParser) -> None:
    """What is studied: a sweep, or a piece of theory."""
    options.config(command, f"a YAML file, a shipped config, or one of {', '.join(STUDIES)}")


def _settings(defaults: Mapping[str, int], overrides: list[str]) -> dict[str, int]:
    """The whole numbers of a study, with ``KEY=VALUE`` overrides."""
    settings = dict(defaults)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or key not in defaults:
            raise ConfigError(
                f"--set {printable(override)}: give KEY=VALUE with one of {', '.join(defaults)}"
            )
        try:
            value = given_number(text)
        except argparse.ArgumentTypeError as error:
            raise ConfigError(f"--set {printable(override)}: {error}") from error
        if not 0 <= value <= _MOST or not value.is_integer():
            raise ConfigError(f"--set {printable(override)}: a whole number up to {_MOST:,}")
        settings[key] = int(value)
    return settings
