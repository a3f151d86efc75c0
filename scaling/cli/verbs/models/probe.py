"""The verb that compares two trained models on prompts of given probability."""

import argparse
import json

from scaling.cli.options.sweeps import overrides
from scaling.cli.outputs import answer, say
from scaling.cli.verbs.models.sample import models_named
from scaling.errors import ConfigError
from scaling.words import counted

Arguments = argparse.Namespace


def probe(arguments: Arguments) -> None:
    """Compare two RUNs of one distribution: divergences from the truth and each other, rules."""
    from sweeps.config.yaml_file import load_config
    from sweeps.data.questions import ZERO
    from sweeps.generation.compared import AMONG_POSSIBLE, compare_runs

    config = load_config(arguments.config, arguments.set)
    runs = models_named(arguments)
    if len(runs) != 2:
        raise ConfigError(
            f"{counted(len(runs), 'run')} named, and two are compared; name each by its id, or "
            "choose two of a sweep with --where"
        )
    first, second = runs
    found = compare_runs(first, second, config)
    answer(json.dumps(found.to_dict()), found.to_text, arguments)
    say(AMONG_POSSIBLE)
    if not config.probes.prompt_tokens:
        say("probes.prompt_tokens is not set: compared at the last place of validation sequences")
    elif any(group.kind == ZERO for group in found.groups):
        say("after a prompt that no sentence begins with there is no truth to be held against")


def source(command: argparse.ArgumentParser) -> None:
    """The distribution, and what is asked."""
    command.add_argument(
        "--config",
        metavar="CONFIG",
        required=True,
        help="the sweep's YAML file, or a shipped config: its data are the truth, its probes say "
        "which prompts and rules",
    )
    overrides(command, "--set probes.prompt_tokens=6")
