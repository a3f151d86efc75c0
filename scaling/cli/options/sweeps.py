"""What a sweep is, how it is launched and watched, what its tokens are."""

import argparse

from scaling.cli.options.kinds import repeatable, whole


def config(
    command: argparse.ArgumentParser, what: str = "a YAML file, or a shipped config: quickstart"
) -> None:
    """A sweep's YAML file."""
    command.add_argument("config", metavar="CONFIG", help=what)
    overrides(command, "--set 'grid.seed=[3,4]'")


def overrides(command: argparse.ArgumentParser, example: str) -> None:
    """Fields of a config that are to be others than its file says."""
    repeatable(command, "--set", "KEY=VALUE", f"override one config field, for example {example}")


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


def spending(command: argparse.ArgumentParser) -> None:
    """Consent to a launch that is large."""
    command.add_argument(
        "--yes", action="store_true", help="do not ask before a launch that takes long"
    )


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
