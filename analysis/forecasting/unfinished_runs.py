"""Where a run that is still training will end, from its curve so far and from its sweep.

Runs of one sweep share a schedule, so they fall alike when time is counted as the share of the run
that is done: the log-ratio of final loss to loss at that share varies little between them. The
finished runs of the sweep say what it is and how much it varies; the sweep's own forecast of the
run, where there is one, is averaged in by its precision. Near the start the forecast decides,
near the end the curve.

Curves of one schedule fall together once normalised: Qiu et al. 2025, "Scaling Collapse Reveals
Universal Dynamics in Compute-Optimally Trained Neural Networks", arXiv:2507.02119. Here: the ratio
is taken at equal shares of the run and nothing is subtracted, since the floor is seldom known.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.intervals import LEVEL, in_decimals
from scaling.arrays import FloatArray
from scaling.columns import MUST_AGREE

if TYPE_CHECKING:
    from scaling.store.run_store import RunStore

FEWEST_FINISHED = 3
WINDOW = 0.06  # of the steps done: the stretch over which a noisy curve is averaged
FEWEST_POINTS = 3
LEAST_SPREAD = 0.002  # of log loss: no sweep repeats itself more closely than that
MOST_COMPARED = 100  # finished curves that are read for one running run
#: Facts in which a run agrees with those that tell how it will go on.
ALIKE = (*MUST_AGREE, "schedule")


@dataclass(frozen=True, kw_only=True)
class RunningForecast:
    """The final loss that a running run is heading for."""

    run_id: str
    share_done: float  # of the planned steps
    loss_so_far: float  # training loss averaged over the last stretch, nats per token
    predicted: float  # final validation loss, nats per token
    low: float
    high: float
    confidence_level: float
    finished_runs: int  # how many curves the ratio was learned from
    outcome_settled: bool  # the rest of the run can hardly move the loss out of this interval

    @property
    def line(self) -> str:
        """The forecast in one phrase."""
        heading = in_decimals(self.predicted, (self.low, self.high))
        return f"{self.share_done:.0%} done, heading for {'{} [{}, {}]'.format(*heading)}"


def outlooks(
    store: "RunStore", run_ids: Collection[str] | None = None, *, settled_width: float = 0.005
) -> dict[str, RunningForecast]:
    """Where the running runs of a sweep will end, by run id; of all of them, or of some.

    The one answer that status, dashboard and early stopping give. A run is compared with the
    finished runs of its sweep that were measured against the same thing on the same schedule, of
    those with the nearest in size, so its outlook does not depend on what else is asked about.
    Held-out runs take no part on either side: their losses are there to be predicted, and the end
    of a curve nearly tells the loss.
    """
    facts = {
        run_id: known
        for run_id, known in store.facts().items()
        if known.get("params") and not known.get("held_out")
    }
    running = [
        run_id
        for run_id, known in facts.items()
        if known["status"] == "running"
        and known.get("planned_steps")
        and (run_ids is None or run_id in run_ids)
    ]
    finished: dict[tuple[Any, ...], list[str]] = {}
    for run_id, known in facts.items():
        if known["status"] == "finished" and known.get("loss") and known.get("steps"):
            finished.setdefault(_kind(known), []).append(run_id)
    groups: dict[tuple[str, ...], list[str]] = {}
    for run_id in running:
        alike = finished.get(_kind(facts[run_id]), [])
        groups.setdefault(_nearest(facts, run_id, alike), []).append(run_id)
    groups.pop((), None)
    if not groups:
        return {}
    curves = store.curves(run_ids={r for peers, some in groups.items() for r in (*peers, *some)})
    found: dict[str, RunningForecast] = {}
    for peers, some in groups.items():
        steps = {run_id: int(facts[run_id]["planned_steps"]) for run_id in some}
        found |= forecast_running(
            curves[curves["run_id"].isin({*peers, *some})],
            steps | {run_id: int(facts[run_id]["steps"]) for run_id in peers},
            {run_id: float(facts[run_id]["loss"]) for run_id in peers},
            settled_width=settled_width,
        )
    return found


def _kind(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """What runs agree in that tell of each other."""
    return tuple(facts.get(column) for column in ALIKE)


def _nearest(
    facts: Mapping[str, Mapping[str, Any]], run_id: str, others: Collection[str]
) -> tuple[str, ...]:
    """The runs that are nearest to this one in size, by ratio, the nearest first."""
    size = math.log(facts[run_id]["params"])

    def distance(other: str) -> tuple[float, str]:
        return abs(math.log(facts[other]["params"]) - size), other

    return tuple(sorted(others, key=distance)[:MOST_COMPARED])


def forecast_running(
    curves: pd.DataFrame,
    planned_steps: Mapping[str, int],
    final_loss: Mapping[str, float],
    *,
    law_forecast: Mapping[str, tuple[float, float]] | None = None,
    confidence_level: float = LEVEL,
    settled_width: float = 0.005,
) -> dict[str, RunningForecast]:
    """Forecasts of the runs in ``curves`` that have no final loss yet, by run id.

    ``curves`` has columns run_id, step, train_loss; ``planned_steps`` is each run's length;
    ``final_loss`` holds the finished runs. ``law_forecast`` is (log loss, its standard error)
    from the sweep's law. A run appears only if it has a few points of curve and at least three
    finished runs of the sweep were seen at the same share.

    The rule for ``outcome_settled``: the half width of the interval at ``confidence_level``, in log
    loss, is below ``settled_width`` (half a percent). Then the rest of the run can move the final
    loss by less than one seed does, so a planner that only wants the loss may stop the run. As
    the interval rests on t quantiles of how finished runs of this sweep went on from the same
    share, three finished runs settle hardly anything: six or more are needed in practice, and a
    schedule that falls late (a decay at the end) keeps a run open until its decay has begun in
    the share of the run that the finished ones show.
    """
    by_run = {str(run_id): points for run_id, points in curves.groupby("run_id", sort=False)}
    finished = {r: by_run[r] for r in final_loss if r in by_run and r in planned_steps}
    found = {}
    for run_id, points in by_run.items():
        if run_id in final_loss or run_id not in planned_steps:
            continue
        share = float(points["step"].max()) / planned_steps[run_id]
        here = _log_loss_at(points, share * planned_steps[run_id])
        ratios = _ratios(finished, planned_steps, final_loss, share)
        if here is None or len(ratios) < FEWEST_FINISHED:
            continue
        centre, spread, freedom = _centre_and_spread(ratios)
        law = (law_forecast or {}).get(run_id)
        mean, error = _combined(here + centre, spread, law)
        half = _t_quantile(0.5 + confidence_level / 2, freedom) * error
        found[run_id] = RunningForecast(
            run_id=run_id,
            share_done=share,
            loss_so_far=float(np.exp(here)),
            predicted=float(np.exp(mean)),
            low=float(np.exp(mean - half)),
            high=float(np.exp(mean + half)),
            confidence_level=confidence_level,
            finished_runs=len(ratios),
            outcome_settled=bool(half < settled_width),
        )
    return found


def _ratios(
    finished: Mapping[str, pd.DataFrame],
    planned_steps: Mapping[str, int],
    final_loss: Mapping[str, float],
    share: float,
) -> FloatArray:
    """Log final loss minus log loss at this share, of every finished run that was seen there."""
    seen = {
        run_id: _log_loss_at(points, share * planned_steps[run_id])
        for run_id, points in finished.items()
    }
    return np.array(
        [np.log(final_loss[run_id]) - here for run_id, here in seen.items() if here is not None]
    )


def _log_loss_at(points: pd.DataFrame, step: float) -> float | None:
    """Log of the mean loss over the last stretch before ``step``; None without enough points."""
    steps = points["step"].to_numpy(dtype=np.float64)
    losses = points["train_loss"].to_numpy(dtype=np.float64)
    seen = steps <= step
    stretch = max(FEWEST_POINTS, int(np.sum(seen & (steps > (1 - WINDOW) * step))))
    recent = losses[seen][-stretch:]
    if len(recent) < FEWEST_POINTS or not np.all(np.isfinite(recent)) or np.any(recent <= 0):
        return None
    return float(np.log(recent.mean()))


def _centre_and_spread(ratios: FloatArray) -> tuple[float, float, int]:
    """Median, standard error of one more run's ratio around it, degrees of freedom."""
    count = len(ratios)
    centre = float(np.median(ratios))
    spread = float(np.sqrt(np.sum((ratios - centre) ** 2) / (count - 1)))
    return centre, max(spread, LEAST_SPREAD) * float(np.sqrt(1 + 1 / count)), count - 1


def _combined(mean: float, error: float, law: tuple[float, float] | None) -> tuple[float, float]:
    """The curve's answer averaged with the law's, each by its precision."""
    if law is None:
        return mean, error
    precision = np.array([error**-2, law[1] ** -2])
    average = float(np.average([mean, law[0]], weights=precision))
    return average, float(precision.sum() ** -0.5)


def _t_quantile(probability: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
