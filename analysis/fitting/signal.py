"""Whether losses follow the sizes of their runs at all: what any law and any forecast rests on.

The yardstick is no law of the registry but the best sum of falling powers of every input,

    L = E + sum_k a_k x^-p_k,     a_k >= 0, E of either sign,

found by non-negative least squares on relative errors over a ladder of exponents p. Whatever falls
is met by it to within its noise; noise, waves, steps, two units or two corpora in one table are
not. Clean ladders and published tables leave it 1 to 9% of the variance of their log losses,
noise 75% and more (docs/log.md).
"""

import numpy as np

from scaling.answerable import FEWEST_LAW_POINTS
from scaling.arrays import FloatArray, IntArray
from scaling.limits import Limit, LimitCode

LEAST_EXPLAINED = 0.85  # of the variance of the log losses
FAR_OFF, FAR_OFF_OF_SPREAD = 0.15, 0.15  # log loss, and share of its spread: the larger counts
MOST_FAR_OFF = 0.25  # share of the runs
TRIMMED_EVERY, LEAST_TO_TRIM = 20, 7  # of seven runs one may be a bad run, and one more of twenty
_EXPONENTS = (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5)
_TRIMMINGS = 4
_MOST_RUNS = 2000  # evenly spread ones of a longer table tell the same


def no_signal(log_inputs: FloatArray, log_loss: FloatArray) -> Limit | None:
    """Why these runs carry no answer, whatever law is asked; None where they may.

    ``log_inputs`` (runs, inputs) and ``log_loss`` (runs,) are natural logs, all finite. Fewer runs
    than `FEWEST_LAW_POINTS` say nothing here: `scaling.answerable` counts them.
    """
    points = len(np.unique(np.round(log_inputs, 9), axis=0))
    if points < FEWEST_LAW_POINTS:
        return None  # constants that are known from elsewhere may stand for the rest
    explained, far_off = _explained(log_inputs, log_loss)
    if explained >= LEAST_EXPLAINED and far_off <= MOST_FAR_OFF:
        return None
    if explained < LEAST_EXPLAINED:
        found = f"explains {max(explained, 0):.0%} of how the losses of these runs differ"
    else:
        found = f"leaves {far_off:.0%} of these runs far from it"
    text = (
        f"no law that falls with size {found}: they are noise, or differ in what the law does not "
        "see (another size, unit, corpus or recipe); keep those that agree with --where"
    )
    return Limit(LimitCode.UNSUPPORTED, text)


def _explained(log_inputs: FloatArray, log_loss: FloatArray) -> tuple[float, float]:
    """The share of the variance that falling powers explain, adjusted for how many they are, and
    the share of the runs far off. A few runs may be bad ones: the worst are trimmed."""
    few = np.linspace(0, len(log_loss) - 1, min(len(log_loss), _MOST_RUNS)).astype(np.int64)
    order = np.lexsort(log_inputs.T)[few]
    y = log_loss[order] - log_loss.min()
    above = log_inputs[order] - log_inputs[order].min(axis=0)
    powers = [np.exp(-p * column) for column in above.T for p in _EXPONENTS]
    terms = np.column_stack([np.ones(len(y)), -np.ones(len(y)), *powers])
    kept = np.arange(len(y))
    trimmed = 1 + len(y) // TRIMMED_EVERY if len(y) >= LEAST_TO_TRIM else 0
    for _ in range(_TRIMMINGS):
        residuals, used = _residuals(terms, y, kept)
        if len(kept) == len(y) and _share(residuals, y, used) >= LEAST_EXPLAINED:
            break
        kept = np.argsort(np.abs(residuals))[: len(y) - trimmed]
    far = max(FAR_OFF, FAR_OFF_OF_SPREAD * float(np.std(y[kept], ddof=1)))
    return _share(residuals[kept], y[kept], used), float(np.mean(np.abs(residuals) > far))


def _residuals(terms: FloatArray, y: FloatArray, kept: IntArray) -> tuple[FloatArray, int]:
    """Log losses (runs,) over what falling powers say that were fitted to some runs, and how many
    powers these are."""
    from scipy.optimize import nnls

    relative = terms * np.exp(-y)[:, None]
    share, _ = nnls(relative[kept], np.ones(len(kept)), maxiter=100 * terms.shape[1])
    residuals = -np.log(np.maximum(relative @ share, 1e-12))
    return residuals - np.median(residuals[kept]), int(np.sum(share > 0))


def _share(residuals: FloatArray, y: FloatArray, used: int) -> float:
    """The share of the variance of y that so many powers explain, adjusted for their number."""
    left = float(residuals @ residuals) / max(len(y) - used, 1)
    return 1 - left / max(float(np.var(y, ddof=1)), 1e-30)
