"""Where a run that is still training will end, from its curve so far and from its sweep.

Runs of one sweep share a schedule, so they fall alike when time is counted as the share of the run
that is done: the log-ratio of final loss to loss at that share varies little between them. The
finished runs of the sweep say what it is and how much it varies; the sweep's own forecast of the
run, where there is one, is averaged in by its precision. Near the start the forecast decides,
near the end the curve.

Curves of one schedule fall together once normalised: Qiu et al. 2025, "Scaling Collapse Reveals
Universal Dynamics in Compute-Optimally Trained Neural Networks", arXiv:2507.02119; for families of
language models where tokens per parameter are fixed, Bergsma et al. 2025, "Scaling with Collapse",
arXiv:2509.25087, who stop runs early by it. Here: the ratio is taken at
equal shares of the run and nothing is subtracted, since the floor is seldom known. One batch is
noisy, so a curve is read as its mean over a stretch of the run, or, where runs were measured on
part of the validation set while they trained (`launch.validation`), as the last of these losses;
and runs of other sizes and lengths fall otherwise, so the ratio may be a line in ln parameters and
ln steps. Which curve and stretch, and whether a line, is what would have forecast each finished run
best from the others.
"""

import math
from collections.abc import Collection, Iterator, Mapping
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
WINDOWS = (0.06, 0.12, 0.25, 0.5, 0.75)  # of the steps done: stretches to average a curve over
PARTS = 12  # into which the whole of what is done is cut; logs are averaged over those of a stretch
FEWEST_POINTS = 3
FEWEST_FOR_A_LINE = 6  # finished runs
SHRINKAGE = 0.3  # of the line's slopes: what it is worth, in runs, that there are none
CHOSEN = 2.0  # finished runs by which the errors of the best rule are too small
OFF_LEVEL, LEAST_OFF = 0.999, 0.01  # chance that a curve is no further off, and ln loss it is by
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
    off_curve: float | None = None
    """How far its loss now lies above where its curve up to half of this would have come, as those
    of the finished runs did: in ln loss, where that is no chance; else None."""

    @property
    def line(self) -> str:
        """The forecast in one phrase."""
        heading = in_decimals(self.predicted, (self.low, self.high))
        said = f"{self.share_done:.0%} done, heading for {'{} [{}, {}]'.format(*heading)}"
        if self.off_curve is None:
            return said
        return f"{said}; OFF THE CURVE of finished runs by {math.expm1(self.off_curve):+.0%}"


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
    wanted = {r for peers, some in groups.items() for r in (*peers, *some)}
    curves = store.curves(run_ids=wanted).merge(
        store.curves("validation_loss", run_ids=wanted), "left", ["run_id", "step"]
    )
    found: dict[str, RunningForecast] = {}
    for peers, some in groups.items():
        steps = {run_id: int(facts[run_id]["planned_steps"]) for run_id in some}
        found |= forecast_running(
            curves[curves["run_id"].isin({*peers, *some})],
            steps | {run_id: int(facts[run_id]["steps"]) for run_id in peers},
            {run_id: float(facts[run_id]["loss"]) for run_id in peers},
            params={run_id: float(facts[run_id]["params"]) for run_id in (*some, *peers)},
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
    params: Mapping[str, float] | None = None,
    law_forecast: Mapping[str, tuple[float, float]] | None = None,
    confidence_level: float = LEVEL,
    settled_width: float = 0.005,
) -> dict[str, RunningForecast]:
    """Forecasts of the runs in ``curves`` that have no final loss yet, by run id.

    ``curves`` has columns run_id, step, train_loss, the mean since the point before, and may have
    validation_loss, what was measured there, blank where nothing was; ``planned_steps`` is each
    run's length, and ``params`` its size, where that is known of all; ``final_loss`` holds the
    finished runs. ``law_forecast`` is (log loss, its standard error) from the sweep's law. A run
    appears only if it has a few points of curve and at least three finished runs of the sweep were
    seen at the same share.

    The rule for ``outcome_settled``: the half width of the interval, in log loss, is below
    ``settled_width`` (half a percent), and the run is on the curve of the others. Then the rest of
    the run can move the final loss by less than one seed does, so a planner that only wants the
    loss may stop the run. As the interval rests on t quantiles of how finished runs of this sweep
    went on from the same share, three finished runs settle hardly anything: six or more are needed
    in practice, and a schedule that falls late keeps a run open until its decay has begun.
    """
    by_run = {
        str(run_id): Curve.of(points, planned_steps[str(run_id)])
        for run_id, points in curves.groupby("run_id", sort=False)
        if str(run_id) in planned_steps
    }
    finished = {run_id: curve for run_id in final_loss if (curve := by_run.get(run_id))}
    sizes = params if params and set(by_run) <= set(params) else None
    found = {}
    for run_id, curve in by_run.items():
        if run_id in final_loss or not curve.is_seen(curve.share):
            continue
        share = curve.share
        alike = {r: other for r, other in finished.items() if other.is_seen(share)}
        if len(alike) < FEWEST_FINISHED:
            continue
        peers = Peers.of(run_id, curve, alike, sizes)
        ends = np.log([final_loss[r] for r in alike])
        centre, spread, freedom = peers.outcome(ends, share)
        mean, error = _combined(centre, spread, (law_forecast or {}).get(run_id))
        half = _t_quantile(0.5 + confidence_level / 2, freedom) * error
        off = peers.off_curve(share)
        found[run_id] = RunningForecast(
            run_id=run_id,
            share_done=share,
            loss_so_far=float(np.exp(curve.log_mean(share, WINDOWS[0]))),
            predicted=float(np.exp(mean)),
            low=float(np.exp(mean - half)),
            high=float(np.exp(mean + half)),
            confidence_level=confidence_level,
            finished_runs=len(alike),
            outcome_settled=bool(half < settled_width) and off is None,
            off_curve=off,
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A training curve as sums, so that its mean over any stretch of steps is at hand."""

    planned: int
    steps: FloatArray  # (points + 1,) from 0
    sums: FloatArray  # (points + 1,) of the loss of all steps so far
    measured_at: FloatArray  # (measurements,) steps, rising
    measured: FloatArray  # (measurements,) ln of the validation loss there

    @classmethod
    def of(cls, points: pd.DataFrame, planned: int) -> "Curve":
        """The curve of a run of so many steps; each point is the mean since the one before."""
        ordered = points.sort_values("step")
        steps = np.append(0.0, ordered["step"].to_numpy(dtype=np.float64))
        losses = ordered["train_loss"].to_numpy(dtype=np.float64)
        losses = np.where(losses > 0, losses, np.nan)
        measured = np.full(len(losses), np.nan)
        if "validation_loss" in ordered:
            measured = ordered["validation_loss"].to_numpy(dtype=np.float64)
        known = np.isfinite(measured) & (measured > 0)
        return cls(
            planned=planned,
            steps=steps,
            sums=np.append(0, np.cumsum(np.diff(steps) * losses)),
            measured_at=steps[1:][known],
            measured=np.log(measured[known]),
        )

    @property
    def share(self) -> float:
        """Of the planned steps, those that are done."""
        return float(self.steps[-1]) / self.planned

    def is_seen(self, share: float) -> bool:
        """Whether it has a few points up to this share of its steps, all of them numbers."""
        until = share * self.planned * (1 + 1e-9)
        seen = self.steps <= until
        reaches = self.steps[-1] >= 0.9 * until
        return bool(seen.sum() > FEWEST_POINTS and reaches and np.isfinite(self.sums[seen]).all())

    def log_mean(self, share: float, window: float) -> float:
        """The mean of ln loss over the last ``window`` of the steps up to this share, of the means
        of its parts."""
        parts = max(1, round(window * PARTS))
        edges = np.linspace(share * (1 - window), share, parts + 1) * self.planned
        sums = np.interp(edges, self.steps, self.sums)
        return float(np.mean(np.log(np.diff(sums) / np.diff(edges))))

    def last_measured(self, share: float) -> float | None:
        """The latest share of its steps up to this one at which it was measured."""
        done = self.measured_at[self.measured_at <= share * self.planned * (1 + 1e-9)]
        return float(done[-1]) / self.planned if len(done) else None

    def log_measured(self, share: float) -> float | None:
        """ln of the validation loss at this share, between measurements by their line in ln steps;
        None beyond them by more than a hundredth of the run."""
        step, slack = share * self.planned, 0.01 * self.planned
        at = self.measured_at
        if not len(at) or not at[0] - slack <= step <= at[-1] + slack:
            return None
        return float(np.interp(math.log(step), np.log(at), self.measured))


@dataclass(frozen=True, kw_only=True)
class Peers:
    """The finished runs that a running one is compared with, and how unlike it they are."""

    running: Curve
    finished: tuple[Curve, ...]
    unlike: FloatArray  # (finished + 1, facts) ln length and size, standardised; its own last

    @classmethod
    def of(
        cls,
        run_id: str,
        running: Curve,
        finished: Mapping[str, Curve],
        params: Mapping[str, float] | None,
    ) -> "Peers":
        """The peers of one run."""
        columns = [[math.log(c.planned) for c in (*finished.values(), running)]]
        if params is not None:
            columns.append([math.log(params[r]) for r in (*finished, run_id)])
        facts = np.array(columns).T
        apart = facts[:-1].std(axis=0)
        facts = (facts - facts[:-1].mean(axis=0)) / np.where(apart > 0, apart, 1.0)
        return cls(running=running, finished=tuple(finished.values()), unlike=facts[:, apart > 0])

    def outcome(self, ends: FloatArray, share: float) -> tuple[float, float, int]:
        """The log loss that the run comes to as the finished ones came to their ``ends``
        (finished,), given the curves up to this share; its standard error, and the degrees of
        freedom of that. By the stretch and the rule that told the ends of the finished best."""
        best: tuple[float, float, float, int] | None = None
        for heads, here in self._read(share):
            for rule in (_level, _line):
                told = rule(ends - heads, self.unlike)
                if told is None:
                    continue
                ahead, missed, farther, freedom = told
                score = float(np.sqrt(np.mean(missed**2)))
                if best is None or score < best[0]:
                    best = (score, here + ahead, farther, freedom)
        assert best is not None, "a level is told of any three runs"
        score, centre, farther, freedom = best
        # the best of several rules is flattered by its errors here, the more the fewer they are
        score *= 1 + CHOSEN / len(self.finished)
        return centre, max(score, LEAST_SPREAD) * farther, freedom

    def _read(self, share: float) -> Iterator[tuple[FloatArray, float]]:
        """The curves of the finished runs (finished,) and its own up to this share, in each of the
        ways in which they can be read, as ln loss."""
        for window in WINDOWS:
            heads = [curve.log_mean(share, window) for curve in self.finished]
            yield np.array(heads), self.running.log_mean(share, window)
        measured = self.running.last_measured(share)
        if measured is None:
            return
        found = [curve.log_measured(measured) for curve in (*self.finished, self.running)]
        logs = [value for value in found if value is not None]
        if len(logs) == len(found):
            yield np.array(logs[:-1]), logs[-1]

    def off_curve(self, share: float) -> float | None:
        """How far above its own first half the loss lies now, judged by the finished runs, where
        that is no chance."""
        half = share / 2
        everyone = (*self.finished, self.running)
        if not all(curve.is_seen(half) for curve in everyone):
            return None
        now = np.array([curve.log_mean(share, WINDOWS[1]) for curve in everyone])
        expected, error, freedom = self.outcome(now[:-1], half)
        off = float(now[-1] - expected)
        return off if off > max(_t_quantile(OFF_LEVEL, freedom) * error, LEAST_OFF) else None


#: What one more run does, by how much each known one was missed from the others, the factor by
#: which the new one is less certain than those, and degrees of freedom.
Told = tuple[float, FloatArray, float, int]


def _level(ratios: FloatArray, unlike: FloatArray) -> Told:
    """That all runs have one ratio: the median."""
    others = [np.median(np.delete(ratios, i)) for i in range(len(ratios))]
    return float(np.median(ratios)), ratios - np.array(others), 1.0, len(ratios) - 1


def _line(ratios: FloatArray, unlike: FloatArray) -> Told | None:
    """That the ratio is a line in what the runs differ in, by least squares with slopes drawn to
    zero; None of few runs, or of runs that differ in nothing."""
    count, facts = len(ratios), unlike.shape[1]
    if count < FEWEST_FOR_A_LINE or not facts:
        return None
    x = np.column_stack([np.ones(count + 1), unlike])
    known, own = x[:-1], x[-1]
    inverse = np.linalg.inv(known.T @ known + np.diag([0.0, *[SHRINKAGE] * facts]))
    slopes = inverse @ known.T @ ratios
    leverage = np.einsum("ij,jk,ik->i", known, inverse, known)
    missed = (ratios - known @ slopes) / (1 - leverage)
    farther = math.sqrt((1 + own @ inverse @ own) / (1 + float(np.mean(leverage))))
    return float(own @ slopes), missed, max(farther, 1.0), count - 1 - facts


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
