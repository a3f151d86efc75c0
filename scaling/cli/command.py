"""The command line: which verb takes which options, and how a mistake is answered."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import NoReturn

from scaling.cli import options, question_options
from scaling.cli.completion import SHELLS, completion
from scaling.cli.outputs import put, say
from scaling.cli.verbs import (
    adaptive,
    compare,
    dashboard,
    discover,
    forecast,
    next_runs,
    pictures,
    probe,
    report,
    runs,
    sample,
    score,
    seals,
    studies,
    sweep,
)
from scaling.errors import ScalingError
from scaling.tables.notes import plain
from scaling.version import installed_version


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0, or 2 after a mistake that the input explains; a gate has
    codes of its own."""
    command_line = parser()
    arguments = command_line.parse_args(argv)
    try:
        if arguments.version:
            put(installed_version())
        elif arguments.print_completion:
            put(completion(command_line, arguments.print_completion))
        elif arguments.verb is None:
            command_line.print_help()
        else:
            with _heard(arguments):
                return arguments.verb(arguments) or 0
    except ScalingError as error:
        if getattr(arguments, "verbose", False):
            traceback.print_exc()
        say(f"scaling: {error}")
        return 2
    except KeyboardInterrupt:
        say("scaling: interrupted; what was finished is kept, run it again")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


@contextmanager
def _heard(arguments: argparse.Namespace) -> Iterator[None]:
    """What is said on standard error while a verb works, unless it is to be quiet."""
    if not arguments.quiet:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        yield


class _Parser(argparse.ArgumentParser):
    """A mistyped command is answered in one line too."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {plain(message)}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Every verb with its options."""
    command_line = _Parser(
        prog="scaling",
        description="Train ladders of language models, fit scaling laws, forecast larger runs.",
    )
    command_line.add_argument("--version", action="store_true", help="print the version and exit")
    command_line.add_argument(
        "--print-completion",
        choices=SHELLS,
        help="print what makes this shell complete verbs and options, and exit",
    )
    command_line.set_defaults(verb=None)
    verbs = command_line.add_subparsers(title="verbs", metavar="VERB")
    for verb, groups in VERBS.items():
        summary = (verb.__doc__ or "").splitlines()[0]
        command = verbs.add_parser(verb.__name__.rstrip("_"), help=summary, description=summary)
        command.set_defaults(verb=verb)
        for add_options in (*groups, options.loudness):
            add_options(command)
    return command_line


_JSON = options.output(".json")
_TABLE = options.output(".csv", ".parquet", ".jsonl", required=True)
_PAGE = options.output(".html", ".pdf", ".md", ".json", required=True)
_FOLDER = options.output_folder(required=True)

#: Each verb with the groups of options that it takes.
VERBS: dict[Callable[[argparse.Namespace], int | None], tuple[options.Options, ...]] = {
    sweep.config: (options.describing, options.output(".yaml", ".yml", ".json")),
    sweep.plan: (options.config, _JSON, options.json_output),
    sweep.tokenize: (options.tokenizing, _FOLDER, options.json_output),
    sweep.run: (options.config, options.spending, _JSON, options.json_output),
    sweep.status: (options.config, options.watching, _JSON, options.json_output),
    sweep.check: (options.config, options.quick, _JSON, options.json_output),
    runs.collect: (options.experiment, options.table, _TABLE),
    runs.import_: (options.importing,),
    forecast.fit: (
        options.source,
        question_options.law(None),
        question_options.fitting,
        _JSON,
        options.json_output,
    ),
    forecast.forecast: (
        options.source,
        question_options.law("auto"),
        question_options.questions,
        question_options.points_and_seals,
        options.output(".json", ".csv"),
        options.json_output,
    ),
    discover.discover: (
        options.source,
        discover.asking,
        options.output(".json", ".csv"),
        options.json_output,
    ),
    forecast.allocate: (
        options.source,
        question_options.law("auto", along=False),
        question_options.allocation,
        _JSON,
        options.json_output,
    ),
    compare.compare: (
        compare.arms,
        question_options.figure,
        _JSON,
        options.json_output,
    ),
    next_runs.next_: (
        options.source,
        question_options.law("auto", along=False),
        next_runs.asking,
        options.output(".json", ".yaml", ".yml"),
        options.json_output,
    ),
    seals.verify: (question_options.seal_name, options.table, _JSON, options.json_output),
    forecast.backtest: (
        options.source,
        question_options.law("auto"),
        question_options.figure,
        _JSON,
        options.json_output,
    ),
    forecast.health: (options.source, _JSON, options.json_output),
    sample.sample: (
        sample.models,
        sample.prompt,
        sample.drawing,
        sample.computing,
        pictures.options,
        _JSON,
        options.json_output,
    ),
    score.score: (
        sample.models,
        score.text,
        sample.prompt,
        sample.computing,
        _JSON,
        options.json_output,
    ),
    probe.probe: (
        sample.models,
        probe.source,
        _JSON,
        options.json_output,
    ),
    report.report: (
        options.source,
        question_options.law("auto"),
        question_options.questions,
        question_options.paying,
        question_options.beside,
        question_options.title,
        question_options.samples,
        _PAGE,
    ),
    dashboard.dashboard: (options.sources, options.table, options.serving),
    report.study: (
        studies.subject,
        options.spending,
        question_options.sealing,
        adaptive.asking,
        options.output_folder(required=False),
    ),
}
