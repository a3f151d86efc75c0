"""Backtests of one law of any columns: its largest runs along one of them hidden in turn."""

from collections.abc import Iterator

import numpy as np

from analysis.discovery.blocks import ends_along
from analysis.discovery.discover import discover
from analysis.discovery.reading import SearchedRuns, read_points, read_table, require_defined
from analysis.evaluation.scored import Cuts, Hidden, Origin
from analysis.forecasting.question.options import ForecastOptions
from analysis.intervals import LEVELS
from scaling.arrays import BoolArray, FloatArray
from scaling.errors import FitError, ForecastError, RecordError
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.tables.notes import printable
from scaling.words import counted

COMPUTE = "train_flops"


def forecast_hidden_runs(records: Records, options: ForecastOptions) -> Cuts:
    """Hide the runs that are largest along ``options.x``, or along compute, or else along the input
    that spans most, and forecast them by the law of these options, as `discover` does with it from
    the rest. Raises ForecastError where no part of the runs forecasts another."""
    read = read_table(records, options.inputs, None)
    for law in options.laws:
        require_defined(law, read, None)
    if not read.table.is_relative:
        raise ForecastError(
            f"{records.source}: some values are at or below zero, and backtests score errors in "
            "percent of the value; `scaling forecast --at` has errors in standard deviations"
        )
    along, limits = _direction(read, options.x)
    x = read.records.column(along)
    cuts = ends_along(read.table, np.log(x))
    if not cuts:
        raise ForecastError(
            f"{records.source}: {counted(len(np.unique(x)), 'value')} of {printable(along)} in "
            f"{counted(len(x), 'run')} are too few to hide the largest and forecast from the rest"
        )
    made, left_out, far = [], [], 0
    for hides in cuts:
        words = f"{printable(along)} above {x[~hides].max():.4g}"
        try:
            hidden, unsupported = _forecast(read, hides, x, options)
        except (FitError, ForecastError, RecordError) as error:
            why = str(error).removeprefix(f"{records.source}: ")
            left_out.append(Limit(LimitCode.LEFT_OUT, f"no backtest hides {words}: {why}"))
            continue
        far += unsupported
        seen = ~hides
        origin = Origin(
            hides=words,
            largest_seen=float(x[seen].max()),
            runs_seen=int(seen.sum()),
            runs_hidden=int(hides.sum()),
        )
        made.append((origin, hidden))
    if not made:
        raise ForecastError(f"{records.source}: {left_out[0].text}")
    if far:
        text = f"{counted(far, 'hidden run lies', 'hidden runs lie')} where a forecast gives no "
        text += "median; the score is of the middle of its interval"
        limits.append(Limit(LimitCode.UNSUPPORTED, text))
    return Cuts(
        along=along,
        inputs=read.table.names,
        origins=tuple(origin for origin, _ in made),
        hidden=tuple(hidden for _, hidden in made),
        limits=(*read.limits, *limits, *left_out),
    )


def _direction(read: SearchedRuns, x: str | None) -> tuple[str, list[Limit]]:
    """The column along which the largest runs are hidden, and that it was chosen."""
    table, records = read.table, read.records
    if x is not None:
        name = records.name_of(x)
        records.require(name)
        if name in table.names and name in {table.names[i] for i in table.of_role("proportion")}:
            raise ForecastError(
                f"--x {printable(x)} is a proportion, which has no end to hide; name another column"
            )
        if not _is_scale(records.column(name)):
            raise ForecastError(
                f"--x {printable(x)}: the runs have no two values above zero of it everywhere, so "
                "there is no larger end to hide; name another column"
            )
        return name, []
    if COMPUTE in records and _is_scale(records.column(COMPUTE)):
        return COMPUTE, []
    if not table.scales:
        raise ForecastError(
            f"{records.source}: no compute and no input that grows, so there is no larger end to "
            "hide; name a column with --x"
        )
    name = table.names[max(table.scales, key=lambda i: float(np.ptp(np.log(table.inputs[:, i]))))]
    text = f"no compute in the table: the largest {printable(name)}, the input that spans most, is "
    return name, [Limit(LimitCode.FALLBACK, f"{text}hidden (--x names another column)")]


def _is_scale(x: FloatArray) -> bool:
    return bool(np.isfinite(x).all() and (x > 0).all() and len(np.unique(x)) > 1)


def _forecast(
    read: SearchedRuns, hides: BoolArray, x: FloatArray, options: ForecastOptions
) -> tuple[Hidden, int]:
    """The forecast of the runs of one cut from the others, and how many of them have no median."""
    records = read.records
    seen = records.select(~hides, "hidden")
    points = records.table[hides][list(read.table.names)]
    levels = tuple(sorted({*options.confidence_levels, *LEVELS}))
    found = discover(
        seen,
        law=options.laws,
        fix=options.fix,
        at=points,
        confidence_levels=levels,
        seed=options.seed,
    )
    if found.ensemble is None or found.read is None:
        raise ForecastError(next(_why_none(found.limits)))
    told = found.ensemble.predict(*read_points(points, found.read))
    ends = np.array([[p.intervals[level] for level in levels] for p in found.predictions])
    hidden = Hidden(
        levels=levels,
        distance=np.log10(x[hides] / x[~hides].max()),
        at=x[hides],
        predicted=told.quantile(0.5),
        measured=records.column("loss")[hides],
        low=ends[..., 0],
        high=ends[..., 1],
    )
    return hidden, sum(p.median is None for p in found.predictions)


def _why_none(limits: tuple[Limit, ...]) -> Iterator[str]:
    return (limit.text for limit in limits if limit.code is LimitCode.NO_LAW)
