"""The command line: which verb takes which options, and how a mistake is answered."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from scaling.cli import analysing, dashboard, options, records, reporting, sealed, training
from scaling.errors import ScalingError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0, or 2 after a mistake that the input explains."""
    arguments = _parser().parse_args(argv)
    try:
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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scaling",
        description="Train ladders of language models, fit scaling laws, forecast larger runs.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb, groups in VERBS.items():
        summary = (verb.__doc__ or "").splitlines()[0]
        command = verbs.add_parser(verb.__name__.rstrip("_"), help=summary, description=summary)
        command.set_defaults(verb=verb)
        for add_options in groups:
            add_options(command)
    return parser


#: Each verb with the groups of options that it takes.
VERBS: dict[Callable[[argparse.Namespace], None], tuple[options.Options, ...]] = {
    training.plan: (options.config, options.output, options.json_output),
    training.tokenize: (options.tokenizing, options.required_output, options.json_output),
    training.run: (options.config, options.spending, options.output, options.json_output),
    training.status: (options.config, options.watching, options.output, options.json_output),
    training.check: (options.config, options.quick, options.output, options.json_output),
    records.collect: (options.experiment, options.required_output),
    records.import_: (options.importing,),
    analysing.fit: (
        options.source,
        options.law("power_law"),
        options.fitting,
        options.output,
        options.json_output,
    ),
    analysing.forecast: (
        options.source,
        options.law("auto"),
        options.forecasting,
        options.output,
        options.json_output,
    ),
    analysing.allocate: (
        options.source,
        options.law("auto", along=False),
        options.allocation,
        options.output,
        options.json_output,
    ),
    sealed.verify: (options.seal_name, options.table, options.output, options.json_output),
    analysing.backtest: (
        options.source,
        options.law("auto"),
        options.figure,
        options.output,
        options.json_output,
    ),
    analysing.health: (options.source, options.output, options.json_output),
    reporting.report: (options.source, options.law("auto"), options.required_output),
    dashboard.dashboard: (options.sources, options.table, options.serving),
    reporting.study: (options.config, options.spending, options.sealing, options.output),
}
