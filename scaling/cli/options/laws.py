"""Which law is fitted to runs, and how: constants that are held, groups, resamples, levels."""

import argparse

from scaling.cli.options.kinds import Options, given_number, repeatable, whole


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
        alone = "; without --law all of them, weighted by their backtests" * (default == "auto")
        laws_file(command, f"for --law NAME{alone}")
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
    repeatable(
        command,
        "--fix",
        "CONSTANT=VALUE",
        f"hold a constant at a value (c=1.7) or a column's (E=entropy){of_what}",
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
    repeatable(
        command,
        "--bound",
        "CONSTANT=LOW:HIGH",
        "keep a constant between two values, either may be left out",
    )
    repeatable(
        command,
        "--tie",
        "CONSTANT=EXPRESSION",
        "express a constant by others, for example beta=alpha",
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


def levels_of(command: argparse.ArgumentParser, what: str) -> None:
    """How sure intervals are, and what they are of."""
    command.add_argument(
        "--level",
        type=given_number,
        action="append",
        metavar="SHARE",
        help=f"confidence level of the intervals {what}; repeatable (default: 0.9)",
    )
