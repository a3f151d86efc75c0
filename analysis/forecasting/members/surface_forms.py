"""Laws of two inputs, L(N, D), in the coordinates in which they are easiest to fit.

Every form maps parameters ``theta`` (batch, p) and centred log inputs ``x`` (runs, 2) to the log
loss relative to the lowest loss seen, with its analytic Jacobian. Sums of powers are kept in
log-sum-exp, so no constant overflows however far a search strays:

    f = ln( e^floor + (T_N^(1/k) + T_D^(1/k))^k ),  T_N = e^(a - alpha x_N),  T_D = e^(b - beta x_D)
    alpha = e^(mu + d/2),  beta = e^(mu - d/2),  k = e^kappa

    bending: the term after e^floor also times (1 + e^(x_N + x_D - c))^-g
    badly tuned small runs: plus e^(q - delta (x_N + x_D - c')),  delta = e^r

k = 1 is the additive law of Hoffmann et al. 2022 (arXiv:2203.15556). k below 1 couples size and
data (`scaling.laws.surfaces.Skaling`), and alpha and beta keep their meaning as the slopes far out.
The bending law lets the fall steepen (g > 0) or slow down near the upper edge of the data; on its
scale a run of the largest quarter has x_N + x_D near zero. The last law adds what small runs lose
to bad tuning (a warm-up that is most of the run, a learning rate that does not fit), which halves
every ln 2 / delta of log compute.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.forecasting.members.form import Form, ValueAndJacobian, log_sum
from scaling.arrays import FloatArray

# Log compute beside the mean of the largest quarter of the runs:
BEND_AT = -1.2  # half a decade below it
EXCESS_AT = -3.45  # one and a half decades below it
EXCESS_STARTS = ((0.003, -1.0), (0.03, -0.2))  # excess in ln loss there, log of its rate
LARGEST_LOG_EXCESS = 1.0  # a search may stray where the excess overflows


@dataclass(frozen=True, kw_only=True)
class SurfaceForm(Form):
    """One law of log params and log tokens: its parameters by name, and how to evaluate it."""

    name: str
    parameters: tuple[str, ...]
    equation: Callable[[FloatArray, FloatArray], ValueAndJacobian]
    constants: Callable[[FloatArray], tuple[FloatArray, ...]]  # theta -> a, b, alpha, beta, k

    def evaluate(self, theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
        """See `Form`."""
        return self.equation(theta, x)

    def starts(self, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
        """See `Form`."""
        return _starts(self, x, y, w)

    def exponents(self, theta: FloatArray) -> tuple[float, ...]:
        """Those of size and of data, alpha and beta."""
        _, _, alpha, beta, _ = self.constants(theta[None])
        return float(alpha[0]), float(beta[0])

    def best_split(self, theta: FloatArray, total: FloatArray) -> FloatArray:
        """In closed form: at the optimum one more unit of log params saves as much as one more
        unit of log tokens."""
        a, b, alpha, beta, k = (c[:, None] for c in self.constants(theta))
        log_ratio = np.log(alpha) - np.log(beta)
        return np.asarray((a - b + k * log_ratio + beta * total) / (alpha + beta))

    def without_best_split(
        self, log_params: FloatArray, total: FloatArray
    ) -> npt.NDArray[np.bool_]:
        """Nowhere: both terms fade."""
        return np.zeros(log_params.shape, dtype=bool)


def _coupled_constants(theta: FloatArray) -> tuple[FloatArray, ...]:
    _, a, b, mu, d, kappa = theta[:, :6].T
    return a, b, np.exp(mu + d / 2), np.exp(mu - d / 2), np.exp(kappa)


def _additive_constants(theta: FloatArray) -> tuple[FloatArray, ...]:
    _, a, b, mu, d = theta.T
    return a, b, np.exp(mu + d / 2), np.exp(mu - d / 2), np.ones_like(a)


def _shared_constants(theta: FloatArray) -> tuple[FloatArray, ...]:
    _, a, b, mu = theta.T
    return a, b, np.exp(mu), np.exp(mu), np.ones_like(a)


def _case(theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
    """The law of which all others are cases, with the parameters that ``theta`` lacks at zero.

    Nearly all of a forecast is spent here, on arrays so small that each call of numpy counts.
    """
    given = theta.shape[1]
    floor, a, b, mu, *rest = theta.T[:7, :, None]  # (batch, 1) each
    half_d = rest[0] / 2 if rest else 0.0
    k = np.exp(rest[1]) if len(rest) > 1 else np.ones_like(a)
    by_n, by_d = np.exp(mu + half_d) * x[..., 0], np.exp(mu - half_d) * x[..., 1]
    log_n, log_d = a - by_n, b - by_d  # (batch, runs)
    inner, of_n = log_sum(log_n / k, log_d / k)
    inner *= k
    above = inner
    if len(rest) > 2:
        beyond = np.logaddexp(0.0, x.sum(axis=-1) - BEND_AT)  # (runs,), or (batch, runs)
        above = inner - rest[2] * beyond
    value, share_floor = log_sum(floor, above)
    slopes = np.empty((given, *value.shape))
    falls = 1 - share_floor
    slopes[0] = share_floor
    share_n = np.multiply(falls, of_n, out=slopes[1])
    share_d = np.subtract(falls, share_n, out=slopes[2])
    by_n *= share_n  # minus the slopes by ln alpha and ln beta
    by_d *= share_d
    np.negative(by_n + by_d, out=slopes[3])
    if rest:
        np.divide(by_d - by_n, 2, out=slopes[4])
    if len(rest) > 1:
        inner *= falls
        inner -= share_n * log_n
        np.subtract(inner, share_d * log_d, out=slopes[5])
    if len(rest) > 2:
        np.multiply(-falls, beyond, out=slopes[6])
    return value, slopes.transpose(*range(1, slopes.ndim), 0)


def _badly_tuned(theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
    """The coupled law plus what bad tuning adds to the log loss of small runs."""
    value, jacobian = _case(theta[:, :6], x)
    log_excess, rate = theta[:, 6, None], np.exp(theta[:, 7, None])
    beyond = x.sum(axis=-1) - EXCESS_AT
    exponent = log_excess - rate * beyond
    excess = np.exp(np.minimum(exponent, LARGEST_LOG_EXCESS))
    slope = np.where(exponent < LARGEST_LOG_EXCESS, excess, 0.0)
    slopes = np.concatenate([jacobian.transpose(2, 0, 1), [slope, -slope * rate * beyond]])
    return value + excess, slopes.transpose(1, 2, 0)


COUPLED = SurfaceForm(
    name="coupled",
    parameters=("floor", "a", "b", "mu", "d", "kappa"),
    equation=_case,
    constants=_coupled_constants,
)
BENDING = SurfaceForm(
    name="bending",
    parameters=("floor", "a", "b", "mu", "d", "kappa", "bend"),
    equation=_case,
    constants=_coupled_constants,
)
BADLY_TUNED = SurfaceForm(
    name="badly tuned small runs",
    parameters=("floor", "a", "b", "mu", "d", "kappa", "log_excess", "log_rate"),
    equation=_badly_tuned,
    constants=_coupled_constants,
)
ADDITIVE = SurfaceForm(
    name="additive",
    parameters=("floor", "a", "b", "mu", "d"),
    equation=_case,
    constants=_additive_constants,
)
SHARED = SurfaceForm(
    name="shared exponent",
    parameters=("floor", "a", "b", "mu"),
    equation=_case,
    constants=_shared_constants,
)


def _starts(form: SurfaceForm, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
    """Starting points (batch, p): a grid of exponents, floor and amplitudes by least squares.

    For given exponents the additive law is linear in (E, A, B), so these three come from one
    weighted solve on rows divided by the loss (variable projection).
    """
    exponents = (0.15, 0.25, 0.4, 0.6)
    pairs = [(p, q) for p in exponents for q in exponents if abs(np.log(p / q)) <= 1.1]
    if form is SHARED:
        pairs = [(p, q) for p, q in pairs if p == q]
    alpha, beta = np.array(pairs).T
    loss = np.exp(y)
    columns = np.stack(
        [
            np.ones((len(pairs), len(loss))),
            np.exp(np.clip(-alpha[:, None] * x[:, 0], -30, 30)),
            np.exp(np.clip(-beta[:, None] * x[:, 1], -30, 30)),
        ],
        axis=-1,
    )  # (pairs, runs, 3)
    rows = columns * (np.sqrt(w) / loss)[:, None]
    gram = rows.transpose(0, 2, 1) @ rows
    gram += 1e-9 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    right = rows.transpose(0, 2, 1) @ np.sqrt(w)
    solved = np.linalg.solve(gram, right[..., None])[..., 0]
    # The lowest loss seen is 1 in these units; a negative share means "not visible", not "none".
    log_amplitudes = np.log(np.clip(solved, (0.2, 0.02, 0.02), (0.98, 5.0, 5.0)))
    mu, d = np.log(alpha * beta) / 2, np.log(alpha / beta)
    start = np.column_stack([log_amplitudes, mu, d])
    if form is SHARED:
        return start[:, :4]
    if form is ADDITIVE:
        return start
    loose, tight = (np.column_stack([start, np.full(len(start), v)]) for v in (-0.1, -0.7))
    starts = np.concatenate([loose, tight])
    if form is BENDING:
        return np.column_stack([starts, np.zeros(len(starts))])
    if form is BADLY_TUNED:
        little, much = (np.tile([np.log(v), r], (len(starts), 1)) for v, r in EXCESS_STARTS)
        return np.block([[starts, little], [starts, much]])
    return starts
