"""What a fit minimises, by name: a penalty per run, always summed over the runs.

Never the mean: a mean of tiny Huber losses falls below the default tolerances of common
optimisers, which then stop far from the optimum (a test demonstrates it).

A penalty is a function of f, the predicted log loss, and comes with its first and second
derivative in f, which is all that the solver needs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scaling.arrays import FloatArray
from scaling.errors import FitError

Triple = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """A named penalty. ``delta`` and ``asymmetry`` matter only where the name uses them."""

    name: str
    delta: float = 1e-3
    asymmetry: float = 10.0

    def per_run(self, predicted_log_loss: FloatArray, log_loss: FloatArray) -> Triple:
        """(value, slope, curvature) per run, derivatives in the predicted log loss."""
        return PENALTIES[self.name](self, predicted_log_loss, log_loss)

    def weighted(
        self, predicted_log_loss: FloatArray, log_loss: FloatArray, weights: FloatArray
    ) -> Triple:
        """(batch,) weighted sums, and per run the weighted slope and curvature, (batch, runs)."""
        if self.name == "huber":  # the common case, with as few passes over memory as it takes
            residual = predicted_log_loss - log_loss
            slope = np.clip(residual, -self.delta, self.delta)
            curvature = np.multiply(slope == residual, weights, dtype=np.float64)
            weighted = slope * weights
            slope *= -0.5
            slope += residual
            return np.einsum("bn,bn->b", weighted, slope), weighted, curvature
        value, slope, curvature = self.per_run(predicted_log_loss, log_loss)
        return (value * weights).sum(axis=1), slope * weights, curvature * weights

    def value(self, predicted_log_loss: FloatArray, log_loss: FloatArray) -> FloatArray:
        """The penalty per run."""
        return self.per_run(predicted_log_loss, log_loss)[0]

    def narrowed(self, delta: float) -> "Penalty":
        """The Huber penalty that approaches this one as ``delta`` shrinks."""
        return Penalty(name="huber", delta=delta)

    @property
    def reads_delta(self) -> bool:
        """Whether the threshold changes anything."""
        return "{delta" in _WORDS[self.name]

    @property
    def in_words(self) -> str:
        """For people: what is summed over the runs."""
        return _WORDS[self.name].format(delta=self.delta, asymmetry=self.asymmetry)


def penalty_named(name: str, *, huber_delta: float = 1e-3) -> Penalty:
    """The penalty of this name, which callers give as ``objective``; FitError names the known."""
    if name not in PENALTIES:
        raise FitError(f'unknown objective "{name}"; the objectives are {", ".join(PENALTIES)}')
    if not (np.isfinite(huber_delta) and huber_delta > 0):
        raise FitError(f"--huber-delta is {huber_delta}; it must be a number above zero (try 1e-3)")
    return Penalty(name=name, delta=huber_delta)


def _least_squares(_: Penalty, f: FloatArray, y: FloatArray) -> Triple:
    residual = f - y
    return 0.5 * residual**2, residual, np.ones_like(residual)


def _huber(penalty: Penalty, f: FloatArray, y: FloatArray) -> Triple:
    """0.5 r**2 up to delta, then delta (|r| - delta / 2). Huber 1964."""
    residual = f - y
    slope = np.minimum(np.maximum(residual, -penalty.delta), penalty.delta)
    value = slope * (residual - 0.5 * slope)
    return value, slope, (slope == residual).astype(np.float64)


def _absolute(_: Penalty, f: FloatArray, y: FloatArray) -> Triple:
    residual = f - y
    return np.abs(residual), np.sign(residual), np.zeros_like(residual)


def _raw_least_squares(_: Penalty, f: FloatArray, y: FloatArray) -> Triple:
    """0.5 (L - predicted L)**2: weighs high losses more than log loss does."""
    predicted = np.exp(f)
    residual = predicted - np.exp(y)
    return 0.5 * residual**2, residual * predicted, predicted * (predicted + residual)


def _asymmetric(penalty: Penalty, f: FloatArray, y: FloatArray) -> Triple:
    """Huber, ``asymmetry`` times heavier where the law predicts more than was measured.

    A badly tuned run lies above the surface that good runs trace; it should not lift the law.
    """
    factor = np.where(f > y, penalty.asymmetry, 1.0)
    value, slope, curvature = _huber(penalty, f, y)
    return factor * value, factor * slope, factor * curvature


PENALTIES: dict[str, Callable[[Penalty, FloatArray, FloatArray], Triple]] = {
    "huber": _huber,
    "least_squares": _least_squares,
    "absolute": _absolute,
    "raw_least_squares": _raw_least_squares,
    "asymmetric": _asymmetric,
}

_WORDS = {
    "huber": "sum of Huber penalties (delta {delta:g}) of the log-loss residuals",
    "least_squares": "sum of squared log-loss residuals, halved",
    "absolute": "sum of absolute log-loss residuals",
    "raw_least_squares": "sum of squared loss residuals, halved",
    "asymmetric": (
        "sum of Huber penalties (delta {delta:g}) of the log-loss residuals, {asymmetry:g} times "
        "heavier where the law predicts more than was measured"
    ),
}
