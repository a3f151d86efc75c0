"""Whether losses follow the sizes of their runs at all: what any law and any forecast rests on.

The yardstick is no law of the registry but the best sum of falling powers of every input,

    L = E + sum_k a_k x^-p_k,     a_k >= 0, E of either sign,

found by non-negative least squares on relative errors over a ladder of exponents p. Whatever falls
is met by it to within its noise; noise, waves, steps, two units or two corpora in one table are
not. Clean ladders and published tables leave it 1 to 9% of the variance of their log losses,
noise 75% and more (docs/log.md). And no run may end far above one that is smaller in every input,
but for a few bad ones: in tables that mix two corpora or units many do, in ladders none. Nor may
losses rise again with an input: where powers that rise with it, added to the falling ones, leave so
much less of the squares that chance does it once in 10,000 tables (an F test), and the sum has its
lowest point before the largest runs, these tell where the fall ended and not what comes after.
"""

from hashlib import sha256

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
RISES_BY, RISES_BY_CHANCE = 0.01, 1e-4  # share of the loss, above its lowest; probability
TRIMMED_EVERY, LEAST_TO_TRIM = 20, 7  # of seven runs one may be a bad run, and one more of twenty
_EXPONENTS = (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5)
_STEEPER = (2.0, 3.0, 5.0)  # so that no steep fall to a plateau is met by a rise
_TRIMMINGS = 4
_MOST_RUNS, _MOST_PAIRED = 2000, 500  # evenly spread ones of a longer table tell the same
_MOST_KEPT = 256  # tables whose verdicts are kept


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
    than `FEWEST_LAW_POINTS` say nothing here: `scaling.answerable` counts them. Every answer of a
    table asks it, and several times: the same runs are judged once.
    """
    digest = sha256(repr(log_inputs.shape).encode())
    for values in (log_inputs, log_loss):
        digest.update(values.tobytes())
    key = digest.digest()
    (found,) = _kept.get(key) or (_judged(log_inputs, log_loss),)
    if len(_kept) >= _MOST_KEPT:
        _kept.clear()
    _kept[key] = (found,)
    return found


_kept: dict[bytes, tuple[Limit | None]] = {}


def _judged(log_inputs: FloatArray, log_loss: FloatArray) -> Limit | None:
    """What `no_signal` says of these runs."""
    if _points(log_inputs[:_MOST_RUNS]) < FEWEST_LAW_POINTS > _points(log_inputs):
        return None  # constants that are known from elsewhere may stand for the rest
    found = unexplained(log_inputs, log_loss)
    if found is None:
        return rises_again(log_inputs, log_loss)
    text = (
        f"no law that falls with size {found}: they are noise, or differ in what the law does not "
        "see (another size, unit, corpus or recipe); keep those that agree with --where"
    )
    return Limit(LimitCode.UNSUPPORTED, text)


def unexplained(log_inputs: FloatArray, log_loss: FloatArray) -> str | None:
    """What falling powers leave of these runs that is too much; None where they may be a law's."""
    explained, far_off = _explained(log_inputs, log_loss)
    contradicted = _contradicted(log_inputs, log_loss)
    if explained < LEAST_EXPLAINED:
        return f"explains {max(explained, 0):.0%} of how the losses of these runs differ"
    if far_off > MOST_FAR_OFF:
        return f"leaves {far_off:.0%} of these runs far from it"
    if contradicted > MOST_CONTRADICTED:
        return f"holds where {contradicted:.0%} of the runs contradict a larger or smaller one"
    return None


def rises_again(log_inputs: FloatArray, log_loss: FloatArray) -> Limit | None:
    """That the losses rise again with an input, so that the runs carry no answer; None where they
    do not."""
    if not any(_rises_again(log_inputs, log_loss, k) for k in range(log_inputs.shape[1])):
        return None
    text = (
        "the loss falls, and rises again among the larger runs: what it does beyond them no law "
        "that falls with size can tell; check how these were trained, or leave them out with "
        "--where"
    )
    return Limit(LimitCode.UNSUPPORTED, text)


def _points(log_inputs: FloatArray) -> int:
    return len(np.unique(np.round(log_inputs, 9), axis=0))


def _explained(log_inputs: FloatArray, log_loss: FloatArray) -> tuple[float, float]:
    """The share of the variance that falling powers explain, adjusted for how many they are, and
    the share of the runs far off. A few runs may be bad ones: the worst are trimmed."""
    order = _spread(log_inputs, _MOST_RUNS)
    y = log_loss[order] - log_loss.min()
    terms = _falling(log_inputs[order])
    kept = np.arange(len(y))
    trimmed = _to_trim(len(y))
    for _ in range(_TRIMMINGS):
        residuals, used = _residuals(terms, y, kept)
        if len(kept) == len(y) and _share(residuals, y, used) >= LEAST_EXPLAINED:
            break
        kept = np.argsort(np.abs(residuals))[: len(y) - trimmed]
    far = max(FAR_OFF, FAR_OFF_OF_SPREAD * float(np.std(y[kept], ddof=1)))
    return _share(residuals[kept], y[kept], used), float(np.mean(np.abs(residuals) > far))


def scatter_of_lowest(log_inputs: FloatArray, log_loss: FloatArray) -> float:
    """How far runs scatter about falling powers, root mean square of their log losses, among the
    third where these are lowest; zero where they pass through all."""
    order = _spread(log_inputs, _MOST_RUNS)
    y = log_loss[order] - log_loss.min()
    residuals, used = _residuals(_falling(log_inputs[order]), y, np.arange(len(y)))
    lowest = np.argsort(y - residuals, kind="stable")[: max(3, len(y) // 3)]  # not the lucky ones
    inflation = len(y) / max(len(y) - used, 1)
    return float(np.sqrt(np.mean(residuals[lowest] ** 2) * inflation))


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


def _rises_again(log_inputs: FloatArray, log_loss: FloatArray, k: int) -> bool:
    """Whether the loss rises again with input k. The largest runs may be bad ones: the powers are
    fitted without as many as may be."""
    from scipy.special import fdtrc

    order = _spread(log_inputs, _MOST_PAIRED)
    order = order[np.argsort(log_inputs[order, k], kind="stable")]
    x, y = log_inputs[order], np.minimum(log_loss[order] - log_loss.min(), 100.0)
    kept = np.arange(len(order) - _to_trim(len(order)))
    exponents = (*_EXPONENTS, *_STEEPER)
    below = np.maximum(x[kept, k].max() - x[:, k], 0.0)
    falling, rising = _falling(x, exponents), _powers(below, exponents)
    both = np.hstack([falling, rising])
    fewer, more = _weights(falling, y, kept), _weights(both, y, kept)
    left, best = (
        float(np.sum((1 - terms @ weights * np.exp(-y))[kept] ** 2))
        for terms, weights in ((falling, fewer), (both, more))
    )
    free = len(kept) - int(np.sum(more > 0))
    added = max(1, int(np.sum(more > 0)) - int(np.sum(fewer > 0)))
    own = slice(2 + k * len(exponents), 2 + (k + 1) * len(exponents))  # the rest does not see k
    along = falling[:, own] @ more[own] + rising @ more[falling.shape[1] :]
    if free < 1 or along[kept[-1]] - along[kept].min() < RISES_BY:
        return False
    gained = max(left - best, 0) / added * free / max(best, 1e-30)
    arm = x[:, k] >= x[np.argmin(along[kept]), k]
    seen = along + np.exp(y) - both @ more  # the losses, without what other inputs make of them
    return float(fdtrc(added, free, gained)) < RISES_BY_CHANCE and _is_rising(x[arm, k], seen[arm])


def _is_rising(x: FloatArray, y: FloatArray) -> bool:
    """Whether y (runs,) rises with x by more than chance makes of so many runs once in twenty: a
    sum of powers bends up, too, where a fall begins late."""
    from scipy.stats import linregress

    if len(x) < 3 or np.ptp(x) == 0:
        return False
    return bool(linregress(x, y, alternative="greater").pvalue < 0.05)


def _falling(log_inputs: FloatArray, exponents: tuple[float, ...] = _EXPONENTS) -> FloatArray:
    """Terms (runs, 2 + inputs * exponents): one, minus one, and the powers of each input."""
    above = log_inputs - log_inputs.min(axis=0)
    one = np.ones((len(above), 1))
    return np.hstack([one, -one, *(_powers(column, exponents) for column in above.T)])


def _powers(log_distance: FloatArray, exponents: tuple[float, ...]) -> FloatArray:
    """Powers (runs, exponents) that fall with the distance (runs,) from one end of an input."""
    return np.asarray(np.exp(-log_distance[:, None] * np.array(exponents)))


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
    weights = _weights(terms, y, kept)
    residuals = -np.log(np.maximum(terms @ weights * np.exp(-y), 1e-12))
    return residuals - np.median(residuals[kept]), int(np.sum(weights > 0))


def _weights(terms: FloatArray, y: FloatArray, kept: IntArray) -> FloatArray:
    """How much of each term (terms,), none below zero, makes the losses exp(y) of some runs."""
    from scipy.optimize import nnls

    relative = terms[kept] * np.exp(-y[kept])[:, None]
    weights, _ = nnls(relative, np.ones(len(kept)), maxiter=100 * terms.shape[1])
    return np.asarray(weights)


def _share(residuals: FloatArray, y: FloatArray, used: int) -> float:
    """The share of the variance of y that so many powers explain, adjusted for their number."""
    left = float(residuals @ residuals) / max(len(y) - used, 1)
    return 1 - left / max(float(np.var(y, ddof=1)), 1e-30)
