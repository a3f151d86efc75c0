"""What links a sweep that trains to the outlooks of its running runs: who tells them, who stops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaling.store.run_store import RunStore
    from scaling.store.settlement import Settlement
    from sweeps.planning.plan import SweepPlan

_LATEST_SHARE = 0.95  # of a run done: later than that, stopping saves nothing


def outlook_lines(store: "RunStore") -> dict[str, str]:
    """Where the runs that train at this moment are heading, a phrase by run id; none of a sweep
    that nobody drives."""
    from analysis.forecasting.unfinished_runs import outlooks
    from sweeps.running.driver_lock import is_driven

    if not is_driven(store):
        return {}
    return {run_id: found.line for run_id, found in outlooks(store).items()}


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
        from scaling.store.settlement import Settlement

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
