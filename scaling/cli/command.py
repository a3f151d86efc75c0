"""The command line: which verb takes which options, and how a mistake is answered."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from scaling.cli import options
from scaling.cli.verbs import dashboard, forecast, report, runs, seals, sweep
from scaling.errors import ScalingError
from scaling.version import installed_version


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0, or 2 after a mistake that the input explains."""
    command_line = parser()
    arguments = command_line.parse_args(argv)
    try:
        if arguments.version:
            print(installed_version())
        elif arguments.verb is None:
            command_line.print_help()
        else:
            arguments.verb(arguments)
    except ScalingError as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scaling: interrupted; finished runs are stored, run it again", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


class _Parser(argparse.ArgumentParser):
    """A mistyped command is answered in one line too."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Every verb with its options."""
    command_line = _Parser(
        prog="scaling",
        description="Train ladders of language models, fit scaling laws, forecast larger runs.",
    )
    command_line.add_argument("--version", action="store_true", help="print the version and exit")
    command_line.set_defaults(verb=None)
    verbs = command_line.add_subparsers(title="verbs", metavar="VERB")
    for verb, groups in VERBS.items():
        summary = (verb.__doc__ or "").splitlines()[0]
        command = verbs.add_parser(verb.__name__.rstrip("_"), help=summary, description=summary)
        command.set_defaults(verb=verb)
        for add_options in groups:
            add_options(command)
    return command_line


#: Each verb with the groups of options that it takes.
VERBS: dict[Callable[[argparse.Namespace], None], tuple[options.Options, ...]] = {
    sweep.config: (options.describing, options.output),
    sweep.plan: (options.config, options.output, options.json_output),
    sweep.tokenize: (options.tokenizing, options.required_output, options.json_output),
    sweep.run: (options.config, options.spending, options.output, options.json_output),
    sweep.status: (options.config, options.watching, options.output, options.json_output),
    sweep.check: (options.config, options.quick, options.output, options.json_output),
    runs.collect: (options.experiment, options.required_output),
    runs.import_: (options.importing,),
    forecast.fit: (
        options.source,
        options.law(None),
        options.fitting,
        options.output,
        options.json_output,
    ),
    forecast.forecast: (
        options.source,
        options.law("auto"),
        options.forecasting,
        options.output,
        options.json_output,
    ),
    forecast.allocate: (
        options.source,
        options.law("auto", along=False),
        options.allocation,
        options.output,
        options.json_output,
    ),
    seals.verify: (options.seal_name, options.table, options.output, options.json_output),
    forecast.backtest: (
        options.source,
        options.law("auto"),
        options.figure,
        options.output,
        options.json_output,
    ),
    forecast.health: (options.source, options.output, options.json_output),
    report.report: (options.source, options.law("auto"), options.required_output),
    dashboard.dashboard: (options.sources, options.table, options.serving),
    report.study: (options.config, options.spending, options.sealing, options.output),
}
