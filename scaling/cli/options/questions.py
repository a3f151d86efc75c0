"""The options that say what is asked of runs, and how it is answered."""

import argparse

from scaling.cli.options.budgets import budget, given_number, hardware
from scaling.cli.options.shared import Options, file_ending, whole


def law(default: str | None, along: bool = True) -> Options:
    """Which law, and where it may run ``along`` one column, which; None is the library's own."""

    def add(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--law",
            default=default,
            metavar="LAW",
            help="which law, by name (an unknown one lists all) or as a formula of any columns, "
            f"such as 'E + A*N^-alpha' ({default or 'the power law of compute'})",
        )
        laws_file(command, "for --law NAME")
        if default is not None:  # a fit has its own
            _fix(command, ", of the law that --law names")
        if along:
            command.add_argument(
                "--x", metavar="COLUMN", help="the input of a one-input law (default: train_flops)"
            )

    return add


def laws_file(command: argparse.ArgumentParser, what_for: str = "to choose from") -> None:
    """Laws that people wrote."""
    command.add_argument(
        "--laws", metavar="FILE.yaml", help=f"a file of formulas by name, {what_for}"
    )


def _fix(command: argparse.ArgumentParser, of_what: str = "") -> None:
    command.add_argument(
        "--fix",
        action="append",
        default=[],
        metavar="CONSTANT=VALUE",
        help=f"hold a constant at a value (c=1.7) or a column's (E=entropy){of_what}; repeatable",
    )


def fitting(command: argparse.ArgumentParser) -> None:
    """How a law is fitted."""
    command.add_argument(
        "--objective",
        metavar="NAME",
        help="what is minimised (default: huber, or least_squares where configurations are few)",
    )
    command.add_argument("--huber-delta", type=given_number, help="Huber threshold (0.001)")
    _fix(command)
    command.add_argument(
        "--bound",
        action="append",
        default=[],
        metavar="CONSTANT=LOW:HIGH",
        help="keep a constant between two values, either may be left out; repeatable",
    )
    command.add_argument(
        "--tie",
        action="append",
        default=[],
        metavar="CONSTANT=EXPRESSION",
        help="express a constant by others, for example beta=alpha; repeatable",
    )
    command.add_argument(
        "--bootstrap", type=whole, default=1000, metavar="N", help="resamples (%(default)s)"
    )
    command.add_argument(
        "--cluster", metavar="COLUMN", help="resample runs that share this together"
    )
    command.add_argument(
        "--weights", metavar="HOW", help="stderr, compute, or a column of weights (default: equal)"
    )
    runs = command.add_mutually_exclusive_group()
    for flag, is_frontier, text in (
        ("--frontier", True, "the runs that no cheaper run beats (default for laws of compute)"),
        ("--all-runs", False, "all usable runs (default for other laws)"),
    ):
        runs.add_argument(
            flag, dest="frontier", action="store_const", const=is_frontier, help=f"fit {text}"
        )
    groups(command)
    command.add_argument("--card", action="store_true", help="print the checklist card too")
    command.add_argument(
        "--cross-checks",
        action="store_true",
        help="print the optimal-size exponent by envelope and IsoFLOP profiles too",
    )
    command.add_argument(
        "--floor",
        action="store_true",
        help="print the irreducible loss by several laws, over all runs and the larger ones, too",
    )
    levels_of(command, "of the fitted law")


def groups(
    command: argparse.ArgumentParser, of_what: str = "fit the law to each of its groups"
) -> None:
    """By which groups, and what these have in common."""
    command.add_argument("--by", metavar="COLUMN", help=f"a column of groups: {of_what}")
    command.add_argument(
        "--share",
        metavar="CONSTANT",
        nargs="+",
        default=[],
        help="with --by: constants of the law that all groups have in common",
    )


def groups_alone(command: argparse.ArgumentParser) -> None:
    """By which groups, each from its own runs."""
    command.add_argument(
        "--by", metavar="COLUMN", help="a column of groups: each is answered from its own runs"
    )


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
    command.add_argument("--draws", type=whole, default=2000, help="draws (%(default)s)")
    command.add_argument(
        "--certificate",
        action="store_true",
        help="say what the runs alone allow too: the losses of all sums of falling powers within "
        "their error bands",
    )


def points_and_seals(command: argparse.ArgumentParser) -> None:
    """A table of points to predict, and a forecast to be held to."""
    command.add_argument(
        "--at",
        metavar="POINTS.csv",
        help="points to predict, by columns of params and tokens, of train_flops, or of --x; "
        "-o FILE.csv repeats the table with median, low_90 and high_90",
    )
    command.add_argument(
        "--inputs",
        metavar="COLUMN",
        nargs="+",
        help="with --at: predict by laws that are found in these columns, as `scaling discover` "
        "does",
    )
    groups(command, "with --at and --inputs or one law, constants of their own for its groups")
    command.add_argument(
        "--seal", metavar="NAME", help="keep the forecast for `scaling verify NAME`"
    )
    _publishing(command)


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


def levels_of(command: argparse.ArgumentParser, what: str) -> None:
    """How sure intervals are, and what they are of."""
    command.add_argument(
        "--level",
        type=float,
        action="append",
        metavar="SHARE",
        help=f"confidence level of the intervals {what}; repeatable (default: 0.9)",
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


def figure(command: argparse.ArgumentParser) -> None:
    """Where a figure is drawn."""
    ending = file_ending(".svg", ".png", ".pdf", is_needed=True)
    text = "draw it here; .svg, .png or .pdf by the ending"
    command.add_argument("--figure", metavar="FILE", type=ending, help=text)


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


def title(command: argparse.ArgumentParser) -> None:
    """What a page is called."""
    command.add_argument("--title", metavar="TEXT", help="the title of the page, if not ours")


def samples(command: argparse.ArgumentParser) -> None:
    """What models made of prompts."""
    command.add_argument(
        "--samples",
        action="append",
        default=[],
        metavar="FILE",
        help="show what models of each size made of a prompt, from `scaling sample ... -o FILE`; "
        "repeatable",
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
