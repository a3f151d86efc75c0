"""The verb that holds two recipes against each other."""

import argparse
import json
import math
from dataclasses import asdict

from scaling.cli.inputs import levels, reading, require_two_arms
from scaling.cli.options.kinds import given_number, seed
from scaling.cli.options.laws import levels_of
from scaling.cli.options.tables import table
from scaling.cli.outputs import answer, draw
from scaling.errors import ConfigError

Arguments = argparse.Namespace

#: Exit codes of a gate, by its decision; 2 is a mistake's.
GATE_CODES = {"promote": 0, "reject": 1, "undecided": 3}


def arms(command: argparse.ArgumentParser) -> None:
    """Which two arms, at which budgets, and what is decided."""
    for name, what in (("a", "the arm that is there"), ("b", "the arm that may replace it")):
        text = f"{what}: a table, or mlflow:EXPERIMENT"
        command.add_argument(name, metavar=name.upper(), help=text)
    table(command)
    command.add_argument("--seed", type=seed, default=0, metavar="S", help="(%(default)s)")
    text = "budgets to compare at, FLOP (default: the largest common one, and ten times it)"
    command.add_argument("--flops", metavar="C", type=given_number, nargs="+", help=text)
    command.add_argument(
        "--gate",
        metavar="M",
        type=_multiplier,
        nargs="?",
        const=1.0,
        help="whether to promote B over A: exit code 0 where the multiplier surely lies above M "
        "(1) at the last budget and no rung denies it, 1 where it surely lies below, 3 "
        "where that is open",
    )
    levels_of(command, "of what is said of the arms")


def _multiplier(text: str) -> float:
    """The multiplier that --gate gives; a share of it, such as 5%, may mean two things."""
    value = given_number(text.strip().removesuffix("x"))
    if text.strip().endswith("%"):
        raise argparse.ArgumentTypeError(
            f'"{text}" is a share: write {1 + value:g} for so much more, or {value:g}'
        )
    return value


def compare(arguments: Arguments) -> int:
    """Compare recipes A and B on common cells: how much compute B saves, how surely, to where."""
    from analysis.decisions.two_recipes.compared import compare as compare_arms
    from analysis.forecasting.question.options import ForecastOptions
    from analysis.text.compared import comparison_text
    from scaling.answerable import require_direction
    from scaling.sources import records_from

    how = reading(arguments)
    read = [
        records_from(source, where=arguments.where, reading=how)
        for source in (arguments.a, arguments.b)
    ]
    require_two_arms(*read)
    if arguments.metric:
        for records in read:
            require_direction(records)
    if arguments.gate is not None and not 0 < arguments.gate < math.inf:
        raise ConfigError(f"--gate {arguments.gate:g}: a multiplier of compute lies above zero")
    shares = levels(arguments)
    found = compare_arms(
        *read,
        *(arguments.flops or ()),
        options=ForecastOptions(seed=arguments.seed, confidence_levels=shares),
    )
    verdict = None if arguments.gate is None else found.verdict(arguments.gate)
    document = json.loads(found.to_json())
    if verdict is not None:
        document["gate"] = asdict(verdict)
    arguments.notes = found.notes
    answer(
        json.dumps(document),
        lambda: comparison_text(found, verdict, alone=arguments.quiet),
        arguments,
        found.limits,
    )
    draw(found, arguments)
    return 0 if verdict is None else GATE_CODES[verdict.decision]
