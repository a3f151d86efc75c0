"""The bootstrap: the same law refitted to thousands of resampled tables, in batches.

Two ways to resample, both by cluster (by default one configuration with all its seeds):

    pairs  clusters are drawn with replacement (Efron and Tibshirani 1993): the design varies too
    wild   the design stays, the residuals of each cluster are multiplied by a random weight
           (Webb's six points): for few clusters, where pairs would often lose a constant;
           an objective that hardly looks at the size of residuals is replaced by least squares
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.fitting.minimising.models.coordinates import Model
from analysis.fitting.minimising.newton import minimise, whitening
from analysis.fitting.minimising.penalties import Penalty, penalty_named
from scaling.arrays import BoolArray, FloatArray, IntArray

Resampling = Literal["pairs", "wild", "normal"]

#: with fewer clusters than this, a resample often lacks what identifies a constant
FEWEST_CLUSTERS_FOR_PAIRS = 20
#: beyond this (runs times draws times `Model.work`) refits would take minutes; the estimate is
#: then normal
LARGEST_REFIT_WORK = 3e7
#: elements (replicas times runs) handled together: a few arrays of it fit in the cache
_CHUNK_ELEMENTS = 60_000
#: few clusters leave long flat valleys, where a floor fades to nothing, and are quick to evaluate
_LONGEST_SEARCH: dict[Resampling, int] = {"pairs": 60, "wild": 600, "normal": 60}
#: with one or two degrees of freedom the drawn noise level has no mean; it stops here
_HIGHEST_LEVEL = 10.0
#: Webb 2014, "Reworking wild bootstrap based inference for clustered errors"
_WEBB = np.sqrt(np.array([1.5, 1.0, 0.5]))
WEBB_POINTS = np.concatenate([-_WEBB, _WEBB[::-1]])


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Search coordinates of every replica and how their searches ended."""

    theta: FloatArray  # (draws, p)
    ok: BoolArray  # (draws,) whether the search converged: no interval is made of the others
    resampling: Resampling
    clusters: int

    @property
    def converged(self) -> int:
        """How many searches converged."""
        return int(self.ok.sum())


def bootstrap(
    model: Model,
    penalty: Penalty,
    theta: FloatArray,
    *,
    weights: FloatArray,
    log_loss: FloatArray,
    labels: npt.NDArray[np.int64],
    draws: int,
    rng: np.random.Generator,
    resampling: Resampling | None = None,
) -> Draws:
    """Refit ``draws`` resamples from the full-data optimum ``theta`` (p,).

    ``labels`` (runs,) numbers the clusters 0, 1, ...; ``resampling`` None chooses pairs for
    enough clusters, wild for few, and the cluster-robust normal approximation for tables so
    large that it is exact enough.
    """
    clusters = int(labels.max()) + 1
    if resampling is None:
        resampling = usual_resampling(clusters)
        if len(log_loss) * draws * model.work > LARGEST_REFIT_WORK:
            resampling = "normal"
    if resampling == "normal":
        spread = normal_draws(model, penalty, theta, weights, log_loss, labels, draws, rng)
        ok = np.asarray(np.isfinite(spread).all(axis=1))
        return Draws(theta=spread, ok=ok, resampling="normal", clusters=clusters)
    basis = whitening(model, theta, weights)
    centre = theta
    if resampling == "wild" and _is_deaf_to_few(penalty, model, theta, log_loss):
        penalty = penalty_named("least_squares")
        whole = Tables(weights=weights[None], log_loss=log_loss[None], draws=1, resampling="wild")
        theta = refit(model, penalty, theta, whole, basis)[0][0]
    predicted = model.log_prediction(theta[None])[0]
    parts, ends = [], []
    chunk = max(1, _CHUNK_ELEMENTS // len(log_loss))
    for first in range(0, draws, chunk):
        size = min(chunk, draws - first)
        tables = resampled(
            labels,
            weights=weights,
            log_loss=log_loss,
            predicted=predicted,
            constants=len(theta),
            draws=size,
            rng=rng,
            resampling=resampling,
        )
        at, ok = refit(model, penalty, theta, tables, basis)
        parts.append(centre + (at - theta))
        ends.append(ok)
    return Draws(
        theta=np.concatenate(parts),
        ok=np.concatenate(ends),
        resampling=resampling,
        clusters=clusters,
    )


def _is_deaf_to_few(
    penalty: Penalty, model: Model, theta: FloatArray, log_loss: FloatArray
) -> bool:
    """Whether replicas would ignore how large the residuals are.

    Absolute deviations, and Huber with a threshold far below the residuals, see only on which
    side of the law a run lies. Of a few clusters whose residuals are rescaled none changes sides,
    so all replicas agree and the spread would be nil. Least squares around the same centre
    measures it.
    """
    if penalty.name not in ("huber", "absolute"):
        return False
    residuals = np.abs(model.log_prediction(theta[None])[0] - log_loss)
    return penalty.name == "absolute" or bool(penalty.delta < np.median(residuals))


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Resampled tables: weights and log losses of the same runs, a row a replica or one for all."""

    weights: FloatArray  # (draws or 1, runs)
    log_loss: FloatArray  # (draws or 1, runs)
    draws: int
    resampling: Resampling


def resampled(
    labels: npt.NDArray[np.int64],
    *,
    weights: FloatArray,
    log_loss: FloatArray,
    predicted: FloatArray,
    constants: int,
    draws: int,
    rng: np.random.Generator,
    resampling: Resampling | None = None,
) -> Tables:
    """``draws`` resampled tables by cluster. ``predicted`` are the fitted log losses (runs,)."""
    clusters = int(labels.max()) + 1
    kind = resampling or usual_resampling(clusters)
    if kind == "pairs":
        counts = cluster_counts(labels, clusters, draws, rng)
        return Tables(
            weights=weights * counts, log_loss=log_loss[None], draws=draws, resampling=kind
        )
    moved = _wild_losses(predicted, log_loss, labels, clusters, constants, draws, rng)
    return Tables(weights=weights[None], log_loss=moved, draws=draws, resampling="wild")


def usual_resampling(clusters: int) -> Resampling:
    """Pairs for enough clusters, else wild."""
    return "pairs" if clusters >= FEWEST_CLUSTERS_FOR_PAIRS else "wild"


def refit(
    model: Model, penalty: Penalty, theta: FloatArray, tables: Tables, basis: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """The tables refitted from ``theta`` (p,): (draws, p), and which converged (draws,).

    Those that did not are searched on from where they stopped, for as long as the longest search.
    """
    at, longest = np.repeat(theta[None], tables.draws, axis=0), _LONGEST_SEARCH[tables.resampling]
    ok = np.zeros(tables.draws, dtype=bool)
    for stage in refit_stages(penalty):
        which = np.arange(tables.draws)
        for iterations in (longest, max(_LONGEST_SEARCH.values())):
            solution = minimise(
                model,
                stage,
                at[which],
                weights=_rows(tables.weights, which),
                log_loss=_rows(tables.log_loss, which),
                basis=basis,
                max_iterations=iterations,
            )
            at[which], ok[which] = solution.theta, solution.converged
            which = np.flatnonzero(~ok)
            if not len(which):
                break
    return at, ok & np.isfinite(at).all(axis=1)


def _rows(values: FloatArray, which: IntArray) -> FloatArray:
    """Some replicas' rows of a table; all of a table that they share."""
    return values if len(values) == 1 else values[which]


def refit_stages(penalty: Penalty) -> tuple[Penalty, ...]:
    """The objectives to minimise in turn from a near start: one, save for absolute deviations."""
    if penalty.name != "absolute":
        return (penalty,)
    return tuple(penalty.narrowed(delta) for delta in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7))


def cluster_counts(
    labels: npt.NDArray[np.int64], clusters: int, draws: int, rng: np.random.Generator
) -> FloatArray:
    """How often each run appears when clusters are drawn with replacement, (draws, runs)."""
    picked = rng.integers(clusters, size=(draws, clusters))
    flat = (picked + clusters * np.arange(draws)[:, None]).ravel()
    counts = np.bincount(flat, minlength=draws * clusters).reshape(draws, clusters)
    return np.asarray(counts[:, labels], dtype=np.float64)


def normal_draws(
    model: Model,
    penalty: Penalty,
    theta: FloatArray,
    weights: FloatArray,
    log_loss: FloatArray,
    labels: npt.NDArray[np.int64],
    draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws from the cluster-robust (sandwich) normal approximation at the optimum, (draws, p).

    White 1980 (Econometrica 48, 817) and its clustered form; exact as the number of clusters grows.
    """
    predicted = model.log_prediction(theta[None])[0]
    if penalty.name == "absolute":
        # no curvature anywhere: a Huber penalty half a residual spread wide has the same optimum
        # in the limit, and its curvature estimates the density of residuals at zero
        spread = float(1.4826 * np.median(np.abs(predicted - log_loss)))
        penalty = penalty.narrowed(max(spread / 2, 1e-12))
    _, slope, _ = penalty.per_run(predicted, log_loss)
    jacobian = model.jacobian(theta)
    basis = whitening(model, theta, weights)
    scores = (slope * weights)[:, None] * (jacobian @ basis)
    per_cluster = np.stack([np.bincount(labels, weights=column) for column in scores.T], axis=1)
    _, _, hessian = model.derivatives(penalty, basis)(theta[None], weights[None], log_loss[None])
    values, vectors = np.linalg.eigh(hessian[0])
    bread = (vectors / np.maximum(values, 1e-9 * values.max())) @ vectors.T
    # rows of scores @ bread are the clusters' influences: their random signed sum is the draw
    triangle = np.linalg.qr(per_cluster @ bread, mode="r")
    _, singular, right = np.linalg.svd(triangle, full_matrices=False)
    root = singular[:, None] * right
    return np.asarray(theta + rng.standard_normal((draws, len(theta))) @ root @ basis.T)


def _wild_losses(
    predicted: FloatArray,
    log_loss: FloatArray,
    labels: npt.NDArray[np.int64],
    clusters: int,
    constants: int,
    draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Log losses around the fit with the residuals of each cluster rescaled, (draws, runs).

    Residuals are inflated for the constants that were fitted to them, and the noise level, which
    few residuals tell only roughly, is itself drawn: so draws spread like Student's t with
    (clusters - constants) degrees of freedom, not like a normal.
    """
    freedom = max(clusters - constants, 1)
    level = np.sqrt(freedom / rng.chisquare(freedom, size=(draws, 1)))
    inflation = np.sqrt(clusters / freedom) * np.minimum(level, _HIGHEST_LEVEL)
    sign = WEBB_POINTS[rng.integers(6, size=(draws, clusters))][:, labels]
    return np.asarray(predicted + inflation * sign * (log_loss - predicted))
