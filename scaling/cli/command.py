"""The command line: which verb takes which options, and how a mistake is answered."""

import argparse
import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import NoReturn

from scaling.cli.completion import SHELLS, completion
from scaling.cli.options import kinds, laws, questions, results, sweeps, tables
from scaling.cli.outputs import put, say
from scaling.cli.verbs.answers import compare, discover, forecast, next_runs, runs, seals
from scaling.cli.verbs.models import pictures, probe, sample, score
from scaling.cli.verbs.pages import dashboard, report
from scaling.cli.verbs.spending import adaptive, studies, sweep
from scaling.errors import ConfigError, ScalingError
from scaling.tables.notes import plain
from scaling.version import installed_version

_NOT_WRITTEN = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
#: These are answered by their verbs, in words of their own.
_MAY_BE_EMPTY = ("prompt", "text", "seal", "law")


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
            _require_values(arguments)
            with _heard(arguments):
                code = arguments.verb(arguments) or 0
            sys.stdout.flush()
            return code
    except ScalingError as error:
        if getattr(arguments, "verbose", False):
            traceback.print_exc()
        say(f"scaling: {error}")
        return 2
    except KeyboardInterrupt:
        say("scaling: interrupted; what was finished is kept, run it again")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        _leave_output()
        return 0
    except OSError as error:
        if error.errno not in _NOT_WRITTEN or error.filename is not None:
            raise
        _leave_output()
        say(f"scaling: standard output cannot be written ({error.strerror})")
        return 2
    return 0


def _leave_output() -> None:
    """What is left to print goes nowhere: Python would try once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _require_values(arguments: argparse.Namespace) -> None:
    """Refuse an option whose value is empty, as of a shell's variable that is not set: it would be
    taken for one that was not given."""
    for name, value in vars(arguments).items():
        if name not in _MAY_BE_EMPTY and (value == "" or isinstance(value, list) and "" in value):
            flag = "SOURCE" if name == "source" else f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag} is empty; give it a value, or leave it out")


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
        hint = ""
        if found := re.match(
            r"argument (--[\w-]+).*: expected (one|at least one) argument", message
        ):
            hint = f" (one that begins with - is given as {found[1]}=-1)"
        self.exit(2, f"{self.prog}: {plain(message)}{hint}; see {self.prog} --help\n")


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
        for add_options in (*groups, results.loudness):
            add_options(command)
    return command_line


_JSON = results.output(".json")
_TABLE = results.output(".csv", ".parquet", ".jsonl", required=True)
_PAGE = results.output(".html", ".pdf", ".md", ".json", required=True)
_FOLDER = results.output_folder(required=True)

#: Each verb with the groups of options that it takes.
VERBS: dict[Callable[[argparse.Namespace], int | None], tuple[kinds.Options, ...]] = {
    sweep.config: (sweeps.describing, results.output(".yaml", ".yml", ".json")),
    sweep.plan: (sweeps.config, _JSON, results.json_output),
    sweep.tokenize: (sweeps.tokenizing, _FOLDER, results.json_output),
    sweep.run: (sweeps.config, sweeps.spending, _JSON, results.json_output),
    sweep.status: (sweeps.config, sweeps.watching, _JSON, results.json_output),
    sweep.check: (sweeps.config, sweeps.quick, _JSON, results.json_output),
    runs.collect: (tables.experiment, tables.table, _TABLE),
    runs.import_: (tables.importing,),
    forecast.fit: (
        tables.source,
        laws.law(None),
        laws.fitting,
        _JSON,
        results.json_output,
    ),
    forecast.forecast: (
        tables.source,
        laws.law("auto"),
        questions.questions,
        questions.points_and_seals,
        results.figure,
        results.output(".json", ".csv"),
        results.json_output,
    ),
    discover.discover: (
        tables.source,
        discover.asking,
        results.figure,
        results.output(".json", ".csv"),
        results.json_output,
    ),
    forecast.allocate: (
        tables.source,
        laws.law("auto", along=False),
        questions.allocation,
        _JSON,
        results.json_output,
    ),
    compare.compare: (
        compare.arms,
        results.figure,
        _JSON,
        results.json_output,
    ),
    next_runs.next_: (
        tables.source,
        laws.law("auto", along=False),
        next_runs.asking,
        results.output(".json", ".yaml", ".yml"),
        results.json_output,
    ),
    seals.verify: (questions.seal_name, tables.table, _JSON, results.json_output),
    forecast.backtest: (
        tables.source,
        laws.law("auto"),
        laws.groups_alone,
        results.figure,
        _JSON,
        results.json_output,
    ),
    forecast.health: (tables.source, _JSON, results.json_output),
    sample.sample: (
        sample.models,
        sample.prompt,
        sample.drawing,
        sample.computing,
        pictures.options,
        _JSON,
        results.json_output,
    ),
    score.score: (
        sample.models,
        score.text,
        sample.prompt,
        sample.computing,
        _JSON,
        results.json_output,
    ),
    probe.probe: (
        sample.models,
        probe.source,
        _JSON,
        results.json_output,
    ),
    report.report: (
        tables.source,
        laws.law("auto"),
        questions.questions,
        questions.paying,
        questions.beside,
        questions.points_on_a_page,
        results.title,
        results.samples,
        _PAGE,
    ),
    dashboard.dashboard: (tables.sources, tables.table, laws.laws_file, results.serving),
    report.study: (
        studies.subject,
        sweeps.spending,
        questions.sealing,
        adaptive.asking,
        results.output_folder(required=False),
    ),
}
