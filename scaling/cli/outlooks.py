"""What links a sweep to its forecasts: the outlooks of runs that train, and of larger ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling.cli.outputs import say
from scaling.errors import ScalingError, StoreError
from scaling.words import counted

if TYPE_CHECKING:
    from analysis.forecasting.unfinished_runs import RunningForecast
    from scaling.store.one_run.settlement import Settlement
    from scaling.store.run_store import RunStore
    from sweeps.planning.plan import SweepPlan

_AHEAD = 10.0  # times the largest run: the forecast that MLflow's pages show
_LATEST_SHARE = 0.95  # of a run done: later than that, stopping saves nothing


def running_forecasts(store: "RunStore") -> "dict[str, RunningForecast]":
    """Where the runs that train at this moment are heading, by run id; none of a sweep that nobody
    drives."""
    from analysis.forecasting.unfinished_runs import outlooks
    from sweeps.running.driver_lock import is_driven

    return outlooks(store) if is_driven(store) else {}


def outlook_lines(store: "RunStore") -> dict[str, str]:
    """The same, each as a phrase."""
    return {run_id: found.line for run_id, found in running_forecasts(store).items()}


def rung_gaps(store: "RunStore") -> tuple[dict[str, Any], list[str]]:
    """How far the rungs of a sweep lie above the best training found, as `scaling health` says it:
    for a JSON document, and in sentences. What cannot be read is said in its place."""
    from analysis.text.tuning import gap_sentences
    from analysis.tuning.rungs import ladder_health

    try:
        health = ladder_health(store.read_records())
    except ScalingError as error:
        return {"error": str(error)}, [f"gap to the best found: not told: {error}"]
    return health.gaps_document(), gap_sentences(health)


@dataclass(frozen=True, kw_only=True)
class CurveJudge:
    """A `sweeps.running.early_stop.Judge` that asks `analysis.forecasting.unfinished_runs`: is
    the forecast of the final loss narrow?"""

    relative_width: float
    """Of the 90% interval, over the loss."""
    every_seconds: float = 30.0

    def __call__(self, store: "RunStore", run_ids: Sequence[str]) -> "Mapping[str, Settlement]":
        """By run id, those of the runs whose interval is narrower than that."""
        from analysis.forecasting.unfinished_runs import outlooks
        from scaling.store.one_run.settlement import Settlement

        found = outlooks(store, run_ids, settled_width=self.relative_width / 2)
        return {
            run_id: Settlement(
                reason=f"{one.line}: its outcome is settled to within {self.relative_width:.2g}",
                facts={
                    "forecast_loss": one.predicted,
                    "forecast_low": one.low,
                    "forecast_high": one.high,
                    "share_done": one.share_done,
                },
            )
            for run_id, one in found.items()
            if one.outcome_settled and one.share_done <= _LATEST_SHARE
        }


def judge_of(planned: "SweepPlan") -> CurveJudge | None:
    """Who stops the settled runs of a plan; None where its config wants none stopped."""
    width = planned.config.launch.policy.stop_settled_relative_width
    return None if width is None else CurveJudge(relative_width=width)


def log_forecast(source: "RunStore | str") -> None:
    """Show in MLflow, on the sweep's own run, the forecast at ten times its largest run from all
    its runs, as `scaling forecast` makes it; once for the same runs, and nothing for other sources.

    The verb has answered by then: a store that does not take it costs a line on standard error.
    """
    if isinstance(source, str) and not source.startswith("mlflow:"):
        return
    from scaling.store.run_store import RunStore

    try:
        if isinstance(source, str):
            source = RunStore.find(source.removeprefix("mlflow:"))
        _log_forecast(source)
    except StoreError as error:
        say(f"scaling: the forecast is not shown in MLflow: {error}")


def _log_forecast(store: "RunStore") -> None:
    from analysis.forecasting.forecast import forecast_ahead
    from analysis.intervals import LEVEL, in_decimals
    from scaling.limits import LimitCode, texts

    page = store.page()
    if page is None:  # its runs are of no sweep
        return
    records = store.read_records()
    if page.forecast_stands(records.data_hash):
        return
    values: dict[str, float] = {}
    try:
        answered = forecast_ahead(records, _AHEAD)
    except ScalingError as error:
        said = f"none: {error}"
    else:
        (target,) = answered.targets
        flops, interval = target.at["train_flops"], target.intervals[LEVEL]
        if target.median is None:
            said = f"none at {flops:.3g} FLOP: {'; '.join(texts(target.limits))}"
        else:
            values = {"median": target.median, "low_90": interval.low, "high_90": interval.high}
            said = (
                f"{'{} [{}, {}]'.format(*in_decimals(target.median, interval))} at {flops:.3g} "
                f"FLOP, from {counted(answered.runs, 'run')}"
            )
        said = "; ".join([said, *texts(answered.limits, of=(LimitCode.PROVISIONAL,))])
    page.log_forecast(f"forecast_{_AHEAD:g}x", values, said=said, data_hash=records.data_hash)
