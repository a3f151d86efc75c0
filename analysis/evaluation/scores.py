"""How good predictions with intervals were, once the truth is known.

Coverage alone is won by intervals of any width and width alone by intervals that miss; the
interval score charges both (Gneiting & Raftery 2007, "Strictly proper scoring rules").
"""

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray


def covered(low: FloatArray, high: FloatArray, measured: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether each measured value lies in its interval, ends included."""
    return np.asarray((low <= measured) & (measured <= high))


def interval_score(
    low: FloatArray, high: FloatArray, measured: FloatArray, confidence_level: float
) -> FloatArray:
    """Width plus a charge for missing, in the unit of the values; lower is better.

    A miss by m costs 2 m / (1 - confidence_level), so that the true quantiles score best.
    """
    rate = 2 / (1 - confidence_level)
    below, above = np.maximum(low - measured, 0.0), np.maximum(measured - high, 0.0)
    return np.asarray(high - low + rate * (below + above))
