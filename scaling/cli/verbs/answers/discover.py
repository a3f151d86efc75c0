"""The verb that finds laws of any variables."""

import argparse
import sys
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

from scaling.cli.inputs import levels, load, points
from scaling.cli.options.laws import levels_of
from scaling.cli.outputs import answer, draw, put, save_table, say, tell
from scaling.errors import ConfigError
from scaling.words import counted

if TYPE_CHECKING:
    from scaling.laws.base import Law
    from scaling.records import Records

Arguments = argparse.Namespace
_EVERY = 2.0  # seconds between two lines of progress


def asking(command: argparse.ArgumentParser) -> None:
    """In which inputs, by which groups, and where answers are asked for."""
    command.add_argument(
        "--inputs", metavar="COLUMN", nargs="+", help="the columns that laws are sought in"
    )
    command.add_argument(
        "--by", metavar="COLUMN", help="a column of groups: one form, constants for each group"
    )
    command.add_argument(
        "--along",
        metavar="COLUMN",
        nargs="+",
        default=[],
        help="inputs whose largest values backtests hide (default: those in which --at lies "
        "beyond the runs, or every input)",
    )
    command.add_argument(
        "--at",
        metavar="POINTS.csv",
        help="points to predict, with columns for every input; -o FILE.csv repeats the table with "
        "median, low_90 and high_90",
    )
    levels_of(command, "of a new run")


def discover(arguments: Arguments) -> None:
    """Find which laws the runs in SOURCE follow in any columns, ranked by how they extrapolate."""
    if not arguments.inputs:
        raise ConfigError("nothing to search in; name columns with --inputs A B ...")
    if (arguments.output or "").endswith(".csv") and not arguments.at:
        raise ConfigError(f"-o {arguments.output}: a table repeats the points of --at; give these")
    if arguments.level and not arguments.at:
        raise ConfigError("--level is of predictions; give the points to predict with --at")
    answer_in_any_inputs(arguments, load(arguments))


def answer_in_any_inputs(
    arguments: Arguments,
    records: "Records",
    laws: "tuple[type[Law], ...]" = (),
    fix: "Mapping[str, float] | None" = None,
) -> None:
    """Laws of --inputs, found; or those that were given: their forms, and predictions of --at."""
    from analysis.discovery.discover import discover as find
    from analysis.discovery.discover import with_found_predictions
    from analysis.text.discovery import discovery_text, unsupported_points

    as_table = (arguments.output or "").endswith(".csv")
    table = points(arguments.at) if arguments.at else None
    progress = Progress()
    found = find(
        records,
        arguments.inputs or (),
        law=laws or None,
        fix=fix,
        by=arguments.by,
        along=getattr(arguments, "along", ()),
        at=table,
        confidence_levels=levels(arguments),
        seed=arguments.seed,
        on_progress=progress.show,
    )
    progress.end()
    if as_table and table is not None:
        save_table(with_found_predictions(table, found), arguments)
    if as_table and arguments.json:
        put(found.to_json())
    elif as_table:
        put(discovery_text(found, alone=arguments.quiet))
        tell(arguments, found.limits)
    else:
        text = lambda: discovery_text(found, alone=arguments.quiet)  # noqa: E731
        answer(found.to_json(), text, arguments, found.limits)
    if found.claimed:
        draw(found, arguments)
    elif arguments.figure:
        say("no figure: no law is claimed, so that there is nothing to draw")
    if unsupported := unsupported_points(found):
        are = "is" if len(unsupported) == 1 else "are"
        count = f"{len(unsupported)} of {counted(len(found.predictions), 'point')} {are}"
        say(f"{count} unsupported, for example {unsupported[0]}")


class Progress:
    """What is being done and how long it may take, on one line of a terminal's standard error."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._what = ""
        self._began = self._last = 0.0

    def show(self, what: str, done: int, most: int) -> None:
        """Say where the search stands, every two seconds."""
        now = monotonic()
        if what != self._what:
            self._what, self._began, self._last = what, now, now
        if not self._is_shown or now - self._last < _EVERY:
            return
        self._last = now
        left = (now - self._began) * (most - done) / max(done, 1)
        say(f"\r{what}: {done} of at most {most} forms, at most {left:.0f} s left", end="\033[K")

    def end(self) -> None:
        """Leave the line."""
        if self._is_shown:
            say("\r", end="\033[K")
