"""The verb that has trained models continue a prompt, and what verbs on kept weights share."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli.options.kinds import given_number, repeatable, seed, whole
from scaling.cli.outputs import answer, put, save, say, stream
from scaling.cli.verbs.models import pictures
from scaling.errors import ConfigError
from scaling.words import counted

if TYPE_CHECKING:
    from sweeps.generation.decoding.sampling import SamplingRule
    from sweeps.generation.kept_runs import KeptRun

Arguments = argparse.Namespace
_WIDTH = 120  # of what is not a terminal


def sample(arguments: Arguments) -> None:
    """Continue a prompt by the models of RUNs, side by side where they are several."""
    from sweeps.generation.texts.continuations import continuations_document, continue_prompt
    from sweeps.generation.texts.terminal import side_by_side

    rule = _rule(arguments)
    if arguments.label or arguments.png:
        pictures.draw(arguments, rule, models_named(arguments))
        return
    given = content(arguments.prompt, arguments.prompt_file) or b""
    runs = models_named(arguments)
    streams = len(runs) == 1 and arguments.samples == 1 and not arguments.json
    found = []
    for run in runs:
        one = continue_prompt(
            run,
            given,
            rule=rule,
            tokens=arguments.tokens,
            samples=arguments.samples,
            seed=arguments.seed,
            device=arguments.device,
            deterministic=arguments.deterministic,
            on_text=stream if streams else lambda text: None,
        )
        found.append(one)
        if streams:
            put("")  # the line that was streamed ends here
        say(f"{one.name} ({one.run_id}), context {one.context}: {run.path}")
        for line in shorter_source(one.run_id, len(one.prompt_tokens), one.source_length):
            say(line)
        if one.is_read_otherwise:
            read = json.dumps(one.prompt if len(one.prompt) <= 60 else f"{one.prompt[:57]}...")
            say(f"the prompt is read as {read}: the run's tokenizer knows no more")
    document = json.dumps(
        continuations_document(rule, arguments.seed, found, arguments.tokens), indent=1
    )
    how = f"{rule}{'' if rule.is_greedy else f', seed {arguments.seed}'}"
    how += f", {computed(found[0].device, found[0].deterministic)}"
    if streams:
        save(document, arguments)
        say(f"{how}; {found[0].continuations[0].ending.words}")
        return
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    answer(document, lambda: side_by_side(found, width), arguments)
    say(how)


def models(command: argparse.ArgumentParser) -> None:
    """Whose weights are asked."""
    command.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="a run id or its beginning, a sweep (mlflow:EXPERIMENT or its name: all of its runs), "
        "or a file of weights",
    )
    repeatable(
        command,
        "--where",
        '"COLUMN OP VALUE"',
        "of a sweep the runs that fulfil this, for example 'seed = 1'",
    )


def prompt(command: argparse.ArgumentParser) -> None:
    """What comes before."""
    group = command.add_mutually_exclusive_group()
    group.add_argument(
        "--prompt",
        metavar="TEXT",
        help="what the models go on from, for an encoder-decoder the source: text, or tokens "
        "parted by blanks where they stand for no text (default: nothing, which suits data whose "
        "sentences have a start)",
    )
    group.add_argument("--prompt-file", metavar="FILE", help="the same from a file; -: from stdin")


def drawing(command: argparse.ArgumentParser) -> None:
    """How the next token is chosen, and how many."""
    command.add_argument(
        "--tokens",
        type=whole,
        metavar="N",
        help="at most so many (default: to the end of the context)",
    )
    command.add_argument(
        "--greedy", action="store_true", help="always the likeliest; the same as --temperature 0"
    )
    for flag, metavar, kind, text in (
        ("--temperature", "T", given_number, "logits are divided by it (1)"),
        ("--top-k", "K", whole, "only so many of the likeliest, and those tied"),
        ("--top-p", "P", given_number, "only the smallest set of the likeliest of this mass"),
        ("--min-p", "P", given_number, "only those at least this share as likely as the likeliest"),
    ):
        command.add_argument(flag, metavar=metavar, type=kind, help=text)
    command.add_argument(
        "--samples", type=whole, default=1, metavar="N", help="texts a run (%(default)s)"
    )
    command.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="S",
        help="seed of every random draw (%(default)s)",
    )


def models_named(arguments: Arguments) -> "list[KeptRun]":
    """The runs that RUNs name, in their order, each once; says how many of a sweep have kept no
    weights."""
    from sweeps.generation.kept_runs import kept_runs

    found = [kept_runs(name, arguments.where) for name in arguments.runs]
    if without := sum(one.without for one in found):
        say(f"left out: {counted(without, 'finished run')} without kept weights")
    return list(dict.fromkeys(run for one in found for run in one.runs))


def computing(command: argparse.ArgumentParser) -> None:
    """On what it is computed, and how."""
    command.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="what it is computed on; auto takes cuda where there is one (%(default)s)",
    )
    command.add_argument(
        "--deterministic",
        action="store_true",
        help="by algorithms alone that repeat themselves to the last bit, on a GPU too; on a CPU "
        "all do",
    )


def computed(device: str, deterministic: bool) -> str:
    """On what it was computed, and how."""
    return f"on {device}{' by deterministic algorithms' if deterministic else ''}"


def shorter_source(run_id: str, given: int, length: int | None) -> list[str]:
    """What to say of a source that has not the tokens that each of a run's had in training."""
    if length is None or given == length:
        return []
    return [
        f"{run_id}: a source of {counted(given, 'token')}; in training each had {length:,}, so "
        "this is none that the run has learned from"
    ]


def content(text: str | None, path: str | None) -> bytes | None:
    """What was typed, or the file holds; None where neither was given."""
    if path is None:
        return None if text is None else os.fsencode(text)
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def _rule(arguments: Arguments) -> "SamplingRule":
    from sweeps.generation.decoding.sampling import GREEDY, SamplingRule

    names = ("temperature", "top_k", "top_p", "min_p")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if not arguments.greedy:
        return SamplingRule(**given)
    for name in given:
        flag = f"--{name.replace('_', '-')}"
        raise ConfigError(f"--greedy always takes the likeliest token; drop it, or drop {flag}")
    return GREEDY
