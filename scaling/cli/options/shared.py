"""The command line's options, in groups that verbs share."""

import argparse
from collections.abc import Callable
from pathlib import Path

from scaling.cli.options.budgets import given_number

Options = Callable[[argparse.ArgumentParser], None]


def config(
    command: argparse.ArgumentParser, what: str = "a YAML file, or a shipped config: quickstart"
) -> None:
    """A sweep's YAML file."""
    command.add_argument("config", metavar="CONFIG", help=what)
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one config field, for example --set 'grid.seed=[3,4]'; repeatable",
    )


def describing(command: argparse.ArgumentParser) -> None:
    """Which config is printed, and how."""
    form = command.add_mutually_exclusive_group()
    form.add_argument(
        "--schema", action="store_true", help="the JSON schema instead, by which editors complete"
    )
    form.add_argument(
        "--data",
        default="text",
        metavar="SOURCE",
        help="the source of data whose settings are no comments (%(default)s)",
    )


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


def seed(text: str) -> int:
    """The seed that an option gives."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 0')
    return int(text)


def whole(text: str) -> int:
    """The whole number that an option gives."""
    value = given_number(text)
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number')
    return int(value)


def sources(command: argparse.ArgumentParser) -> None:
    """Any number of tables of runs."""
    command.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="tables or mlflow:EXPERIMENT (default: every sweep of the run store)",
    )


def serving(command: argparse.ArgumentParser) -> None:
    """Where a page is served."""
    command.add_argument("--host", default="127.0.0.1", help="address to serve on (%(default)s)")
    command.add_argument("--port", type=int, default=8501, help="port to serve on (%(default)s)")
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which browsers reach the page, for example the machine's behind "
        "--host 0.0.0.0; repeatable",
    )


def table(command: argparse.ArgumentParser) -> None:
    """How to read a table of runs."""
    command.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="the table's name for one of our columns, for example loss=loss_c4_val; repeatable",
    )
    command.add_argument(
        "--where",
        action="append",
        default=[],
        metavar='"COLUMN OP VALUE"',
        help="keep the rows that fulfil this, for example 'params > 1B'; repeatable",
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
    command.add_argument(
        "--unit",
        action="append",
        default=[],
        metavar="OURS=UNIT",
        help="the unit of a column's numbers, for example params=M; repeatable",
    )
    command.add_argument(
        "--checkpoints",
        choices=("last", "all"),
        help="of many rows a run, whether its last one or all count (default: what can answer)",
    )


def spending(command: argparse.ArgumentParser) -> None:
    """Consent to a launch that is large."""
    command.add_argument(
        "--yes", action="store_true", help="do not ask before a launch that takes long"
    )


def importing(command: argparse.ArgumentParser) -> None:
    """Which table joins which sweep."""
    command.add_argument("source", metavar="FILE", help="a table of runs (.csv .tsv .json ...)")
    command.add_argument("--sweep", metavar="NAME", required=True, help="the experiment it joins")
    table(command)


def watching(command: argparse.ArgumentParser) -> None:
    """How a sweep is watched."""
    command.add_argument(
        "--watch", action="store_true", help="show it anew every few seconds until nothing is left"
    )
    command.add_argument(
        "--all", action="store_true", help="list every run, however many there are"
    )
    command.add_argument(
        "--tracebacks",
        action="store_true",
        help="show the whole traceback of each run that an error of ours ended",
    )


def quick(command: argparse.ArgumentParser) -> None:
    """A part of the work, in seconds."""
    command.add_argument(
        "--quick", action="store_true", help="leave out what takes minutes of one core"
    )


def json_output(command: argparse.ArgumentParser) -> None:
    """JSON on standard output."""
    command.add_argument("--json", action="store_true", help="print one JSON document")


def output(*endings: str, required: bool = False) -> Options:
    """Where the result is written, in the form that the ending names."""

    def add(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            required=required,
            type=file_ending(*endings),
            help=f"write the result here: {' or '.join(endings)}",
        )

    return add


def output_folder(required: bool) -> Options:
    """The folder that the results are written to."""

    def add(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "-o",
            "--output",
            metavar="DIR",
            required=required,
            type=file_ending(),
            help="write the results into this folder"
            + ("" if required else " (default: results/NAME)"),
        )

    return add


#: Endings that say what is in a file; others, as of a name with dots, say nothing.
_ENDINGS = (
    *(".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".txt", ".yaml", ".yml"),
    *(".html", ".md", ".pdf", ".png", ".svg", ".jpg"),
)


def file_ending(*endings: str, is_needed: bool = False) -> Callable[[str], str]:
    """A path whose ending is one of these, if it has one, or in any case; without any, a folder's.
    What is found here is found before a verb works for minutes."""

    def checked(text: str) -> str:
        ending = Path(text).suffix.lower()
        if is_needed and Path(text).is_dir():
            raise argparse.ArgumentTypeError(f'"{text}" is a folder; name a file in it')
        if is_needed and not ending:
            raise argparse.ArgumentTypeError(
                f'"{text}" has no ending; write {" or ".join(endings)}'
            )
        if (is_needed or ending in _ENDINGS) and ending not in endings:
            what = f"write {' or '.join(endings)}" if endings else "it is a folder"
            raise argparse.ArgumentTypeError(f'"{text}" ends in {ending}; {what}')
        return text

    return checked


def loudness(command: argparse.ArgumentParser) -> None:
    """How much is said beside the answer; every verb has it."""
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "-q", "--quiet", action="store_true", help="print only the answer, its limits and mistakes"
    )
    how.add_argument(
        "-v", "--verbose", action="store_true", help="print the traceback of a mistake too"
    )


def experiment(command: argparse.ArgumentParser) -> None:
    """A sweep by its name."""
    command.add_argument("experiment", metavar="EXPERIMENT", help="the name of a sweep")


def tokenizing(command: argparse.ArgumentParser) -> None:
    """Which text becomes which tokens."""
    command.add_argument(
        "files", metavar="FILES", nargs="+", help="globs of .txt, .jsonl, .parquet, or folders"
    )
    command.add_argument(
        "--tokenizer",
        default="bytes",
        metavar="NAME",
        help="bytes, ascii-96, bpe-N (trains one of N tokens), or a tokenizer.json (%(default)s)",
    )
    command.add_argument(
        "--skip-undecodable",
        action="store_true",
        help="leave out documents that are not UTF-8, and say how many, instead of refusing them",
    )
    command.add_argument(
        "--shard-tokens", type=whole, default=100_000_000, metavar="N", help="(%(default)s)"
    )
    command.add_argument(
        "--validation-share",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="chance of a document to be held back (%(default)s)",
    )
