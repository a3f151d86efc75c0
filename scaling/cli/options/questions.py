"""What is asked of runs: forecasts, budgets to split, and forecasts to be held to."""

import argparse

from scaling.cli.options.budgets import budget, hardware
from scaling.cli.options.kinds import given_number, whole
from scaling.cli.options.laws import groups, levels_of

DRAWS = 2000  # of a forecast, where no number is given


def _budgets(command: argparse.ArgumentParser) -> None:
    text = "training budgets, FLOP, or times the largest run's (10x)"
    command.add_argument("--flops", metavar="C", type=budget, nargs="+", help=text)


def questions(command: argparse.ArgumentParser) -> None:
    """What to predict, and how sure to be."""
    _budgets(command)
    for flag, metavar, text in (
        ("--params", "N", "model sizes, with --tokens"),
        ("--tokens", "D", "training tokens, with --params"),
        ("--values", "V", "values of the --x column"),
        ("--target-loss", "L", "the reverse: the budget (or --x) at which a loss is reached"),
    ):
        command.add_argument(flag, metavar=metavar, help=text, type=given_number, nargs="+")
    levels_of(command, "of a new run")
    command.add_argument("--draws", type=whole, default=DRAWS, help="draws (%(default)s)")
    command.add_argument(
        "--certificate",
        action="store_true",
        help="say what the runs alone allow too: the losses of all sums of falling powers within "
        "their error bands",
    )


def points_and_seals(command: argparse.ArgumentParser) -> None:
    """A table of points to predict, and a forecast to be held to."""
    _points(
        command,
        "points to predict, by columns of params and tokens, of train_flops, or of --x; "
        "-o FILE.csv repeats the table with median, low_90 and high_90",
        "with --at: predict by laws that are found in these columns, as `scaling discover` does",
    )
    groups(command, "with --at and --inputs or one law, constants of their own for its groups")
    command.add_argument(
        "--seal", metavar="NAME", help="keep the forecast for `scaling verify NAME`"
    )
    _publishing(command)


def points_on_a_page(command: argparse.ArgumentParser) -> None:
    """A table of points, laws of any columns, and groups, in a report."""
    _points(
        command,
        "points to predict besides, by columns of params and tokens, of train_flops, of --x, or of "
        "all that --law or --inputs read",
        "laws that are found in these columns besides, as `scaling discover` does",
    )
    groups(command, "each is answered by itself, in the place of all runs together")


def _points(command: argparse.ArgumentParser, at: str, inputs: str) -> None:
    command.add_argument("--at", metavar="POINTS.csv", help=at)
    command.add_argument("--inputs", metavar="COLUMN", nargs="+", help=inputs)


def sealing(command: argparse.ArgumentParser) -> None:
    """A study's own forecast, fixed before its runs exist."""
    command.add_argument(
        "--seal",
        metavar="NAME",
        help="train the held-out runs last, after their forecast is sealed as NAME",
    )
    _publishing(command)


def _publishing(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--publish",
        action="store_true",
        help="with --seal: tag the commit of git that is checked out here with the seal's digest",
    )


def allocation(command: argparse.ArgumentParser) -> None:
    """Which budgets to split, and what else they must pay for."""
    _budgets(command)
    command.add_argument("--target-loss", nargs="+", help=argparse.SUPPRESS)  # answered elsewhere
    paying(command)
    command.add_argument(
        "--approaches",
        action="store_true",
        help="the best sizes by Approaches 1, 2 and 3 beside the weighted laws, and their biases",
    )
    levels_of(command, "of the best size and tokens")


def paying(command: argparse.ArgumentParser) -> None:
    """What budgets must pay for besides training on fresh data, and what they are spent on."""
    for flag, metavar, default, text in (
        ("--inference-tokens", "T", 0.0, "tokens to be served out of the same budget"),
        ("--unique-tokens", "U", None, "distinct tokens there are to train on"),
    ):
        command.add_argument(flag, metavar=metavar, type=given_number, default=default, help=text)
    hardware(command)


def beside(command: argparse.ArgumentParser) -> None:
    """What else a report holds beside the forecast."""
    command.add_argument(
        "--against",
        metavar="SOURCE",
        help="runs of another recipe: which is better, by how much compute, how surely, as "
        "`scaling compare` says",
    )
    command.add_argument(
        "--next",
        metavar="B",
        type=budget,
        help="FLOP, or times the largest run's (10x), for further runs: which would narrow the "
        "forecast at the largest --flops (or ten times the largest run) most, as `scaling next` "
        "says",
    )


def seal_name(command: argparse.ArgumentParser) -> None:
    """Which sealed forecast, and where its runs have landed."""
    command.add_argument("name", metavar="NAME", nargs="?", help="the name it was sealed under")
    command.add_argument("--all", action="store_true", help="every sealed forecast")
    command.add_argument(
        "--published",
        metavar="git|DIGEST",
        help="hold the seals against the tags of this repository of git and its remotes, or "
        "against one digest that was published",
    )
    command.add_argument(
        "source", metavar="SOURCE", nargs="?", help="the runs (default: what it was made from)"
    )
