"""Studies of theory that `scaling study NAME` runs, each from a few settings."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli.options import sweeps
from scaling.cli.options.kinds import given_number
from scaling.cli.outputs import put, say, write
from scaling.cli.verbs.models.sample import content
from scaling.cli.verbs.spending.ab import ab
from scaling.cli.verbs.spending.tune import tune
from scaling.errors import ConfigError
from scaling.tables.notes import printable
from scaling.words import counted

if TYPE_CHECKING:
    from analysis.studies.contexts import Contexts
    from scaling.arrays import FloatArray

Arguments = argparse.Namespace
_IMPLICIT_BIAS = {
    "contexts": 50,
    "dimensions": 60,
    "vocabulary": 10,
    "support": 6,
    "sequences": 5000,  # 0: probabilities that no training set counted
    "seed": 0,
    "steps": 10_000,
}
#: Of `--set example=plane`, the contexts that can be drawn.
_PLANE = {"seed": 0, "steps": 10_000}
#: Of contexts that a trained decoder reads in a text; `steps` as above.
_READ = {"contexts": 50, "length": 2, "steps": 10_000}
_MOST = 10_000_000


def implicit_bias(arguments: Arguments) -> None:
    """Train linear next-token models on contexts with sparse supports, and hold the loss, the
    direction and the finite part of their weights against theory."""
    from analysis.plots.implicit_bias import save_implicit_bias_figure, save_plane_figure
    from analysis.studies.conditions import decide
    from analysis.studies.implicit_bias import study_implicit_bias

    if arguments.tuned is not None or arguments.budget is not None:
        raise ConfigError("implicit-bias tunes no recipe; drop --config and --budget")
    if arguments.seal is not None or arguments.publish:
        raise ConfigError("implicit-bias forecasts no run, so nothing can be sealed; drop --seal")
    contexts, steps, beside = _asked(arguments.set)
    found = study_implicit_bias(contexts, steps=steps, beside=beside)
    folder = Path(arguments.output or Path("results") / "implicit-bias")
    written = [folder / "implicit_bias.json", folder / "implicit_bias.svg"]
    write(found.to_json() + "\n", str(written[0]))
    save_implicit_bias_figure(found, written[1])
    if found.dimensions == 2:
        written.append(folder / "plane.svg")
        save_plane_figure(contexts, decide(contexts), written[-1])
    put(found.to_text())
    say(f"written: {', '.join(map(str, written))}")


def _asked(overrides: list[str]) -> "tuple[Contexts, int, dict[str, FloatArray]]":
    """The contexts that are asked for, the steps, and weights to hold beside them."""
    from analysis.studies.contexts import contexts_in_the_plane, random_contexts

    named, others = _named(overrides, "run", "text", "example")
    example = named.pop("example", None)
    if named and example is not None:
        raise ConfigError("--set example= and --set run= each name contexts; give one of them")
    if named:
        settings = _settings(_READ, others)
        steps = settings.pop("steps")
        contexts, head = _contexts_read(named, **settings)
        return contexts, steps, {"the decoder's own head": head}
    if example not in (None, "plane"):
        raise ConfigError(f"--set example={printable(example)}: the one example is plane")
    settings = _settings(_IMPLICIT_BIAS if example is None else _PLANE, others)
    steps = settings.pop("steps")
    if example is not None:
        return contexts_in_the_plane(seed=settings["seed"]), steps, {}
    sequences = settings.pop("sequences") or None
    return random_contexts(**settings, sequences=sequences), steps, {}


def _contexts_read(named: Mapping[str, str], **settings: int) -> "tuple[Contexts, FloatArray]":
    """The contexts that the decoder of a run reads in a text, and its own head."""
    from analysis.studies.contexts import Contexts
    from sweeps.generation.kept_runs import kept_runs
    from sweeps.generation.texts.contexts_read import contexts_read

    if lacking := [name for name in ("run", "text") if name not in named]:
        raise ConfigError(
            f"--set {lacking[0]}= is missing: the contexts of a trained decoder take a run with "
            "kept weights and a text, --set run=RUN --set text=FILE"
        )
    runs = kept_runs(named["run"]).runs
    if len(runs) > 1:
        many = counted(len(runs), "run")
        raise ConfigError(f"--set run={printable(named['run'])}: {many}; name one by its id")
    text = content(None, named["text"])
    assert text is not None  # a file was named
    read = contexts_read(runs[0], text, length=settings["length"], most=settings["contexts"])
    say(
        f"the contexts are those of {read.share:.0%} of the places of {named['text']}, and the "
        f"vocabulary the {counted(len(read.tokens), 'token')} that occur in it"
    )
    contexts = Contexts(
        embeddings=read.states, next_token=read.next_token, frequencies=read.frequencies
    )
    return contexts, read.head


#: The name after `scaling study`, and what runs it.
STUDIES: dict[str, Callable[[Arguments], None]] = {
    "implicit-bias": implicit_bias,
    "ab": ab,
    "tune": tune,
}


def subject(command: argparse.ArgumentParser) -> None:
    """What is studied: a sweep, a piece of theory, or the recipe of a sweep."""
    names = ", ".join(name for name in STUDIES if name not in ("ab", "tune"))
    sweeps.config(
        command,
        f"a YAML file, a shipped config, or a study of theory: {names} (its --set are numbers of "
        "its own, such as contexts=50; a wrong one lists them); ab: two recipes, --a and --b; or "
        "tune: the recipe of --config",
    )
    for arm, what in (("a", "the recipe that is there"), ("b", "the one that may replace it")):
        text = f"of `study ab`: the config of {what}"
        command.add_argument(f"--{arm}", metavar="CONFIG", help=text)
    command.add_argument(
        "--config",
        dest="tuned",
        metavar="CONFIG",
        help="of `study tune`: whose recipe",
    )


def _named(overrides: list[str], *keys: str) -> tuple[dict[str, str], list[str]]:
    """What ``KEY=TEXT`` overrides of these keys say, and the other overrides."""
    parts = [override.partition("=") for override in overrides]
    found = {key: text for key, equals, text in parts if equals and key in keys}
    return found, ["".join(part) for part in parts if not (part[1] and part[0] in keys)]


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
