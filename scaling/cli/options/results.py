"""Where a result goes: a document, a file, a figure, a page, and how much is said beside it."""

import argparse

from scaling.cli.options.kinds import Options, file_ending, repeatable


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


def figure(command: argparse.ArgumentParser) -> None:
    """Where a figure is drawn."""
    ending = file_ending(".svg", ".png", ".pdf", is_needed=True)
    text = "draw it here; .svg, .png or .pdf by the ending"
    command.add_argument("--figure", metavar="FILE", type=ending, help=text)


def title(command: argparse.ArgumentParser) -> None:
    """What a page is called."""
    command.add_argument("--title", metavar="TEXT", help="the title of the page, if not ours")


def samples(command: argparse.ArgumentParser) -> None:
    """What models made of prompts."""
    repeatable(
        command,
        "--samples",
        "FILE",
        "show what models of each size made of a prompt, from `scaling sample ... -o FILE`",
    )


def serving(command: argparse.ArgumentParser) -> None:
    """Where a page is served."""
    command.add_argument("--host", default="127.0.0.1", help="address to serve on (%(default)s)")
    command.add_argument("--port", type=int, default=8501, help="port to serve on (%(default)s)")
    repeatable(
        command,
        "--allow-host",
        "NAME",
        "another name by which browsers reach the page, for example the machine's behind "
        "--host 0.0.0.0",
    )


def loudness(command: argparse.ArgumentParser) -> None:
    """How much is said beside the answer; every verb has it."""
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "-q", "--quiet", action="store_true", help="print only the answer, its limits and mistakes"
    )
    how.add_argument(
        "-v", "--verbose", action="store_true", help="print the traceback of a mistake too"
    )
