"""FLOP per parameter and token, r = C / (N D): what a table counts, as a function of the size N.

    C = r_inf D (W + f E),   N = W + n E,   E = W (S / W)^p     =>     r(N) = r_inf (W + f E) / N

A weight W that is multiplied with costs 6 FLOP a token (Kaplan et al. 2020, arXiv:2001.08361), so
r_inf is about 6. E is what else N or C has. Where r rises, N has more of it (n 1): embeddings cost
none (f 0), embeddings and a head of one size half (f .5). Where r falls, C has more (f 1): head and
attention that N is counted without (n 0), or in part. E grows with a lower power of the size: 1 - p
is 1/3 where width and depth grow together, 1/2 where width alone does. So r tends to r_inf and
stays finite beyond the runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, least_squares

from scaling.arrays import SAME_NUMBER, FloatArray, IntArray
from scaling.limits import Limit, LimitCode

USUAL = 6.0  # where the table says none
ONE_VALUE = 1e-3  # ln r: sizes that differ by less are rounding
STANDARD_ERRORS = 2.0  # of a trend that is taken for one
FEWEST_SIZES = 3
MOST_SIZES = 1000  # that a trend is fitted to
TOLD_SCATTER = 0.02  # ln r: a budget met less well than this is said to be

# What is assumed of a trend before the runs are seen:
_LIMIT_SD, _LIMIT_OFF = 0.1, 0.25  # ln r_inf, around USUAL or, where runs passed that, their last
_POWER = (float(np.log(0.5)), 0.7)  # ln p
_LESSER = (0.0, 0.5)  # the smaller one of n and f, beside 1
_POWERS = (0.02, 0.95)  # p; below 1, so that more parameters always cost more
_ROUGH = (0.003, 0.05)  # ln r: how far real tables may lie off the form
# Where the search starts:
_FIRST_POWERS, _FIRST_LESSER, _FIRST_GAP, _FIRST_ROUGH = (0.3, 0.7), 0.2, 0.05, 0.01
_FURTHEST = 300.0  # ln S
_EXACT = 1e-4  # ln r: no trend is told apart from another form of it more closely

_STEP = 0.02  # ln N between the points that a parabola is put through
_MOST_STEPS = 50
_SOLVED = 1e-13


@dataclass(frozen=True, kw_only=True)
class FlopsPerParamToken:
    """r of a model of any size; its methods speak in natural logs, arrays of any one shape."""

    limit: float  # r_inf, FLOP: of all sizes, or what r tends to as models grow
    in_params: float = 0.0  # n; with f 0 too, r is one number
    in_flops: float = 0.0  # f
    turn: float = 1.0  # S, parameters: where E equals W
    power: float = 0.0  # p
    sizes: tuple[float, float] | None = None  # the smallest and the largest model it rests on
    scatter: float = 0.0  # standard deviation of the runs' ln r around it

    @property
    def follows_size(self) -> bool:
        """Whether r is more than one number."""
        return self.in_params != self.in_flops

    def log(self, log_params: FloatArray) -> FloatArray:
        """ln r."""
        level = np.full(np.shape(log_params), np.log(self.limit))
        if not self.follows_size:
            return level
        log_size = log_params - np.log(self.turn)
        return np.asarray(level + _log_share(log_size, self.in_params, self.in_flops, self.power))

    def log_tokens(self, log_compute: FloatArray, log_params: FloatArray) -> FloatArray:
        """ln D of the runs of these sizes that spend so much."""
        return np.asarray(log_compute - self.log(log_params) - log_params)

    def log_compute(self, log_params: FloatArray, log_tokens: FloatArray) -> FloatArray:
        """ln C of runs."""
        return np.asarray(log_params + log_tokens + self.log(log_params))

    def best_log_params(
        self,
        log_loss: Callable[[FloatArray, FloatArray], FloatArray],
        log_compute: FloatArray,
        start: FloatArray,
    ) -> FloatArray:
        """ln N of the lowest loss that the budgets buy, downhill from ``start`` (of its shape).

        ``log_loss`` reads ln N and ln D. Newton's steps, by the parabola through three points;
        an infinite start, of a law without a best split, stays where it is.
        """
        at = np.array(start, dtype=np.float64)
        moves = np.isfinite(at)
        for _ in range(_MOST_STEPS):
            left, mid, right = (
                log_loss(there, self.log_tokens(log_compute, there))
                for there in (np.where(moves, at, 0.0) + step for step in (-_STEP, 0.0, _STEP))
            )
            bend = np.maximum(left - 2 * mid + right, 1e-12)
            step = np.where(moves, np.clip(_STEP * (left - right) / (2 * bend), -1, 1), 0.0)
            at += step
            if np.abs(step).max(initial=0.0) < SAME_NUMBER / 100:
                break
        return at

    @property
    def limits(self) -> tuple[Limit, ...]:
        """That r follows the size, from where to where, and that it scatters."""
        found = []
        if self.follows_size and self.sizes is not None:
            small, large = np.exp(self.log(np.log(self.sizes)))
            text = (
                f"FLOP per parameter and token follow the size: {small:.3g} at "
                f"{self.sizes[0]:.3g} parameters to {large:.3g} at {self.sizes[1]:.3g}, towards "
                f"{self.limit:.2g} beyond"
            )
            found.append(Limit(LimitCode.FLOPS_FOLLOW_SIZE, text))
        if self.scatter > TOLD_SCATTER:
            around = "around that" if self.follows_size else "and do not follow the size"
            text = (
                f"FLOP per parameter and token of these runs scatter by {self.scatter:.1%} "
                f"{around}: a budget is met no better"
            )
            found.append(Limit(LimitCode.FLOPS_SCATTER, text))
        return tuple(found)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "FlopsPerParamToken":
        """What ``dataclasses.asdict`` made, read back from JSON."""
        sizes = document["sizes"]
        return cls(**{**document, "sizes": None if sizes is None else tuple(sizes)})


def _log_share(log_size: FloatArray, n: float, f: float, power: float) -> FloatArray:
    """ln ((W + f E) / N) for ln (N / S): ln W by Newton's steps from above."""
    found = np.array(log_size, dtype=np.float64)  # ln (W / S)
    log_n, log_f = (np.log(v) if v else -np.inf for v in (n, f))
    for _ in range(_MOST_STEPS if n else 0):
        more = np.logaddexp(0.0, log_n - power * found)
        step = (found + more - log_size) / (1 - power * -np.expm1(-more))
        found -= step
        if np.abs(step).max(initial=0.0) < _SOLVED:
            break
    return np.asarray(found + np.logaddexp(0.0, log_f - power * found) - log_size)


def flops_per_param_token(
    log_params: FloatArray, log_tokens: FloatArray, log_compute: FloatArray
) -> FlopsPerParamToken:
    """r as the runs (runs,) of known compute have it; logs. `USUAL` where there are none.

    One value, the median of the quarter of runs (three at least) with most compute, unless the
    medians of the sizes follow the form by two standard errors and by more than rounding.
    """
    if not len(log_params):
        return FlopsPerParamToken(limit=USUAL)
    log_r = log_compute - log_params - log_tokens
    count = min(len(log_r), max(3, len(log_r) // 4))
    top = log_compute >= np.sort(log_compute)[-count] - SAME_NUMBER
    level = float(np.exp(np.median(log_r[top])))
    found = _trend(log_params, log_r) or FlopsPerParamToken(limit=level)
    off = log_r - found.log(log_params)
    ends = (float(np.exp(log_params.min())), float(np.exp(log_params.max())))
    return replace(found, sizes=ends, scatter=float(np.sqrt(np.mean(off**2))))


def _trend(log_params: FloatArray, log_r: FloatArray) -> FlopsPerParamToken | None:
    """r as a function of size; None where the sizes do not show one."""
    numbers = np.unique(np.round(log_params, 6), return_inverse=True)[1].reshape(-1)
    sizes = int(numbers.max()) + 1
    count = min(sizes, MOST_SIZES)
    numbers = numbers * count // sizes  # of a table of more, neighbours share a median
    x, y = (_medians(values, numbers) for values in (log_params, log_r))
    if count < FEWEST_SIZES or np.ptp(y) < ONE_VALUE:
        return None
    rises = float(np.polyfit(x - x.mean(), y, 1)[0]) > 0
    last, usual = float(np.median(y[-max(1, count // 4) :])), float(np.log(USUAL))
    towards = max(usual, last) if rises else min(usual, last)
    found = _fitted(x, y, rises, float(towards))
    off = np.sum((y - found.log(x)) ** 2) + count * _EXACT**2
    explained = np.sum((y - y.mean()) ** 2) - off
    return found if explained * (count - 2) > STANDARD_ERRORS**2 * off else None


def _medians(values: FloatArray, numbers: IntArray) -> FloatArray:
    """The median of the values of each number, by rising number."""
    ranked = values[np.lexsort((values, numbers))]
    counts = np.bincount(numbers)
    first = np.cumsum(counts) - counts
    return np.asarray((ranked[first + (counts - 1) // 2] + ranked[first + counts // 2]) / 2)


def _fitted(x: FloatArray, y: FloatArray, rises: bool, towards: float) -> FlopsPerParamToken:
    """The form of sizes x with ln r of y, by least squares and weak priors."""

    def made(q: FloatArray) -> FlopsPerParamToken:
        limit, power, turn = (float(np.exp(value)) for value in q[:3])
        n, f = (1.0, float(q[3])) if rises else (float(q[3]), 1.0)
        return FlopsPerParamToken(limit=limit, in_params=n, in_flops=f, turn=turn, power=power)

    def off(q: FloatArray, rough: float) -> FloatArray:
        pulls = (q[0] - towards) / _LIMIT_SD, (q[1] - _POWER[0]) / _POWER[1]
        return np.concatenate([(made(q).log(x) - y) / rough, pulls])

    around = (towards - _LIMIT_OFF, towards + _LIMIT_OFF)
    ends = [around, tuple(np.log(_POWERS)), (-_FURTHEST, _FURTHEST), _LESSER]

    def descend(start: FloatArray, rough: float) -> OptimizeResult:
        bounds = np.transpose(ends)
        return least_squares(off, start, bounds=bounds, kwargs={"rough": rough}, x_scale="jac")

    starts, limit = [], towards + (_FIRST_GAP if rises else -_FIRST_GAP)
    for power in _FIRST_POWERS:
        gap = max(abs(limit - float(np.median(y))), _FIRST_GAP)
        turn = float(np.median(x)) + np.log(np.expm1(gap)) / power
        starts.append(np.array([limit, np.log(power), turn, _FIRST_LESSER]))
    best = min((descend(start, _FIRST_ROUGH) for start in starts), key=lambda end: end.cost)
    rough = float(np.sqrt(np.mean(best.fun[:-2] ** 2))) * _FIRST_ROUGH
    return made(descend(best.x, float(np.clip(rough, *_ROUGH))).x)
