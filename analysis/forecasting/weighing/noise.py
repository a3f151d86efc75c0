"""How much one more run scatters around the law, and where that number comes from.

Two noises meet in a measured loss. Run noise (seed of initialisation and of data order) differs
from run to run; repeats of one configuration show it. Evaluation noise (a finite validation set)
is common to all runs measured on one set: it moves every loss together, so it widens no forecast
of a loss measured on that same set, and repeats do not show it.
"""

from dataclasses import dataclass

import numpy as np

from analysis.forecasting.constants.calibration import Calibration
from analysis.forecasting.ladder import Ladder
from scaling.arrays import FloatArray

DEFAULT_NOISE = 0.005  # log loss: what one seed does to a small language model, where unknown
FEWEST_REPEATS = 4  # spare runs (beyond one a configuration) that can tell a standard deviation
FITTED_CONSTANTS = 5  # about what a fit with weak priors really uses up


@dataclass(frozen=True, kw_only=True)
class RunNoise:
    """What one more run scatters around the law: deviations to draw from, and their size."""

    deviations: FloatArray  # (runs,) in log loss, of the size `scale`
    chances: FloatArray  # (runs,) sum 1; runs of large compute are more like the target
    scale: float  # of a new run
    residual_scale: float  # of the fit's residuals: run noise and model misspecification together
    source: str  # "repeated runs", "residuals of the fit", or with the default mixed in


def run_noise(ladder: Ladder, residuals: FloatArray, calibration: Calibration) -> RunNoise:
    """The noise of a new run from repeated configurations, or else from the fit's residuals.

    ``residuals`` (runs,) are measured minus predicted log loss. Without repeats the residuals of
    n runs are worth n - 5 observations, and a default of 0.5% is worth
    ``calibration.default_noise_runs`` more.
    """
    n, frontier = len(ladder), ladder.frontier_weights
    spare = max(n - FITTED_CONSTANTS, 0.3 * n)
    # Residuals are smaller than errors by the constants that were fitted to them.
    residuals = residuals * np.sqrt(frontier * n / spare)
    chances = np.exp(0.4 * (ladder.log_compute - ladder.log_compute.max())) * frontier
    chances = chances / chances.sum()
    reach = 4 * 1.4826 * float(np.median(np.abs(residuals))) + 1e-12
    residual_scale = float(np.sqrt(chances @ np.clip(residuals, -reach, reach) ** 2))
    repeats = _repeats(ladder)
    if repeats is not None:
        deviations, scale = repeats
        return RunNoise(
            deviations=deviations,
            chances=np.full(len(deviations), 1 / len(deviations)),
            scale=scale,
            residual_scale=residual_scale,
            source="repeated runs",
        )
    default = calibration.default_noise_runs
    scale = float(
        np.sqrt((spare * residual_scale**2 + default * DEFAULT_NOISE**2) / (spare + default))
    )
    return RunNoise(
        deviations=residuals * scale / max(residual_scale, 1e-12),
        chances=chances,
        scale=scale,
        residual_scale=residual_scale,
        source=f"residuals of the fit and a default of {100 * DEFAULT_NOISE:g}%"
        if default
        else "residuals of the fit",
    )


def _repeats(ladder: Ladder) -> tuple[FloatArray, float] | None:
    """Deviations of repeated runs from their configuration's mean, and their scale."""
    if ladder.configuration is None:
        return None
    _, which, sizes = np.unique(ladder.configuration, return_inverse=True, return_counts=True)
    spare = len(which) - len(sizes)
    if spare < FEWEST_REPEATS:
        return None
    deviations = ladder.log_loss - (np.bincount(which, ladder.log_loss) / sizes)[which]
    repeated = sizes[which] > 1
    # a mean of m runs takes its share of their scatter with it
    deviations = (deviations * np.sqrt(sizes[which] / np.maximum(sizes[which] - 1, 1)))[repeated]
    weights = ((sizes[which] - 1) / sizes[which])[repeated]
    return deviations, float(np.sqrt(weights @ deviations**2 / spare))
