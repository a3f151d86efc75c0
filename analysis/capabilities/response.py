"""The bounded response of a metric: a sigmoid between a floor (chance) and a ceiling.

    share = floor + (ceiling - floor) / (1 + exp(-(a + b . z)))

with z the inputs in standard units and b above zero: a metric rises with what makes models better.
Residuals are taken between the arcsines of the square roots of the shares, which have about one
variance from end to end (Bartlett 1936, Supplement to the Journal of the Royal Statistical Society
3); nothing that is drawn on that scale leaves the range.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from scaling.arrays import FloatArray

FLOOR_ROOM = 0.02  # the floor lies at most so far above the lowest tenth of the shares
LOW, HIGH = 0.1, 0.95  # quantiles of the shares that bound the floor and the ceiling
SMALLEST_SCATTER = 0.004  # radians; about half a percent in the middle
_SMALLEST_SHARE = 1e-12  # below which an angle has no slope in floating point
SHAPES = 3  # constants beside the slopes: floor, ceiling, place
#: Mean and standard deviation of each, before any run is seen: floor and ceiling as logits within
#: their room, the place in logits at the middle of the runs, each slope as its logarithm.
PRIOR_MEAN = (0.0, 1.0, 0.0, 0.0)
PRIOR_SD = (1.5, 1.5, 2.0, 1.2)


def angles(shares: FloatArray) -> FloatArray:
    """The arcsine of the square root, 0 to pi / 2, of shares that are cut to 0 and 1."""
    return np.asarray(np.arcsin(np.sqrt(np.clip(shares, 0.0, 1.0))))


def shares_at(angle: FloatArray) -> FloatArray:
    """The shares at these angles, which are cut to 0 and pi / 2."""
    return np.asarray(np.sin(np.clip(angle, 0.0, np.pi / 2)) ** 2)


@dataclass(frozen=True, kw_only=True)
class Response:
    """A fitted sigmoid with the uncertainty of its constants."""

    theta: FloatArray  # (constants,)
    covariance: FloatArray  # (constants, constants)
    centre: FloatArray  # (inputs,)
    spread: FloatArray  # (inputs,)
    floor_room: float
    ceiling_from: float
    scatter: float  # radians: standard deviation of a run around the curve

    def shares(self, inputs: FloatArray, theta: FloatArray | None = None) -> FloatArray:
        """At inputs (..., inputs), for one set of constants or for one a row: (...,)."""
        theta = self.theta if theta is None else theta
        z = (inputs - self.centre) / self.spread
        floor = self.floor_room * _logistic(theta[..., 0])
        ceiling = self.ceiling_from + (1 - self.ceiling_from) * _logistic(theta[..., 1])
        logit = theta[..., 2] + (np.exp(theta[..., SHAPES:]) * z).sum(axis=-1)
        return np.asarray(floor + (ceiling - floor) * _logistic(logit))

    def angle_slopes(self, inputs: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivatives of the angles at inputs (runs, inputs) in the constants, (runs, constants).

        With s the share, dangle / ds = 1 / (2 sqrt(s (1 - s))); of a logistic l, l' = l (1 - l).
        """
        z = (inputs - self.centre) / self.spread
        rates = np.exp(theta[SHAPES:])
        of_floor, of_ceiling = _logistic(theta[0]), _logistic(theta[1])
        rise = _logistic(theta[2] + z @ rates)
        floor = self.floor_room * of_floor
        ceiling = self.ceiling_from + (1 - self.ceiling_from) * of_ceiling
        share = floor + (ceiling - floor) * rise
        place = (ceiling - floor) * rise * (1 - rise)
        columns = (
            self.floor_room * of_floor * (1 - of_floor) * (1 - rise),
            (1 - self.ceiling_from) * of_ceiling * (1 - of_ceiling) * rise,
            place,
            *(place[:, None] * rates * z).T,
        )
        of_angle = 0.5 / np.sqrt(np.maximum(share * (1 - share), _SMALLEST_SHARE))
        return np.stack(columns, axis=1) * of_angle[:, None]

    def draws(self, inputs: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Angles (draws, points) at inputs (draws, points, inputs), constants drawn anew for each
        draw."""
        theta = rng.multivariate_normal(self.theta, self.covariance, size=len(inputs))
        return angles(self.shares(inputs, theta[:, None, :]))


def fit_response(inputs: FloatArray, shares: FloatArray, weights: FloatArray) -> Response:
    """The sigmoid of these runs: inputs (runs, inputs) that rise with quality, shares (runs,), and
    what each run counts (runs,)."""
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
    start = Response(
        theta=np.empty(0),
        covariance=np.empty(0),
        centre=centre,
        spread=np.where(spread > 0, spread, 1.0),
        floor_room=float(np.clip(np.quantile(shares, LOW) + FLOOR_ROOM, FLOOR_ROOM, 0.9)),
        ceiling_from=float(np.clip(np.quantile(shares, HIGH), 0.05, 0.98)),
        scatter=0.03,
    )
    slopes = inputs.shape[1]
    mean = np.array([*PRIOR_MEAN[:SHAPES], *[PRIOR_MEAN[SHAPES]] * slopes])
    sd = np.array([*PRIOR_SD[:SHAPES], *[PRIOR_SD[SHAPES]] * slopes])
    roots, measured, scatter = np.sqrt(weights), angles(shares), start.scatter

    def residuals(theta: FloatArray, scatter: float) -> FloatArray:
        missed = roots * (angles(start.shares(inputs, theta)) - measured) / scatter
        return np.concatenate([missed, (theta - mean) / sd])

    def slopes_at(theta: FloatArray, scatter: float) -> FloatArray:
        of_runs = start.angle_slopes(inputs, theta) * (roots / scatter)[:, None]
        return np.concatenate([of_runs, np.diag(1 / sd)])

    starts = [mean + sd * np.array([f, c, 0, *[0] * slopes]) for f in (-1, 1) for c in (-1, 1)]
    for _ in range(3):  # the scatter and the constants by turns
        found = [
            least_squares(residuals, theta, jac=slopes_at, args=(scatter,)) for theta in starts
        ]
        best = min(found, key=lambda one: float(one.cost))
        missed = angles(start.shares(inputs, best.x)) - measured
        free = max(1.0, float(weights.sum()) - SHAPES)
        scatter = max(SMALLEST_SCATTER, float(np.sqrt((weights * missed**2).sum() / free)))
        starts = [best.x]
    return Response(
        theta=best.x,
        covariance=np.linalg.inv(best.jac.T @ best.jac),
        centre=start.centre,
        spread=start.spread,
        floor_room=start.floor_room,
        ceiling_from=start.ceiling_from,
        scatter=scatter,
    )


def _logistic(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60.0, 60.0))))
