"""What a verb reads: runs from a file or the run store, curves, points, name=value pairs."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

from scaling.cli.options.budgets import in_flops
from scaling.errors import ConfigError
from scaling.tables.cells.numbers import number
from scaling.tables.notes import printable
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

    from analysis.forecasting.question.options import ForecastOptions
    from analysis.forecasting.question.targets import Targets
    from scaling.laws.base import Law
    from scaling.records import Records
    from scaling.tables.reading import Reading

Arguments = argparse.Namespace
Value = TypeVar("Value")


def load(arguments: Arguments) -> "Records":
    """The runs that SOURCE names: a file, or mlflow:EXPERIMENT."""
    from scaling.answerable import require_direction
    from scaling.extra_columns.groups import in_groups
    from scaling.extra_columns.references import references_of
    from scaling.sources import records_from

    how = reading(arguments)
    records = records_from(arguments.source, where=arguments.where, reading=how)
    if arguments.metric:
        require_direction(records)
    if getattr(arguments, "by", None):
        records = in_groups(records, arguments.by)
    arguments.notes = records.told
    arguments.references = references_of(records)
    return records


def unfiltered(arguments: Arguments) -> "Records":
    """The runs that SOURCE names, those that --where leaves out too."""
    from scaling.sources import records_from

    return records_from(arguments.source, reading=reading(arguments))


def reading(arguments: Arguments) -> "Reading":
    """How the flags ask for a table to be read."""
    from scaling.tables.reading import Reading

    columns = assignments(arguments.columns, "--columns", str)
    if len(arguments.metric) > 1:
        raise ConfigError("--metric names one column here; `scaling forecast` takes several")
    for metric in arguments.metric:
        if columns.get("loss", metric) != metric:
            raise ConfigError("--metric and --columns loss= name different columns; say one")
        columns["loss"] = metric
    return Reading(
        columns=columns,
        units=assignments(arguments.unit, "--unit", str),
        loss_unit=arguments.loss_unit,
        better=arguments.better,
        checkpoints=arguments.checkpoints,
    )


def load_along(arguments: Arguments) -> "tuple[Records, str | None]":
    """The runs that SOURCE names, and our name for the column that --x names, if it does."""
    from scaling.points import factor_of

    records = load(arguments)
    x = records.name_of(arguments.x) if arguments.x else None
    if x and x in records and x != arguments.x and getattr(arguments, "values", None):
        arguments.values = [value * factor_of(records, x) for value in arguments.values]
    return records, x


def load_to_forecast(
    arguments: Arguments, *, of_any_columns: bool = False
) -> "tuple[Records, ForecastOptions]":
    """The runs that SOURCE names, and how --law, --fix, --x, --draws, --seed and --level say that
    forecasts from them are made; what a verb has no flag for is as usual. A law of other columns
    than size, tokens and compute is refused, unless the verb answers one ``of_any_columns``."""
    from analysis.forecasting.question.options import ForecastOptions
    from scaling.laws.written.formula import own_input

    records, x = load_along(arguments) if "x" in arguments else (load(arguments), None)
    if getattr(arguments, "flops", None):
        arguments.flops = in_flops(arguments.flops, records)
    names = ("law", "draws", "seed", "certificate")
    given = {name: getattr(arguments, name) for name in names if name in arguments}
    if "law" in given:
        given["law"] = laws_asked(arguments, records)
        x = x or own_input(given["law"])
    if "fix" in arguments:
        given["fix"] = constants_held(arguments, records)
    if "level" in arguments:
        given["confidence_levels"] = levels(arguments)
    options = ForecastOptions(x=x, **given)
    if options.reads_other_columns and not of_any_columns:
        _refuse_other_columns(options)
    return records, options


def _refuse_other_columns(options: "ForecastOptions") -> NoReturn:
    from analysis.forecasting.question.options import USUAL

    others = ", ".join(printable(name) for name in options.inputs if name not in USUAL)
    raise ConfigError(
        f"--law {printable(options.law_name)} reads {others}, and this answer is of compute, or "
        "of params and tokens; `scaling fit` gives its constants, `scaling forecast --at "
        "POINTS.csv` its predictions, `scaling backtest` its errors, `scaling report` all of them"
    )


def laws_asked(
    arguments: Arguments, records: "Records"
) -> "str | type[Law] | tuple[type[Law], ...]":
    """What --law names, or all laws of the file of --laws where it names none, to be weighted."""
    from scaling.laws.written.formula import law_for
    from scaling.laws.written.law_file import read_laws

    if not arguments.laws or arguments.law != "auto":
        return law_asked(arguments, records)
    return tuple(law_for(formula, records) for formula in read_laws(arguments.laws).values())


def law_asked(
    arguments: Arguments,
    records: "Records",
    bounds: "Mapping[str, tuple[float | None, float | None]] | None" = None,
) -> "str | type[Law]":
    """What --law names: a law of ours by its name, or a formula on the columns of these runs, from
    the file that --laws names or written out."""
    from scaling.laws.written.formula import is_formula, law_for
    from scaling.laws.written.law_file import read_laws

    named: str = arguments.law or ""
    if arguments.law is not None and not named.strip():
        raise ConfigError("--law is empty; name a law, or write a formula such as E + A*N^-alpha")
    formulas = read_laws(arguments.laws) if arguments.laws else {}
    have = ", ".join(formulas)
    if formulas and (named in ("", "auto") or is_formula(named)):
        raise ConfigError(f"--laws {arguments.laws}: choose a law of it with --law: {have}")
    if named in formulas or is_formula(named):
        return law_for(formulas.get(named, named), records, bounds)
    if formulas:
        raise ConfigError(f'{arguments.laws} has no law "{printable(named)}"; it has: {have}')
    return named


def is_by_groups(arguments: Arguments) -> bool:
    """Whether --by names groups; --share without it would be passed over in silence."""
    if arguments.share and not arguments.by:
        raise ConfigError(
            f"--share {' '.join(map(printable, arguments.share))} is of groups; name their column "
            "with --by"
        )
    return bool(arguments.by)


def constants_held(arguments: Arguments, records: "Records") -> dict[str, float]:
    """What --fix holds: each at a number, or at the one value that a column of the runs has, such
    as the entropy of their source."""

    def held(text: str) -> float:
        try:
            return number(text)
        except ValueError as error:
            column = records.name_of(text)
            if column not in records:
                problem = f'--fix: "{printable(text)}" is no number and no column'
                raise ConfigError(problem) from error
            values = sorted({float(v) for v in records.column(column) if v == v})
            if len(values) == 1:
                return values[0]
            found = f"{values[0]:g} to {values[-1]:g}" if values else "none"
            raise ConfigError(
                f"--fix: {text} has {counted(len(values), 'value')} in the runs ({found}), and a "
                "constant is held at one; give a number, or choose runs with --where"
            ) from error

    return assignments(arguments.fix, "--fix", held)


def require_two_arms(a: "Records", b: "Records") -> None:
    """Refuse to compare runs with themselves."""
    if a.data_hash == b.data_hash:
        raise ConfigError(f"{a.source} and {b.source} hold the same runs; name two arms")


def require_pairs(arguments: Arguments) -> None:
    """Refuse a flag of a question whose other half is missing."""
    if bool(arguments.params) != bool(arguments.tokens):
        raise ConfigError("--params and --tokens pair up: give both, or a budget with --flops")
    if arguments.params and len(arguments.params) != len(arguments.tokens):
        raise ConfigError("--params and --tokens pair up: give as many of one as of the other")


def targets_asked(arguments: Arguments, x: str | None) -> "tuple[Targets, ...]":
    """The points to predict that ``x`` with --values, --params with --tokens, and --flops name,
    one entry a kind."""
    from analysis.forecasting.question.targets import Targets

    asked = []
    if arguments.values and not x:
        raise ConfigError("--values are those of a column; name it with --x COLUMN")
    if x and arguments.values:
        asked.append(Targets.along(x, *arguments.values))
    if arguments.params:
        asked.append(Targets.runs(arguments.params, arguments.tokens))
    if arguments.flops:
        asked.append(Targets.flops(*arguments.flops))
    return tuple(asked)


def levels(arguments: Arguments) -> tuple[float, ...]:
    """The confidence levels that --level names, or the usual one."""
    from analysis.intervals import LEVEL

    return tuple(arguments.level or (LEVEL,))


def curves_of(source: str, run_ids: "Collection[str] | None" = None) -> "DataFrame | None":
    """The training curves of a sweep in the run store, of all runs or of some; a table of runs has
    none."""
    if not source.startswith("mlflow:"):
        return None
    from scaling.store.run_store import RunStore

    return RunStore.find(source.removeprefix("mlflow:")).curves(run_ids=run_ids)


def points(path: str) -> "DataFrame":
    """A table of points to predict: text, so that what is not asked about is kept to the letter."""
    from scaling.tables.files.separated import read_text

    if path.lower().endswith((".json", ".jsonl", ".parquet", ".xlsx", ".xls")):
        raise ConfigError(f"{path}: points are read from .csv or .tsv; write them as one of these")
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as a CSV of points ({first_line})") from error


def assignments(
    given: Sequence[str], flag: str, convert: Callable[[str], Value], form: str = "name=value"
) -> dict[str, Value]:
    """``name=value`` pairs, each value converted; ``form`` says how they are written."""
    pairs: dict[str, Value] = {}
    for text in given:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise ConfigError(f"{flag} {printable(text)}: not of the form {form}")
        if name in pairs:
            raise ConfigError(f"{flag} {name}= is given twice; say it once")
        try:
            pairs[name] = convert(value)
        except ValueError as error:
            raise ConfigError(f"{flag} {printable(text)}: not of the form {form}") from error
    return pairs
