"""Laws of one input: L(C) first of all."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scaling.laws.base import Constant, Law, softplus


@dataclass(frozen=True)
class PowerLaw(Law):
    """One power of compute above a floor, the form used to predict GPT-4's final loss.

        L(C) = a C**b + c,   b < 0

    OpenAI 2023, "GPT-4 Technical Report", arXiv:2303.08774. Unit of a: nats per token times
    FLOP**-b. Here: any column can stand for C.
    """

    a: Constant
    b: Constant
    c: Constant
    name: ClassVar[str] = "power_law"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ("a", "c")
    positive: ClassVar[tuple[str, ...]] = ("a", "c")
    floor: ClassVar[str] = "c"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any) -> Any:
        """a x**b + c."""
        return a * x**b + c


@dataclass(frozen=True)
class ShiftedPowerLaw(Law):
    """A power law that bends at small scale.

        L(C) = a (C + s)**b + c,   b < 0, s >= 0 in the unit of C

    Alabdulmohsin, Neyshabur and Zhai 2022, "Revisiting Neural Scaling Laws in Language and
    Vision", arXiv:2209.06640 (their M3).
    """

    a: Constant
    b: Constant
    c: Constant
    s: Constant
    name: ClassVar[str] = "shifted_power_law"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ("a", "c")
    positive: ClassVar[tuple[str, ...]] = ("a", "c", "s")
    floor: ClassVar[str] = "c"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any, s: Any) -> Any:
        """a (x + s)**b + c."""
        return a * (x + s) ** b + c


@dataclass(frozen=True)
class M4(Law):
    """A law between a floor c and a ceiling L0, the loss of an untrained model.

        (L - c) / (L0 - L)**k = a x**b,   b < 0, k > 0

    Alabdulmohsin, Neyshabur and Zhai 2022, "Revisiting Neural Scaling Laws in Language and
    Vision", arXiv:2209.06640 (their M4, with k for their alpha). L is the only root between c
    and L0.
    """

    a: Constant
    b: Constant
    c: Constant
    L0: Constant
    k: Constant
    name: ClassVar[str] = "m4"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("a", "c", "L0", "k")
    floor: ClassVar[str] = "c"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any, L0: Any, k: Any) -> Any:  # noqa: N803
        """The root L, by Newton's method on the logit of (L - c) / (L0 - c)."""
        span = L0 - c
        # with L = c + span * logistic(u): k softplus(u) - softplus(-u) = t, monotone and of one
        # curvature in u, so Newton's method from either asymptote cannot miss
        t = np.log(a) + b * np.log(x) - (1 - k) * np.log(span)
        real_t, real_k = np.real(t), np.real(k)
        u = np.where(real_t < 0, real_t, real_t / real_k)
        for _ in range(8):
            u = u - _m4_newton(u, real_t, real_k)
        if np.iscomplexobj(t):  # a complex step carries exact derivatives through the root
            u = u - _m4_newton(u.astype(np.complex128), t, k)
        return c + span / (1 + np.exp(-np.where(np.real(u) < -700, -700, u)))


def _m4_newton(u: Any, t: Any, k: Any) -> Any:
    """One Newton step towards k softplus(u) - softplus(-u) = t."""
    above = softplus(u)  # and softplus(-u) = softplus(u) - u
    share = np.exp(u - above)
    return ((k - 1) * above + u - t) / (1 - share + k * share)


@dataclass(frozen=True)
class BrokenPowerLaw(Law):
    """A power law whose exponent changes once, smoothly, from c0 to c0 + c1 around x = d1.

        L(x) = a + b x**-c0 (1 + (x / d1)**(1 / f1))**(-c1 f1)

    a is the floor, f1 the width of the break in ln x. Caballero, Gupta, Rish and Krueger 2022,
    "Broken Neural Scaling Laws", arXiv:2210.14891.
    """

    a: Constant
    b: Constant
    c0: Constant
    c1: Constant
    d1: Constant
    f1: Constant
    name: ClassVar[str] = "broken_power_law"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ("a", "b")
    positive: ClassVar[tuple[str, ...]] = ("a", "b", "d1", "f1")
    floor: ClassVar[str] = "a"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c0: Any, *breaks: Any) -> Any:
        """The floor plus a power times one factor for each (c, d, f) in ``breaks``."""
        log_x = np.log(x)
        log_power = -c0 * log_x
        for c, d, f in zip(breaks[::3], breaks[1::3], breaks[2::3], strict=True):
            log_power = log_power - c * f * softplus((log_x - np.log(d)) / f)
        return a + b * np.exp(log_power)


@dataclass(frozen=True)
class TwiceBrokenPowerLaw(BrokenPowerLaw):
    """The broken power law with a second break, around x = d2. See `BrokenPowerLaw`."""

    c2: Constant
    d2: Constant
    f2: Constant
    name: ClassVar[str] = "broken_power_law_2"
    positive: ClassVar[tuple[str, ...]] = ("a", "b", "d1", "f1", "d2", "f2")
