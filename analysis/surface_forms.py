"""Laws of two inputs, L(N, D), in the coordinates in which they are easiest to fit.

Every form maps parameters ``theta`` (batch, p) and centred log inputs ``x`` (runs, 2) to the log
loss relative to the lowest loss seen, with its analytic Jacobian. Sums of powers are kept in
log-sum-exp, so no constant overflows however far a search strays:

    f = ln( e^floor + (T_N^(1/k) + T_D^(1/k))^k ),  T_N = e^(a - alpha x_N),  T_D = e^(b - beta x_D)
    alpha = e^(mu + d/2),  beta = e^(mu - d/2),  k = e^kappa

k = 1 is the additive law of Hoffmann et al. 2022 (arXiv:2203.15556). k below 1 couples size and
data as in Videau et al. 2026, and alpha and beta keep their meaning as the slopes far out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
ValueAndJacobian = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, kw_only=True)
class SurfaceForm:
    """One law of log params and log tokens: its parameters by name, and how to evaluate it."""

    name: str
    parameters: tuple[str, ...]
    evaluate: Callable[[FloatArray, FloatArray], ValueAndJacobian]
    constants: Callable[[FloatArray], tuple[FloatArray, ...]]  # theta -> a, b, alpha, beta, k

    def best_split(self, theta: FloatArray, total: FloatArray) -> FloatArray:
        """The centred log params that minimise the loss where log params + log tokens = total.

        ``theta`` (batch, p) and ``total`` (points,) give (batch, points). Closed form: at the
        optimum one more unit of log params saves as much as one more unit of log tokens.
        """
        a, b, alpha, beta, k = (c[:, None] for c in self.constants(theta))
        log_ratio = np.log(alpha) - np.log(beta)
        return np.asarray((a - b + k * log_ratio + beta * total) / (alpha + beta))


def _coupled_constants(theta: FloatArray) -> tuple[FloatArray, ...]:
    _, a, b, mu, d, kappa = theta.T
    return a, b, np.exp(mu + d / 2), np.exp(mu - d / 2), np.exp(kappa)


def _additive_constants(theta: FloatArray) -> tuple[FloatArray, ...]:
    _, a, b, mu, d = theta.T
    return a, b, np.exp(mu + d / 2), np.exp(mu - d / 2), np.ones_like(a)


def _shared_constants(theta: FloatArray) -> tuple[FloatArray, ...]:
    _, a, b, mu = theta.T
    return a, b, np.exp(mu), np.exp(mu), np.ones_like(a)


def _coupled(theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
    floor, a, b, alpha, beta, k = (
        c[:, None] for c in (theta[:, 0], *_coupled_constants(theta))
    )  # (batch, 1) each
    log_n, log_d = a - alpha * x[:, 0], b - beta * x[:, 1]  # (batch, runs)
    u_n, u_d = log_n / k, log_d / k
    inner = np.logaddexp(u_n, u_d)
    value = np.logaddexp(floor, k * inner)
    share_floor = np.exp(floor - value)
    share_n = (1 - share_floor) * np.exp(u_n - inner)
    share_d = 1 - share_floor - share_n
    by_alpha = -alpha * x[:, 0] * share_n
    by_beta = -beta * x[:, 1] * share_d
    by_kappa = (1 - share_floor) * k * inner - share_n * log_n - share_d * log_d
    jacobian = np.stack(
        [share_floor, share_n, share_d, by_alpha + by_beta, (by_alpha - by_beta) / 2, by_kappa], -1
    )
    return value, jacobian


def _additive(theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
    uncoupled = np.concatenate([theta, np.zeros_like(theta[:, :1])], axis=1)
    value, jacobian = _coupled(uncoupled, x)
    return value, jacobian[..., :5]


def _shared(theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
    uncoupled = np.concatenate([theta, np.zeros_like(theta[:, :2])], axis=1)
    value, jacobian = _coupled(uncoupled, x)
    return value, jacobian[..., :4]


COUPLED = SurfaceForm(
    name="coupled",
    parameters=("floor", "a", "b", "mu", "d", "kappa"),
    evaluate=_coupled,
    constants=_coupled_constants,
)
ADDITIVE = SurfaceForm(
    name="additive",
    parameters=("floor", "a", "b", "mu", "d"),
    evaluate=_additive,
    constants=_additive_constants,
)
SHARED = SurfaceForm(
    name="shared exponent",
    parameters=("floor", "a", "b", "mu"),
    evaluate=_shared,
    constants=_shared_constants,
)


def surface_starts(form: SurfaceForm, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
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
    return np.concatenate([loose, tight])
