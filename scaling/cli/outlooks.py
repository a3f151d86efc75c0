"""What links a sweep that trains to the forecasts of its running cells: who stops a settled one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.forecasting.unfinished_runs import RunningForecast
    from scaling.store.run_store import RunStore
    from sweeps.planning.plan import SweepPlan
    from sweeps.running.early_stop import Settlement

_MOST_COMPARED = 100  # finished curves that are read at a look
_LATEST_SHARE = 0.95  # of a run done: later than that, stopping saves nothing


@dataclass(frozen=True, kw_only=True)
class CurveJudge:
    """A `sweeps.running.early_stop.Judge` that asks `analysis.forecasting.unfinished_runs`: is
    the forecast of the final loss narrow?"""

    relative_width: float
    """Of the 90% interval, over the loss."""
    every_seconds: float = 30.0

    def __call__(self, store: "RunStore", run_ids: Sequence[str]) -> "Mapping[str, Settlement]":
        """By run id, those of the runs whose interval is narrower than that."""
        from sweeps.running.early_stop import Settlement

        heading = heading_of(store, run_ids, settled_width=self.relative_width / 2)
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
            for run_id, one in heading.items()
            if one.outcome_settled and one.share_done <= _LATEST_SHARE
        }


def heading_of(
    store: "RunStore", run_ids: Sequence[str], **how: Any
) -> "Mapping[str, RunningForecast]":
    """Where running cells are heading, by the finished cells of their sweep that are nearest in
    size; ``how`` goes to `analysis.forecasting.unfinished_runs.forecast_running`."""
    from analysis.forecasting.unfinished_runs import forecast_running

    facts = store.facts()
    running = [run_id for run_id in run_ids if run_id in facts]
    finished = {
        run_id: known["loss"]
        for run_id, known in facts.items()
        if known["status"] == "finished" and known.get("loss") and not known.get("held_out")
    }
    if not running or not finished:
        return {}
    size = facts[running[0]]["params"]
    nearest = sorted(finished, key=lambda run_id: abs(facts[run_id]["params"] - size))
    compared = {run_id: finished[run_id] for run_id in nearest[:_MOST_COMPARED]}
    return forecast_running(
        store.curves(run_ids={*running, *compared}),
        {run_id: int(facts[run_id]["steps"]) for run_id in (*running, *compared)},
        compared,
        **how,
    )


def judge_of(planned: "SweepPlan") -> CurveJudge | None:
    """Who stops the settled cells of a plan; None where its config wants none stopped."""
    width = planned.config.launch.policy.stop_settled_relative_width
    return None if width is None else CurveJudge(relative_width=width)
