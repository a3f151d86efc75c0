"""Laws of one input (compute, tokens, examples ...) in the coordinates easiest to fit.

Every form maps ``theta`` (batch, p) and the centred log input ``t`` (runs, 1) to the log loss
relative to the lowest loss seen, with its analytic Jacobian. With x = e^t:

    power          B x^-c                          Hestness et al. 2017 (arXiv:1712.00409)
    floored        E + A x^-c
    shifted        E + A (x + s)^-c
    saturating     B (1/x + g)^c                   M3 of Alabdulmohsin et al. 2022 (2209.06640)
    broken         ln L = a - c0 t - c1 f ln(1 + e^((t - d)/f))    Caballero et al. 2023, one break
    floored broken E + the broken law              Caballero et al. 2023 (arXiv:2210.14891)
    bounded        (L - E) / (L0 - L)^k = A x^-c   M4 of Alabdulmohsin et al. 2022
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.forecasting.members.form import Form, ValueAndJacobian
from scaling.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class CurveForm(Form):
    """One law of one log input: its parameters by name, and how to evaluate it."""

    name: str
    parameters: tuple[str, ...]
    equation: Callable[[FloatArray, FloatArray], ValueAndJacobian]

    def evaluate(self, theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
        """See `Form`."""
        return self.equation(theta, x)

    def starts(self, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
        """See `Form`."""
        return _starts(self, x, y, w)


def _columns(theta: FloatArray) -> tuple[FloatArray, ...]:
    return tuple(column[:, None] for column in theta.T)  # (batch, 1) each


def _softplus(u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln(1 + e^u) and its derivative."""
    value = np.logaddexp(0.0, u)
    return value, np.exp(u - value)


def _on_floor(floor: FloatArray, above: FloatArray, by_above: list[FloatArray]) -> ValueAndJacobian:
    """ln(e^floor + e^above), given the derivatives of ``above`` by its own parameters."""
    value = np.logaddexp(floor, above)
    share = np.exp(above - value)
    return value, np.stack([1 - share, *(share * d for d in by_above)], axis=-1)


def _power(theta: FloatArray, t: FloatArray) -> ValueAndJacobian:
    a, log_c = _columns(theta)
    fall = np.exp(log_c) * t[:, 0]
    return a - fall, np.stack([np.ones_like(fall), -fall], axis=-1)


def _floored(theta: FloatArray, t: FloatArray) -> ValueAndJacobian:
    floor, a, log_c = _columns(theta)
    fall = np.exp(log_c) * t[:, 0]
    return _on_floor(floor, a - fall, [np.ones_like(fall), -fall])


def _shifted(theta: FloatArray, t: FloatArray) -> ValueAndJacobian:
    floor, a, log_c, log_s = _columns(theta)
    c, log_sum = np.exp(log_c), np.logaddexp(t[:, 0], log_s)
    fall = c * log_sum
    by_s = -c * np.exp(log_s - log_sum)
    return _on_floor(floor, a - fall, [np.ones_like(fall), -fall, by_s])


def _saturating(theta: FloatArray, t: FloatArray) -> ValueAndJacobian:
    a, log_c, log_g = _columns(theta)
    c, log_sum = np.exp(log_c), np.logaddexp(-t[:, 0], log_g)
    rise = c * log_sum
    return a + rise, np.stack([np.ones_like(rise), rise, c * np.exp(log_g - log_sum)], axis=-1)


def _break(
    parameters: tuple[FloatArray, ...], t: FloatArray
) -> tuple[FloatArray, list[FloatArray]]:
    a, log_c0, c1, d, log_f = parameters
    c0, f = np.exp(log_c0), np.exp(log_f)
    u = (t[:, 0] - d) / f
    bend, slope = _softplus(u)
    value = a - c0 * t[:, 0] - c1 * f * bend
    return value, [
        np.ones_like(value),
        np.broadcast_to(-c0 * t[:, 0], value.shape),
        -f * bend,
        c1 * slope,
        -c1 * f * (bend - u * slope),
    ]


def _broken(theta: FloatArray, t: FloatArray) -> ValueAndJacobian:
    value, derivatives = _break(_columns(theta), t)
    return value, np.stack(derivatives, axis=-1)


def _floored_broken(theta: FloatArray, t: FloatArray) -> ValueAndJacobian:
    floor, *rest = _columns(theta)
    return _on_floor(floor, *_break(tuple(rest), t))


def _bounded(theta: FloatArray, t: FloatArray) -> ValueAndJacobian:
    """M4 is implicit in L: with L = E + e^height sigmoid(u) it reads

        ln sigmoid(u) - k ln sigmoid(-u) = a - c t,

    strictly rising in u, so Newton's method finds u and the implicit function theorem its slopes.
    """
    floor, a, log_c, height, log_k = _columns(theta)
    fall, k = np.exp(log_c) * t[:, 0], np.exp(log_k)
    right = a - fall
    # Far below zero the left side is u, far above it is k u: a start on the right side of both.
    u = np.where(right < 0, right, right / k)
    for _ in range(30):
        below, above = np.logaddexp(0.0, -u), np.logaddexp(0.0, u)  # -ln sigmoid(u), (-u)
        p = np.exp(-below)
        slope = 1 - p + k * p
        step = (-below + k * above - right) / slope
        u = u - np.clip(step, -4.0, 4.0)
        if np.max(np.abs(step)) < 1e-12 * (1 + np.max(np.abs(u))):
            break
    above = np.logaddexp(0.0, u)
    log_p = -np.logaddexp(0.0, -u)
    p = np.exp(log_p)
    slope = 1 - p + k * p
    by_u = (1 - p) / slope  # d ln sigmoid(u) / du, times du / d(right side)
    by_log_k = -by_u * k * above
    return _on_floor(floor, height + log_p, [by_u, -by_u * fall, np.ones_like(by_u), by_log_k])


POWER = CurveForm(name="power", parameters=("a", "log_c"), equation=_power)
FLOORED = CurveForm(name="floored", parameters=("floor", "a", "log_c"), equation=_floored)
SHIFTED = CurveForm(name="shifted", parameters=("floor", "a", "log_c", "log_s"), equation=_shifted)
SATURATING = CurveForm(name="saturating", parameters=("a", "log_c", "log_g"), equation=_saturating)
BROKEN = CurveForm(name="broken", parameters=("a", "log_c0", "c1", "d", "log_f"), equation=_broken)
FLOORED_BROKEN = CurveForm(
    name="floored broken",
    parameters=("floor", "a", "log_c0", "c1", "d", "log_f"),
    equation=_floored_broken,
)
BOUNDED = CurveForm(
    name="bounded", parameters=("floor", "a", "log_c", "height", "log_k"), equation=_bounded
)


def _starts(form: CurveForm, t: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
    """Starting points (batch, p): four floors, a line through the logs of what is above each.

    Broken laws also try three places for the break and both signs of the bend.
    """
    loss, log_input = np.exp(y), t[:, 0]
    lines = []
    for share in (0.1, 0.5, 0.8, 0.95):
        above = np.log(loss - share * loss.min()) if form.parameters[0] == "floor" else y
        mean_t, mean_y = np.average(log_input, weights=w), np.average(above, weights=w)
        spread = float(np.sum(w * (log_input - mean_t) ** 2)) + 1e-12
        slope = -float(np.sum(w * (log_input - mean_t) * (above - mean_y))) / spread
        c = float(np.clip(slope, 0.02, 2.0))
        lines.append((np.log(share), mean_y + c * mean_t, np.log(c)))
    floors = np.array(lines)
    if "d" in form.parameters:
        # One floor a break and bend keeps the batch small; the search moves the floor easily.
        base = floors[1:3] if form is FLOORED_BROKEN else floors[:1, 1:]
        breaks = np.quantile(log_input, (0.25, 0.5, 0.75))
        rows = [[*line, bend, d, 0.0] for line in base for d in breaks for bend in (-0.15, 0.15)]
        return np.array(rows)
    if form is POWER:
        return floors[:1, 1:]
    if form is FLOORED:
        return floors
    if form is SHIFTED:
        return np.concatenate([np.column_stack([floors, np.full(4, s)]) for s in (-6.0, -2.0)])
    if form is SATURATING:
        return np.column_stack([np.repeat(floors[:1, 1:], 3, axis=0), [-6.0, -3.0, -1.0]])
    top = np.log(max(loss.max() * 1.5 - 0.5, 0.5))
    below_top = np.column_stack([floors[:, 1] - top, floors[:, 2], np.full(4, top)])
    return np.concatenate(
        [np.column_stack([floors[:, 0], below_top, np.full(4, k)]) for k in (-1.0, 0.0)]
    )
