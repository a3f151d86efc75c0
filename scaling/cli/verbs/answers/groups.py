"""What is answered for groups of runs by one written law, and what is refused by groups."""

import argparse

from scaling.cli.inputs import is_by_groups, load_to_forecast, points
from scaling.cli.outputs import answer, save_table, say_beside, show
from scaling.errors import ConfigError
from scaling.tables.notes import printable

Arguments = argparse.Namespace


def require_groups_are_asked_for(arguments: Arguments) -> None:
    """Refuse --by or --share of `scaling forecast` where they would be passed over in silence."""
    if not is_by_groups(arguments):
        return
    column, flags = printable(arguments.by), " ".join(map(printable, arguments.share))
    if arguments.metric:
        raise ConfigError(f"--by {column} is of losses, and --metric names another; {_one(column)}")
    if not arguments.at:
        raise ConfigError(
            f"--by {column} predicts the points of --at; give these, or {_one(column)}"
        )
    if arguments.share and arguments.inputs:
        raise ConfigError(
            f"--share {flags} names constants of a law, and --inputs search for laws; write one "
            "with --law, or leave --share out"
        )
    if arguments.share and arguments.law == "auto":
        raise ConfigError(f"--share {flags} names constants of a law; say which with --law")
    if arguments.share and arguments.certificate:
        raise ConfigError("--certificate is of one group's runs; leave it out, or --by and --share")


def _one(column: str) -> str:
    return f"choose one group with --where '{column} == ...'"


def backtest_by_groups(arguments: Arguments) -> None:
    """The backtest of each group from its own runs."""
    from analysis.evaluation.by_groups import backtest_groups
    from analysis.text.evaluation import grouped_backtest_text

    if arguments.figure:
        column = printable(arguments.by)
        raise ConfigError(f"--figure draws one backtest; {_one(column)} in the place of --by")
    records, options = load_to_forecast(arguments, of_any_columns=True)
    found = backtest_groups(records, by=arguments.by, options=options)
    of_groups = [limit for one in found.groups.values() for limit in one.limits]
    limits = [*found.limits, *of_groups]
    answer(found.to_json(), lambda: grouped_backtest_text(found), arguments, limits)


def predict_by_shared_law(arguments: Arguments) -> None:
    """The points of --at by the law of --law, of whose constants all groups have --share in common:
    as columns beside the points' own, or with --json as a document."""
    from analysis.forecasting.shared_law import forecast_by_shared_law

    records, options = load_to_forecast(arguments, of_any_columns=True)
    table = points(arguments.at)
    how = {"by": arguments.by, "share": arguments.share, "options": options}
    found = forecast_by_shared_law(records, table, **how)
    if arguments.output or not arguments.json:
        save_table(found.beside(table), arguments)
    if arguments.json:
        show(found.to_json(), str, arguments)
        return
    of_points = [
        type(limit)(limit.code, f"point {number}: {limit.text}")
        for number, point in enumerate(found.points, start=1)
        for limit in point.limits
    ]
    say_beside(arguments, [*found.limits, *of_points])
