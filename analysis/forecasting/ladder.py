"""The runs of one ladder as the forecasting laws see them: logs of inputs, loss and compute."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.fitting.measurements.flops_per_param_token import (
    USUAL,
    FlopsPerParamToken,
    flops_per_param_token,
)
from analysis.tuning.gap import TuningGap
from scaling.answerable import decades_outside
from scaling.arrays import DECADE, SAME_NUMBER, BoolArray, FloatArray, IntArray
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.words import counted

# A run this far (in log loss) above the best run of similar compute counts half.
FRONTIER_SCALE = 0.05
SIMILAR_COMPUTE = 0.2 * np.log(10)  # "similar" is within 0.2 decades
# A run whose loss at its best learning rate is known no better (ln loss) counts half.
DOUBTFUL = 0.01
CURVE_POINTS = 50  # a learning curve holds thousands of near copies; this many carry the shape
MOST_RUNS = 400  # of a larger table so many carry a forecast: more would hardly narrow it
SLICE = 0.1 * DECADE  # of compute, in which runs stand for each other


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Finished runs in natural logs. Two inputs mean (params, tokens); one means any column.

    With ``tuning`` the losses are those of runs at their best learning rates: what the checks of
    their shapes say that bad tuning added is taken off.
    """

    inputs: tuple[str, ...]
    log_inputs: FloatArray  # (runs, inputs)
    log_loss: FloatArray  # (runs,)
    log_compute: FloatArray  # (runs,); with one input, that input
    cluster: IntArray | None = None  # (runs,) runs with one number share their errors
    configuration: IntArray | None = None  # (runs,) runs with one number repeat each other
    health: FloatArray | None = None  # (runs,) 0 to 1, for the learning rate of a run's shape
    flops: FlopsPerParamToken = FlopsPerParamToken(limit=USUAL)  # of two inputs
    tuning: TuningGap | None = None  # what was taken off log_loss, and how surely
    is_history: bool = False  # whether the rows are points of one run's curve, not runs

    def __len__(self) -> int:
        return len(self.log_loss)

    def select(self, mask: npt.ArrayLike) -> "Ladder":
        """The runs where ``mask`` (runs,) holds."""
        keep = np.asarray(mask)
        return replace(
            self,
            log_inputs=self.log_inputs[keep],
            log_loss=self.log_loss[keep],
            log_compute=self.log_compute[keep],
            cluster=None if self.cluster is None else self.cluster[keep],
            configuration=None if self.configuration is None else self.configuration[keep],
            health=None if self.health is None else self.health[keep],
            tuning=None if self.tuning is None else self.tuning.select(keep),
        )

    @property
    def centre(self) -> FloatArray:
        """Mean log inputs of the quarter of runs (three at least) with the largest compute.

        Constants measured from here are nearly uncorrelated where it matters, at the edge.
        """
        return np.asarray(self.log_inputs[self.top(4)].mean(axis=0))

    def top(self, part: int) -> BoolArray:
        """The one in ``part`` runs (three at least) with the largest compute, and equals."""
        count = min(len(self), max(3, len(self) // part))
        return np.asarray(self.log_compute >= np.sort(self.log_compute)[-count] - SAME_NUMBER)

    @property
    def frontier_weights(self) -> FloatArray:
        """How much each run counts for its distance from the best run of similar compute.

        A badly split or badly tuned run says little about the optimum. Along any one input but
        compute there is no better run to compare with, so all count fully.
        """
        if len(self.inputs) == 1 and self.inputs != ("train_flops",):
            return np.ones(len(self))
        best = lowest_nearby(self.log_compute, self.log_loss, SIMILAR_COMPUTE)
        return np.asarray(1 / (1 + ((self.log_loss - best) / FRONTIER_SCALE) ** 2))

    def weights(self, eta: float) -> FloatArray:
        """Weights (runs,) with sum = runs; ``eta`` is how fast they rise with log compute."""
        raw = np.exp(eta * (self.log_compute - self.log_compute.max())) * self.frontier_weights
        raw = raw if self.health is None else raw * self.health
        if self.tuning is not None:
            raw = raw / (1 + self.tuning.variance / DOUBTFUL**2)
        return np.asarray(raw * len(self) / raw.sum())

    def distance(self, log_inputs: FloatArray, log_compute: FloatArray) -> FloatArray:
        """Decades by which targets lie outside the data, in compute or in any input."""
        own = np.column_stack([self.log_compute, self.log_inputs])
        theirs = np.column_stack([log_compute, log_inputs])
        return decades_outside(own, theirs)

    @property
    def as_measured(self) -> "Ladder":
        """The ladder with the losses that its runs had, badly tuned or not."""
        if self.tuning is None:
            return self
        return replace(self, log_loss=self.log_loss + self.tuning.expected, tuning=None)

    def thinned(self, points: int = CURVE_POINTS) -> "Ladder":
        """The runs at no more than so many values of the one input, equally spaced in its log."""
        if len(self.inputs) > 1:
            return self
        x, at = np.unique(self.log_compute, return_inverse=True)
        if len(x) <= points:
            return self
        wanted = np.linspace(x[0], x[-1], points)
        after = np.clip(np.searchsorted(x, wanted), 1, len(x) - 1)
        nearest = np.where(wanted - x[after - 1] < x[after] - wanted, after - 1, after)
        return self.select(np.isin(at, nearest))

    def sample(self) -> tuple[IntArray, int]:
        """The rows (rising) of the runs that stand for a large table, all of one of up to
        `MOST_RUNS`; and how many a slice of compute keeps.

        Of every tenth of a decade equally many runs, as many as fit, so that the few large runs of
        a table of small ones stay; and the runs at the ends of compute, of each input and of the
        loss. Which of a slice is drawn, one of each equal part of it in order of compute: each is
        as likely, and they are the same in whatever order the table has them.
        """
        most = MOST_RUNS
        if len(self) <= most:
            return np.arange(len(self)), len(self)
        columns = (self.log_compute, *self.log_inputs.T, self.log_loss)
        order = np.lexsort(columns[::-1])
        slices = np.split(order, np.flatnonzero(np.diff(np.rint(columns[0][order] / SLICE))) + 1)
        sizes = np.array([len(runs) for runs in slices])
        fits = [k for k in range(1, most) if np.minimum(sizes, k).sum() <= most]
        share, rng = max(fits, default=1), np.random.default_rng(0)
        kept = [order[find(v[order])] for v in columns for find in (np.argmin, np.argmax)]
        for runs in slices:
            starts = np.linspace(0, len(runs), min(share, len(runs)) + 1).astype(np.int64)
            part = np.diff(starts)
            kept.extend(runs[starts[:-1] + (rng.random(len(part)) * part).astype(np.int64)])
        return np.unique(kept), share


def lowest_nearby(at: FloatArray, values: FloatArray, reach: float) -> FloatArray:
    """The lowest of ``values`` (points,) among points within ``reach`` of each, along ``at``."""
    places, which = np.unique(at, return_inverse=True)
    lowest = np.full(len(places), np.inf)
    np.minimum.at(lowest, which, values)
    # from half a rounding too narrow, as a sum is rounded otherwise than the difference
    start, stop = (np.searchsorted(places, places + sign * reach * (1 - 1e-9)) for sign in (-1, 1))
    last = len(places) - 1
    while (more := (start > 0) & (places - places[np.maximum(start - 1, 0)] <= reach)).any():
        start -= more
    while (more := (stop <= last) & (places[np.minimum(stop, last)] - places <= reach)).any():
        stop += more
    # lowest of 2^k neighbours from each place on; two such stretches cover any window
    found, width = np.full(len(places), np.inf), 1
    while width <= len(places):
        here = (stop - start >= width) & (stop - start < 2 * width)
        found[here] = np.minimum(lowest[start[here]], lowest[stop[here] - width])
        lowest = np.minimum(lowest, np.append(lowest[width:], np.full(width, np.inf)))
        width *= 2
    return np.asarray(found[which])


def evaluation_noise(usable: Records) -> float | None:
    """The median standard error of a loss over its validation set, relative; None if unknown."""
    if "loss_stderr" not in usable:
        return None
    relative = usable.column("loss_stderr") / usable.column("loss")
    known = relative[np.isfinite(relative) & (relative > 0)]
    return float(np.median(known)) if len(known) else None


def health_weights(usable: Records) -> FloatArray | None:
    """What each run counts for the learning rate of its shape; None where none was checked."""
    return usable.column("health_weight") if "health_weight" in usable else None


def log_flops(usable: Records) -> FloatArray:
    """Log FLOP as recorded; 6 N D where a run has none, of which `flops_limits` speaks."""
    compute = np.log(6 * usable.column("params") * usable.column("tokens"))
    known = _flops_known(usable)
    given = usable.column("train_flops") if "train_flops" in usable else np.ones(len(usable))
    return np.where(known, np.log(np.where(known, given, 1.0)), compute)


def flops_limits(usable: Records) -> tuple[Limit, ...]:
    """That some runs say nothing of their compute, where others do, or that it was not believed."""
    if "train_flops" not in usable and (doubt := usable.unclear.get("train_flops")) is not None:
        return (Limit(LimitCode.FILLED_IN, f"FLOP are counted as 6 N D: {doubt}"),)
    unknown = int(np.sum(~_flops_known(usable)))
    if not 0 < unknown < len(usable):  # of a table without any its reader tells
        return ()
    runs = counted(unknown, "run")
    text = f"train_flops of {runs} computed from C = 6 N D, of the others as recorded"
    return (Limit(LimitCode.FILLED_IN, text),)


def _flops_known(usable: Records) -> BoolArray:
    if "train_flops" not in usable:
        return np.zeros(len(usable), dtype=bool)
    given = usable.column("train_flops")
    return np.asarray(np.isfinite(given) & (given > 0))


def surface_ladder(usable: Records) -> Ladder:
    """Usable runs by size and tokens, with the FLOP that they count."""
    n, d = np.log(usable.column("params")), np.log(usable.column("tokens"))
    compute = log_flops(usable)
    known = _flops_known(usable)
    known = known if known.any() else np.ones(len(usable), dtype=bool)
    return Ladder(
        inputs=("params", "tokens"),
        log_inputs=np.column_stack([n, d]),
        log_loss=np.log(usable.column("loss")),
        log_compute=compute,
        cluster=usable.clusters,
        configuration=usable.configurations,
        health=health_weights(usable),
        flops=flops_per_param_token(n[known], d[known], compute[known]),
    )
