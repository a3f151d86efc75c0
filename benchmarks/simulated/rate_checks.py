"""The learning-rate checks that a simulated ladder would carry, noise and all.

A sweep with `health:` in its config trains the cheapest run of every shape again at rates around
the rule's, two seeds each, and `sweeps.training.learning_rate_check.judge` reads a parabola off the
losses. Here the losses come from a known gap instead of from training, and the same `judge` reads
them.
"""

import numpy as np
import pandas as pd

from scaling.arrays import FloatArray
from scaling.extra_columns.rung_health import Health
from sweeps.training.learning_rate_check import judge

FACTORS = (0.56, 1.0, 1.8)
WIDER = (0.56**2, 0.56, 1.0, 1.8, 1.8**2)  # an open end is extended once by a step each way
SEEDS, SEQUENCES = 2, 16
SEQUENCE_NOISE = 0.002  # relative; 16 of them then err by .05%, as measured at tiny sizes
SHAPE = 0.25  # ln params: sizes this close are runs of one shape
CURVATURE_OVER_NOISE = 10.0  # tiny models: .05 to .2 at 1% between seeds; large ones .01 to .04
COLUMNS = ("health", "lr_offset", "lr_curvature", "lr_gap", "lr_gap_stderr")


def with_checks(
    runs: pd.DataFrame, gap: FloatArray, noise: float, rng: np.random.Generator
) -> pd.DataFrame:
    """``runs`` with `width` and the check's columns on the cheapest run of each shape.

    ``gap`` (runs,) is what the rule's learning rate really costs each run, relative; ``noise`` the
    relative spread of seeds.
    """
    shape = np.round(np.log(runs["params"]) / SHAPE).astype(int)
    checked = runs.assign(width=8 * (shape - shape.min() + 1), checked=False)
    cheapest = checked.groupby("width")["train_flops"].idxmin()
    curvature = CURVATURE_OVER_NOISE * noise * float(np.exp(rng.normal(0, 0.5)))
    side = rng.choice([-1, 1])
    for row in cheapest:
        offset = side * float(np.sqrt(2 * gap[row] / curvature))
        found = _check(offset, curvature, noise, rng)
        for name in COLUMNS:
            checked.loc[row, name] = found[name]
    return checked.drop(columns="checked")


def _check(
    offset: float, curvature: float, noise: float, rng: np.random.Generator
) -> dict[str, float | str]:
    """The record of one check of a run whose best learning rate lies ``offset`` (ln) away."""
    x = np.log(WIDER)
    losses = (1 + curvature / 2 * (x - offset) ** 2)[:, None, None]
    losses = losses + noise * rng.standard_normal((len(x), SEEDS, 1))
    losses = losses + SEQUENCE_NOISE * rng.standard_normal((len(x), SEEDS, SEQUENCES))
    check = judge(FACTORS, losses[1:4], capped=False)
    if check.status is Health.EDGE:
        check = judge(WIDER, losses, capped=False)
    return check.record()
