"""The runs that the plan held out, predicted from the others and compared with what they measured.

The strict order is `forecast_held_out` before the runs are measured, its result stored, and
`check_held_out` with that stored forecast afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.display import DrawnResult, plain_values
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.intervals import LEVEL, Interval, in_decimals, interval_at, interval_columns
from scaling.arrays import SAME_NUMBER, FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode, first_of
from scaling.records import Records
from scaling.sources import Source, records_from

if TYPE_CHECKING:
    from pandas import DataFrame

SIZES = ("params", "tokens", "train_flops")  # what tells one planned run from another


#: After a forecast that missed.
_NEXT = (
    "Do not trust larger forecasts of this ladder before you know why: see whether small rungs are "
    "badly tuned (scaling health), whether forecasts from fewer runs missed too (scaling backtest),"
    " and whether the run was trained and measured as the others."
)


@dataclass(frozen=True, kw_only=True)
class HeldOutRun:
    """One held-out run: what was predicted without it, and what it measured (nats per token)."""

    run: str
    at: Mapping[str, float]  # params, tokens and train_flops, or the one column
    predicted: float | None  # None where only an order of magnitude was
    interval: Interval
    measured: float
    decades_beyond: float

    @property
    def error_percent(self) -> float | None:
        """How far the prediction lies above the measured loss; None where none was made."""
        return None if self.predicted is None else 100 * (self.predicted / self.measured - 1)

    @property
    def is_inside(self) -> bool:
        """Whether the measured loss lies in the interval, ends included."""
        return bool(self.interval.low <= self.measured <= self.interval.high)

    @property
    def line(self) -> str:
        """The check in one line."""
        measured = f"measured {self.measured:.4f}"
        if self.predicted is None or self.error_percent is None:
            return f"held-out run: unsupported, somewhere in {self.range_text}, {measured}"
        return (
            f"held-out run: predicted {self.predicted_text} {self.range_text}, {measured}, "
            f"error {self.error_percent:+.2f}%"
        )

    @property
    def range_text(self) -> str:
        """The interval, in the digits that mean something."""
        if self.predicted is None:
            return "[{:.2g}, {:.2g}]".format(*self.interval)
        return "[{1}, {2}]".format(*in_decimals(self.predicted, self.interval))

    @property
    def predicted_text(self) -> str:
        """The prediction in the digits of its interval."""
        if self.predicted is None:
            return "unsupported"
        return in_decimals(self.predicted, self.interval)[0]


@dataclass(frozen=True, kw_only=True, repr=False)
class HeldOutCheck(DrawnResult):
    """How the predictions of all held-out runs turned out."""

    runs: tuple[HeldOutRun, ...]
    confidence_level: float
    forecast: Forecast  # that the predictions come from
    records: Records = field(compare=False)  # all runs

    def to_frame(self) -> "DataFrame":
        """One row per held-out run: where it is, predicted (blank where it is not supported) and
        measured loss, the interval, error in percent, whether the interval held."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "run": run.run,
                    **run.at,
                    "predicted": run.predicted,
                    **interval_columns({self.confidence_level: run.interval}),
                    "measured": run.measured,
                    "error_percent": run.error_percent,
                    "inside": run.is_inside,
                    "decades_beyond": run.decades_beyond,
                }
                for run in self.runs
            ]
        ).astype({"predicted": float, "error_percent": float})

    def _document(self) -> Any:
        document = super()._document()
        for told, run in zip(document["runs"], self.runs, strict=True):
            told |= {"error_percent": run.error_percent, "is_inside": run.is_inside}
        return document | {"limits": plain_values(self.limits)}

    @property
    def line(self) -> str:
        """One line a held-out run."""
        return "\n".join(run.line for run in self.runs)

    @property
    def missed(self) -> tuple[HeldOutRun, ...]:
        """The runs whose measured loss lies outside the interval."""
        return tuple(run for run in self.runs if not run.is_inside)

    @property
    def warning(self) -> str | None:
        """A sentence that cannot be overlooked where an interval missed; None otherwise."""
        missed = first_of(LimitCode.MISSED, self.limits)
        return missed.text if missed else None

    @property
    def limits(self) -> tuple[Limit, ...]:
        """That an interval missed, and that the forecast is not of the runs' own sizes."""
        missed = (Limit(LimitCode.MISSED, self._how_missed()),) if self.missed else ()
        fallback = first_of(LimitCode.FALLBACK, self.forecast.limits)
        return (*missed, fallback) if fallback else missed

    def _how_missed(self) -> str:
        level = f"{100 * self.confidence_level:g}%"
        if len(self.runs) == 1:
            (run,) = self.missed
            side = "ABOVE" if run.measured > run.interval.high else "BELOW"
            return (
                f"THE FORECAST MISSED: the measured loss {run.measured:.4f} lies {side} "
                f"the {level} interval {run.range_text}. "
                f"{_NEXT}"
            )
        return (
            f"THE FORECAST MISSED: {len(self.missed)} of {len(self.runs)} measured losses lie "
            f"OUTSIDE their {level} intervals. "
            f"{_NEXT}"
        )


def held_out_runs(records: Records) -> Records:
    """The runs that the plan holds out, whether measured yet or not."""
    if "held_out" not in records:
        return records.select(np.zeros(len(records), dtype=bool), "not held out")
    return records.select(records.table["held_out"].astype(bool), "not held out")


def with_held_out(records: Source) -> Records:
    """The same runs with none held out: what a forecast rests on once the check is made."""
    records = records_from(records)
    return replace(records, table=records.table.assign(held_out=False), screened=False)


def forecast_held_out(records: Source, *, options: ForecastOptions = DEFAULT) -> Forecast:
    """The forecast of the held-out runs from all the others; their own losses are not read.

    Raises ForecastError where the plan holds nothing out, or the runs cannot answer.
    """
    records = records_from(records)
    hidden = held_out_runs(records)
    if not len(hidden):
        raise ForecastError(f"{records.source}: no run is held out; mark some with held_out = true")
    names = [n for n in SIZES if n in hidden] if options.x is None else [options.x]
    return forecast_to_come(records, {n: hidden.column(n) for n in names}, options=options)


def forecast_to_come(
    records: Records,
    runs: Mapping[str, Sequence[float] | FloatArray],
    *,
    options: ForecastOptions = DEFAULT,
) -> Forecast:
    """The forecast of runs along ``options.x``, or else by their params and tokens, or where the
    records know no law of those, by their train_flops, which is then a limit of the forecast.

    ``runs`` maps these columns to values, one a run. Raises ForecastError where the records cannot
    answer.
    """
    if options.x is not None:
        return forecast(records, Targets.along(options.x, *runs[options.x]), options=options)
    fallback: tuple[Limit, ...] = ()
    if "params" in runs and "tokens" in runs:
        targets = Targets.runs([*runs["params"]], [*runs["tokens"]])
        try:
            return forecast(records, targets, options=options)
        except ForecastError as error:
            if "train_flops" not in runs:
                raise
            text = f"forecast by budget, since by params and tokens there is none ({error})"
            fallback = (Limit(LimitCode.FALLBACK, text),)
    made = forecast(records, Targets.flops(*runs["train_flops"]), options=options)
    return replace(made, limits=fallback + made.limits)


def check_held_out(
    records: Source,
    sealed: Forecast | None = None,
    *,
    confidence_level: float = LEVEL,
    options: ForecastOptions = DEFAULT,
) -> HeldOutCheck:
    """Compare the held-out runs with ``sealed``, a forecast made before, or with one made now.

    Raises ForecastError where no held-out run has been measured, or ``sealed`` does not cover it.
    """
    records = records_from(records)
    measured = _measured(records)
    if not len(measured):
        raise ForecastError(f"{records.source}: no held-out run has finished; run the sweep first")
    options = replace(options, confidence_levels=(*options.confidence_levels, confidence_level))
    made = sealed or forecast_held_out(records, options=options)
    losses = measured.column("loss")
    names = measured.row_names
    runs = []
    for i in range(len(measured)):
        target = made.targets[_target_of(measured, i, made)].in_meaningful_digits()
        runs.append(
            HeldOutRun(
                run=names[i],
                at=dict(target.at) | _inputs(measured, i),
                predicted=target.median,
                interval=interval_at(target.intervals, confidence_level),
                measured=float(losses[i]),
                decades_beyond=target.decades_beyond,
            )
        )
    return HeldOutCheck(
        runs=tuple(runs),
        confidence_level=confidence_level,
        forecast=made,
        records=records,
        notes=records.told,
    )


def _measured(records: Records) -> Records:
    hidden = held_out_runs(records)
    hidden = hidden.select(hidden.is_finished, "not finished")
    loss = hidden.column("loss")
    return hidden.select(np.isfinite(loss) & (loss > 0), "no loss")


def _target_of(measured: Records, i: int, made: Forecast) -> int:
    """Which target of the forecast is this run."""
    for number, target in enumerate(made.targets):
        shared = [name for name in _asked(target.at) if name in measured]
        if shared and all(_same(measured.column(n)[i], target.at[n]) for n in shared):
            return number
    raise ForecastError(
        f"{measured.source}: the forecast was not made for {measured.row_names[i]}; "
        "forecast the held-out runs again before you measure them"
    )


def _asked(at: Mapping[str, float]) -> tuple[str, ...]:
    """What identifies a run: size and tokens where the target has them, else its one column."""
    return ("params", "tokens") if "params" in at and "tokens" in at else tuple(at)


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME_NUMBER * abs(other)


def _inputs(measured: Records, i: int) -> dict[str, float]:
    return {name: float(measured.column(name)[i]) for name in SIZES if name in measured}
