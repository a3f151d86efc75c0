"""Whether losses follow the sizes of their runs at all: what any law and any forecast rests on.

The yardstick is no law of the registry but the best sum of falling powers of every input,

    L = E + sum_k a_k x^-p_k,     a_k >= 0, E of either sign,

found by non-negative least squares on relative errors over a ladder of exponents p. Whatever falls
is met by it to within its noise; noise, waves, steps, two units or two corpora in one table are
not. Clean ladders and published tables leave it 1 to 9% of the variance of their log losses,
noise 75% and more (docs/log.md). And no run may end far above one that is smaller in every input,
but for a few bad ones: in tables that mix two corpora or units many do, in ladders none.
"""

import numpy as np

from analysis.tuning.screening import screen
from scaling.answerable import FEWEST_LAW_POINTS, best_of_budget, no_surface, not_falling
from scaling.arrays import FloatArray, IntArray
from scaling.errors import FitError
from scaling.limits import Limit, LimitCode
from scaling.records import Records

LEAST_EXPLAINED = 0.85  # of the variance of the log losses
FAR_OFF, FAR_OFF_OF_SPREAD = 0.15, 0.15  # log loss, and share of its spread: the larger counts
MOST_FAR_OFF = 0.25  # share of the runs
CONTRADICTS, MOST_CONTRADICTED = 0.1, 0.15  # log loss; share of the runs, in published tables none
TRIMMED_EVERY, LEAST_TO_TRIM = 20, 7  # of seven runs one may be a bad run, and one more of twenty
_EXPONENTS = (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5)
_TRIMMINGS = 4
_MOST_RUNS, _MOST_PAIRED = 2000, 500  # evenly spread ones of a longer table tell the same


def require_signal(records: Records, columns: tuple[str, ...]) -> None:
    """Refuse losses that do not fall with these columns, or follow no law in them.

    A forecast refuses those that do not fall, and has no median of those that follow no law. A law
    of compute is judged by the sizes and tokens of its runs where they tell a surface: badly split
    runs are no noise. Laws of more than size, tokens and compute are not judged. Raises FitError.
    """
    of_size = columns[:2] == ("params", "tokens")
    used = screen(records, *columns)
    if not len(used):
        return  # there are other words for that
    if of_size or len(columns) == 1:
        log_x, log_loss = _along(used, columns[:2])
        by = "compute" if of_size else columns[0]
        if (reason := not_falling(log_x.sum(axis=1), log_loss, by)) is not None:
            raise FitError(f"{used.source}: {reason}")
    if len(columns) > 1 and not set(columns) <= {"params", "tokens", "train_flops"}:
        return
    if columns == ("train_flops",) and {"params", "tokens"} <= set(used.table.columns):
        by_size = used.with_values("params", "tokens")
        logs = [np.log(by_size.column(c)) for c in ("params", "tokens", "train_flops")]
        if len(by_size) and no_surface(*logs) is None:
            used, columns = by_size, ("params", "tokens")
    if (nothing := no_signal(*_along(used, columns))) is not None:
        raise FitError(f"{used.source}: {nothing.text}")


def _along(used: Records, columns: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Log inputs (runs, inputs) and log losses (runs,); of compute alone those of its best use."""
    log_inputs = np.log(np.column_stack([used.column(name) for name in columns]))
    log_loss = np.log(used.column("loss"))
    if columns == ("train_flops",):
        best = best_of_budget(log_inputs[:, 0], log_loss, used.configurations)
        return log_inputs[best], log_loss[best]
    return log_inputs, log_loss


def no_signal(log_inputs: FloatArray, log_loss: FloatArray) -> Limit | None:
    """Why these runs carry no answer, whatever law is asked; None where they may.

    ``log_inputs`` (runs, inputs) and ``log_loss`` (runs,) are natural logs, all finite. Fewer runs
    than `FEWEST_LAW_POINTS` say nothing here: `scaling.answerable` counts them.
    """
    if _points(log_inputs[:_MOST_RUNS]) < FEWEST_LAW_POINTS > _points(log_inputs):
        return None  # constants that are known from elsewhere may stand for the rest
    explained, far_off = _explained(log_inputs, log_loss)
    contradicted = _contradicted(log_inputs, log_loss)
    if explained < LEAST_EXPLAINED:
        found = f"explains {max(explained, 0):.0%} of how the losses of these runs differ"
    elif far_off > MOST_FAR_OFF:
        found = f"leaves {far_off:.0%} of these runs far from it"
    elif contradicted > MOST_CONTRADICTED:
        found = f"holds where {contradicted:.0%} of the runs contradict a larger or smaller one"
    else:
        return None
    text = (
        f"no law that falls with size {found}: they are noise, or differ in what the law does not "
        "see (another size, unit, corpus or recipe); keep those that agree with --where"
    )
    return Limit(LimitCode.UNSUPPORTED, text)


def _points(log_inputs: FloatArray) -> int:
    return len(np.unique(np.round(log_inputs, 9), axis=0))


def _explained(log_inputs: FloatArray, log_loss: FloatArray) -> tuple[float, float]:
    """The share of the variance that falling powers explain, adjusted for how many they are, and
    the share of the runs far off. A few runs may be bad ones: the worst are trimmed."""
    order = _spread(log_inputs, _MOST_RUNS)
    y = log_loss[order] - log_loss.min()
    above = log_inputs[order] - log_inputs[order].min(axis=0)
    powers = [np.exp(-p * column) for column in above.T for p in _EXPONENTS]
    terms = np.column_stack([np.ones(len(y)), -np.ones(len(y)), *powers])
    kept = np.arange(len(y))
    trimmed = _to_trim(len(y))
    for _ in range(_TRIMMINGS):
        residuals, used = _residuals(terms, y, kept)
        if len(kept) == len(y) and _share(residuals, y, used) >= LEAST_EXPLAINED:
            break
        kept = np.argsort(np.abs(residuals))[: len(y) - trimmed]
    far = max(FAR_OFF, FAR_OFF_OF_SPREAD * float(np.std(y[kept], ddof=1)))
    return _share(residuals[kept], y[kept], used), float(np.mean(np.abs(residuals) > far))


def _contradicted(log_inputs: FloatArray, log_loss: FloatArray) -> float:
    """The share of the runs that end far above one that is smaller in every input, or far below one
    that is larger, when the worst are trimmed."""
    order = _spread(log_inputs, _MOST_PAIRED)
    x, y = log_inputs[order], log_loss[order]
    larger = (x[:, None] >= x[None, :]).all(axis=2) & (x[:, None] > x[None, :]).any(axis=2)
    far = max(CONTRADICTS, FAR_OFF_OF_SPREAD * float(np.std(y)))
    pairs = larger & (y[:, None] > y[None, :] + far)
    for _ in range(_to_trim(len(y))):
        worst = int(np.argmax(pairs.sum(axis=0) + pairs.sum(axis=1)))
        pairs[worst], pairs[:, worst] = False, False
    return float(np.mean(pairs.any(axis=0) | pairs.any(axis=1)))


def _spread(log_inputs: FloatArray, most: int) -> IntArray:
    """So many runs at most, evenly spread along the inputs, in their order."""
    few = np.linspace(0, len(log_inputs) - 1, min(len(log_inputs), most)).astype(np.int64)
    return np.lexsort(log_inputs.T)[few]


def _to_trim(runs: int) -> int:
    """How many of so many runs may be bad ones."""
    return 1 + runs // TRIMMED_EVERY if runs >= LEAST_TO_TRIM else 0


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
