"""A table of runs, and how it is read."""

import argparse

from scaling.cli.options.kinds import repeatable, seed


def source(command: argparse.ArgumentParser) -> None:
    """A table of runs, and how to read it."""
    command.add_argument(
        "source",
        metavar="SOURCE",
        help="a table (.csv .tsv .json .jsonl .parquet .xlsx), or mlflow:EXPERIMENT",
    )
    table(command)
    command.add_argument(
        "--seed", type=seed, default=0, metavar="S", help="seed of every random draw (%(default)s)"
    )


def sources(command: argparse.ArgumentParser) -> None:
    """Any number of tables of runs."""
    command.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="tables or mlflow:EXPERIMENT (default: every sweep of the run store)",
    )


def importing(command: argparse.ArgumentParser) -> None:
    """Which table joins which sweep."""
    command.add_argument("source", metavar="FILE", help="a table of runs (.csv .tsv .json ...)")
    command.add_argument("--sweep", metavar="NAME", required=True, help="the experiment it joins")
    table(command)


def experiment(command: argparse.ArgumentParser) -> None:
    """A sweep by its name."""
    command.add_argument("experiment", metavar="EXPERIMENT", help="the name of a sweep")


def table(command: argparse.ArgumentParser) -> None:
    """How to read a table of runs."""
    repeatable(
        command,
        "--columns",
        "OURS=THEIRS",
        "the table's name for one of our columns, for example loss=loss_c4_val",
    )
    repeatable(
        command,
        "--where",
        '"COLUMN OP VALUE"',
        "keep the rows that fulfil this, for example 'params > 1B'",
    )
    command.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="the column to fit, as --columns loss=NAME; `forecast` keeps accuracies and error "
        "rates within their range, through the loss and directly, and takes it repeatedly",
    )
    command.add_argument(
        "--better", choices=("lower", "higher"), help="whether less or more of the metric is better"
    )
    command.add_argument(
        "--loss-unit",
        metavar="UNIT",
        help="what the loss is: nats, bits_per_byte, perplexity (default: by its column's name)",
    )
    repeatable(
        command,
        "--unit",
        "OURS=UNIT",
        "the unit of a column's numbers, for example params=M",
    )
    command.add_argument(
        "--checkpoints",
        choices=("last", "all"),
        help="of many rows a run, whether its last one or all count (default: what can answer)",
    )
