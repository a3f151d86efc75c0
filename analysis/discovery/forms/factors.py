"""The building blocks of found laws: factors, each the logarithm of a positive function of inputs.

A factor has constants theta and gives h(x; theta) with its derivatives; a term of a law is its
coefficient times exp(h) of its factors. Inputs come as logarithms about their centre, so that a
constant means the same at any scale; a proportion comes as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.arrays import FloatArray


@dataclass(frozen=True)
class Constant:
    """What a search assumes of one constant before it sees the runs, and where it begins."""

    name: str
    mean: float
    spread: float
    starts: tuple[float, ...]
    is_log: bool = False  # whether theta is the logarithm of what the formula names


EXPONENT = Constant("alpha", 0.3, 0.5, (0.05, 0.2, 0.4, 0.8, -0.2))
SMALL_EXPONENT = Constant("beta", 0.3, 0.5, (0.15, 0.4, -0.2))
_BEND = Constant("kappa", 0.0, 0.1, (0.03, -0.03))
_PULL = Constant("tau", 0.0, 3.0, (-1.0, 1.0))
_LOG_OFFSET = Constant("offset", -3.0, 1.5, (-5.0, -2.5), True)
_GAIN = Constant("gain", -1.0, 1.5, (-2.0, 0.0), True)
_TURN = Constant("turn", 0.0, 0.3, (0.1, -0.1))
_PLACE = Constant("place", 0.0, 3.0, (-2.0, 2.0), True)
_LOG_SHARE = Constant("share", 0.0, 1.5, (0.0, 1.0, -1.0), True)
_LOG_POWER = Constant("power", 0.0, 0.5, (-0.4, 0.2), True)
_LOG_REPEATS = Constant("repeats", 2.5, 1.0, (1.0, 2.5, 4.0), True)
_LARGEST = 60.0  # of an exponent of e


@dataclass(frozen=True)
class Columns:
    """The inputs of a table of runs, arranged by group: each array (groups, runs)."""

    logs: tuple[FloatArray, ...]  # ln of each input over its centre
    values: tuple[FloatArray, ...]
    centres: tuple[float, ...]


Values = tuple[FloatArray, list[FloatArray]]  # h, and its derivatives by each constant


@dataclass(frozen=True)
class Factor:
    """One factor: which of the kinds below, of which inputs."""

    kind: str
    inputs: tuple[int, ...]

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Its constants, in the order of theta."""
        return KINDS[self.kind].constants(len(self.inputs))

    def values(self, theta: Sequence[FloatArray], columns: Columns) -> Values:
        """h and its derivatives; each theta (batch, groups, 1), each result (batch, groups, runs)
        or what broadcasts to it."""
        return KINDS[self.kind].values(theta, columns, self.inputs)

    def written(
        self, names: Sequence[str], centres: Sequence[float], constants: Sequence[str]
    ) -> str:
        """The factor in the language of formulas."""
        raw = [names[i] for i in self.inputs]
        scaled = [_scaled(names[i], centres[i]) for i in self.inputs]
        return KINDS[self.kind].written(raw, scaled, constants)


@dataclass(frozen=True)
class Kind:
    """How the factors of one kind are computed and written."""

    meaning: str
    constants: Callable[[int], tuple[Constant, ...]]
    values: Callable[[Sequence[FloatArray], Columns, tuple[int, ...]], Values]
    written: Callable[[Sequence[str], Sequence[str], Sequence[str]], str]


def _power(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    x = at.logs[of[0]]
    return -theta[0] * x, [-x]


def _cross(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    product = at.logs[of[0]] * at.logs[of[1]]
    return -theta[0] * product, [-product]


def _mixture(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    shares = [at.values[i] for i in of]
    h = sum(t * r for t, r in zip(theta, shares, strict=True))
    return np.asarray(h), list(shares)


def _share(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    r, (a, s) = at.values[of[0]] / at.centres[of[0]], theta
    offset = np.exp(np.clip(s, -12.0, 5.0))
    grown = np.log(r + offset)
    return -a * grown, [-grown, -a * offset / (r + offset)]


def _shifted(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    x, (a, s) = at.logs[of[0]], theta
    grown = np.logaddexp(x, s)
    return -a * grown, [-grown, -a * np.exp(s - grown)]


def _saturated(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    x, (a, s) = at.logs[of[0]], theta
    held = -np.logaddexp(-x, -s)
    return -a * held, [-held, -a * np.exp(held - s)]


def _effective(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    x, other = at.logs[of[0]], np.log(np.maximum(at.values[of[1]], 1.0))
    a, gain = theta
    k = np.exp(np.clip(gain, -_LARGEST, _LARGEST))
    size = x + np.log1p(k * other)
    return -a * size, [-size, -a * k * other / (1 + k * other)]


def _varying(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    x, other, (a, g) = at.logs[of[0]], at.logs[of[1]], theta
    grown = np.exp(np.clip(g * other, -_LARGEST, _LARGEST))
    return -a * grown * x, [-grown * x, -a * grown * other * x]


def _coupled(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    x, y, (a, b, share, power) = at.logs[of[0]], at.logs[of[1]], theta
    k = np.exp(np.clip(power, -5.0, 5.0))
    first, second = -a * x, share - b * y
    total = np.logaddexp(first, second)
    p, q = np.exp(first - total), np.exp(second - total)
    return k * total, [-k * p * x, -k * q * y, k * q, k * total]


def _boosted(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    y, (b, share) = at.logs[of[0]], theta
    inside = share - b * y
    total = np.logaddexp(0.0, inside)
    q = np.exp(inside - total)
    return total, [-q * y, q]


def _repeated(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    return _worth(theta, at.values[of[0]], at.values[of[1]], at.centres[of[0]])


def _passed(theta: Sequence[FloatArray], at: Columns, of: tuple[int, ...]) -> Values:
    seen, passes = at.values[of[0]], at.values[of[1]]
    return _worth(theta, seen, seen / np.maximum(passes, 1.0), at.centres[of[0]])


def _worth(
    theta: Sequence[FloatArray], seen: FloatArray, distinct: FloatArray, centre: float
) -> Values:
    a, r = theta
    star = np.exp(np.clip(r, -5.0, 12.0))
    again = np.maximum(seen / np.maximum(distinct, 1e-300) - 1, 0.0)
    decay = np.exp(-again / star)
    fresh = np.log(np.minimum(seen, distinct) / centre)
    worth = 1 + star * (1 - decay)
    h = fresh + np.log(worth)
    slope = star * (1 - decay) - again * decay
    return -a * h, [-h, -a * slope / worth]


def _scaled(name: str, centre: float) -> str:
    return name if centre == 1 else f"({name}/{centre:g})"


KINDS: dict[str, Kind] = {
    "power": Kind(
        "a power of an input", lambda n: (EXPONENT,), _power, lambda r, x, c: f"{x[0]}^-{c[0]}"
    ),
    "cross": Kind(
        "an exponent that changes with the logarithm of another input",
        lambda n: (_BEND,),
        _cross,
        lambda r, x, c: f"exp(-{c[0]}*log({x[0]})*log({x[1]}))",
    ),
    "mixture": Kind(
        "an exponential of proportions",
        lambda n: (_PULL,) * n,
        _mixture,
        lambda r, x, c: f"exp({' + '.join(f'{t}*{p}' for t, p in zip(c, r, strict=True))})",
    ),
    "share": Kind(
        "a power of a proportion, or of an input with zeros, and a constant",
        lambda n: (EXPONENT, _LOG_OFFSET),
        _share,
        lambda r, x, c: f"({x[0]} + {c[1]})^-{c[0]}",
    ),
    "shifted": Kind(
        "a power of an input and a constant",
        lambda n: (EXPONENT, _PLACE),
        _shifted,
        lambda r, x, c: f"({x[0]} + {c[1]})^-{c[0]}",
    ),
    "saturated": Kind(
        "a power of an input that saturates",
        lambda n: (EXPONENT, _PLACE),
        _saturated,
        lambda r, x, c: f"(1/{x[0]} + 1/{c[1]})^{c[0]}",
    ),
    "effective": Kind(
        "a power of an input that the logarithm of another multiplies",
        lambda n: (EXPONENT, _GAIN),
        _effective,
        lambda r, x, c: f"({x[0]}*(1 + {c[1]}*log({r[1]})))^-{c[0]}",
    ),
    "varying": Kind(
        "a power whose exponent is a power of another input",
        lambda n: (EXPONENT, _TURN),
        _varying,
        lambda r, x, c: f"{x[0]}^-({c[0]}*{x[1]}^{c[1]})",
    ),
    "coupled": Kind(
        "a power of the sum of two powers",
        lambda n: (EXPONENT, SMALL_EXPONENT, _LOG_SHARE, _LOG_POWER),
        _coupled,
        lambda r, x, c: f"({x[0]}^-{c[0]} + {c[2]}*{x[1]}^-{c[1]})^{c[3]}",
    ),
    "boosted": Kind(
        "one and a power of another input",
        lambda n: (EXPONENT, _LOG_SHARE),
        _boosted,
        lambda r, x, c: f"(1 + {c[1]}*{x[0]}^-{c[0]})",
    ),
    "repeated": Kind(
        "a power of an input whose repeats are worth less and less",
        lambda n: (EXPONENT, _LOG_REPEATS),
        _repeated,
        lambda r, x, c: (
            f"({x[0]}*min(1, {r[1]}/{r[0]})"
            f"*(1 + {c[1]}*(1 - exp(-max({r[0]}/{r[1]} - 1, 0)/{c[1]}))))^-{c[0]}"
        ),
    ),
    "passed": Kind(
        "a power of an input whose passes after the first are worth less and less",
        lambda n: (EXPONENT, _LOG_REPEATS),
        _passed,
        lambda r, x, c: (
            f"({x[0]}/max({r[1]}, 1)*(1 + {c[1]}*(1 - exp(-max({r[1]} - 1, 0)/{c[1]}))))^-{c[0]}"
        ),
    ),
}
