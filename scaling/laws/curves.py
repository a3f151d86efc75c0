"""Laws of one input: L(C) first of all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from scaling.arrays import FloatArray
from scaling.laws.base import FLOOR, NATS, Constant, Law, Power, Symbol, softplus
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed

#: falls with compute that published curves have, for guesses
_EXPONENTS = (0.08, 0.15, 0.25, 0.4, 0.6, 0.9)
_REVISITING = Reference(
    "alabdulmohsin2022revisiting",
    ("Ibrahim Alabdulmohsin", "Behnam Neyshabur", "Xiaohua Zhai"),
    "Revisiting Neural Scaling Laws in Language and Vision",
    2022,
    "2209.06640",
)
_BROKEN = Reference(
    "caballero2022broken",
    ("Ethan Caballero", "Kshitij Gupta", "Irina Rish", "David Krueger"),
    "Broken Neural Scaling Laws",
    2022,
    "2210.14891",
)
_EXPONENT = Symbol("exponent, below zero where the loss falls")


def _log_quantile(x: FloatArray, share: float) -> float:
    """The value this share of the way up the log range of x."""
    low, span = float(np.log(x).min()), float(np.ptp(np.log(x)))
    return float(np.exp(low + share * span))


@dataclass(frozen=True)
class PowerLaw(Law):
    """One power of compute above a floor, the form used to predict GPT-4's final loss.

        L(C) = a C**b + c,   b < 0

    OpenAI 2023, "GPT-4 Technical Report", arXiv:2303.08774. Here: any column can stand for C.
    """

    a: Constant
    b: Constant
    c: Constant
    name: ClassVar[str] = "power_law"
    form: ClassVar[str] = "L(C) = a C**b + c"
    reference: ClassVar[Reference] = Reference(
        "openai2023gpt4", ("OpenAI",), "GPT-4 Technical Report", 2023, "2303.08774"
    )
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "a": Symbol("amplitude", "nats per token times FLOP**-b"),
        "b": _EXPONENT,
        "c": FLOOR,
    }
    linear: ClassVar[tuple[str, ...]] = ("a", "c")
    positive: ClassVar[tuple[str, ...]] = ("a", "c")
    floor: ClassVar[str | None] = "c"
    powers: ClassVar[tuple[Power, ...]] = (Power("a", 0, "b", 1.0),)

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any) -> Any:
        """a x**b + c."""
        return a * x**b + c

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Exponents of every published curve, and wider."""
        return crossed(b=[-0.02, -0.05, *(-e for e in _EXPONENTS), -1.5])

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(a=900.0, b=-0.15, c=1.7)


@dataclass(frozen=True)
class PurePowerLaw(Law):
    """One power of the input and no floor: a straight line on logarithmic axes.

        L(C) = a C**b,   b < 0

    Hestness et al. 2017, "Deep Learning Scaling is Predictable, Empirically", arXiv:1712.00409.
    """

    a: Constant
    b: Constant
    name: ClassVar[str] = "pure_power_law"
    form: ClassVar[str] = "L(C) = a C**b"
    reference: ClassVar[Reference] = Reference(
        "hestness2017predictable",
        ("Hestness", "others"),
        "Deep Learning Scaling is Predictable, Empirically",
        2017,
        "1712.00409",
    )
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "a": Symbol("amplitude", "nats per token times FLOP**-b"),
        "b": _EXPONENT,
    }
    linear: ClassVar[tuple[str, ...]] = ("a",)
    positive: ClassVar[tuple[str, ...]] = ("a",)
    floor: ClassVar[str | None] = None
    powers: ClassVar[tuple[Power, ...]] = (Power("a", 0, "b", 1.0),)

    @staticmethod
    def formula(x: Any, a: Any, b: Any) -> Any:
        """a x**b."""
        return a * x**b

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Exponents of every published curve, and wider."""
        return crossed(b=[-0.02, -0.05, *(-e for e in _EXPONENTS), -1.5])

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(a=40.0, b=-0.06)


@dataclass(frozen=True)
class ShiftedPowerLaw(Law):
    """A power law that bends at small scale.

        L(C) = a (C + s)**b + c,   b < 0, s >= 0 in the unit of C

    With s = 0 it is M2 of Alabdulmohsin, Neyshabur and Zhai 2022, "Revisiting Neural Scaling Laws
    in Language and Vision", arXiv:2209.06640. Here: x is shifted; their M3 shifts 1 / x instead
    (`SaturatingPowerLaw`).
    """

    a: Constant
    b: Constant
    c: Constant
    s: Constant
    name: ClassVar[str] = "shifted_power_law"
    form: ClassVar[str] = "L(C) = a (C + s)**b + c"
    reference: ClassVar[Reference] = _REVISITING
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "a": Symbol("amplitude", "nats per token times FLOP**-b"),
        "b": _EXPONENT,
        "c": FLOOR,
        "s": Symbol("compute below which the curve bends", "FLOP"),
    }
    linear: ClassVar[tuple[str, ...]] = ("a", "c")
    positive: ClassVar[tuple[str, ...]] = ("a", "c", "s")
    floor: ClassVar[str | None] = "c"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any, s: Any) -> Any:
        """a (x + s)**b + c."""
        return a * (x + s) ** b + c

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Exponents as usual, and shifts around the smallest input."""
        least = _log_quantile(inputs[0], 0.0)
        return crossed(
            b=[-0.05, *(-e for e in _EXPONENTS), -1.5], s=[least * f for f in (0.01, 0.3, 3, 30)]
        )

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(a=900.0, b=-0.15, c=1.7, s=1e17)


@dataclass(frozen=True)
class SaturatingPowerLaw(Law):
    """A power law of 1 / x that levels off, without a term for the floor.

        L(C) = a (1 / C + g)**k,   k > 0, g >= 0 in the inverse unit of C

    M3 of Alabdulmohsin, Neyshabur and Zhai 2022, "Revisiting Neural Scaling Laws in Language and
    Vision", arXiv:2209.06640, as their published code has it (with a for their beta, g for gamma
    and k for c). It levels off at a g**k.
    """

    a: Constant
    g: Constant
    k: Constant
    name: ClassVar[str] = "saturating_power_law"
    form: ClassVar[str] = "L(C) = a (1/C + g)**k"
    reference: ClassVar[Reference] = _REVISITING
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "a": Symbol("amplitude", "nats per token times FLOP**k"),
        "g": Symbol("inverse of the compute at which the curve levels off", "1/FLOP"),
        "k": Symbol("exponent before it levels off"),
    }
    linear: ClassVar[tuple[str, ...]] = ("a",)
    positive: ClassVar[tuple[str, ...]] = ("a", "g", "k")
    floor: ClassVar[str | None] = None

    @staticmethod
    def formula(x: Any, a: Any, g: Any, k: Any) -> Any:
        """a (1 / x + g)**k."""
        return a * (1 / x + g) ** k

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Exponents as usual, and levels reached inside the runs and beyond."""
        largest = _log_quantile(inputs[0], 1.0)
        return crossed(k=_EXPONENTS, g=[f / largest for f in (0.01, 0.1, 1, 10)])

    def derived(self) -> dict[str, Constant]:
        """The loss at which the curve levels off."""
        return {"level": np.asarray(self.a) * np.asarray(self.g) ** self.k}

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(a=900.0, g=1e-20, k=0.14)


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
    form: ClassVar[str] = "(L - c) / (L0 - L)**k = a C**b"
    reference: ClassVar[Reference] = _REVISITING
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "a": Symbol("amplitude", "nats per token to the 1 - k, times FLOP**-b"),
        "b": _EXPONENT,
        "c": FLOOR,
        "L0": Symbol("ceiling: the loss of an untrained model", NATS),
        "k": Symbol("how sharply the curve leaves the ceiling"),
    }
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("a", "c", "L0", "k")
    floor: ClassVar[str | None] = "c"

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

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Floors below the lowest loss, ceilings above the highest, and k."""
        return crossed(
            c=[loss.min() * f for f in (0.1, 0.5, 0.8, 0.95)],
            L0=[loss.max() * f for f in (1.02, 1.2, 2, 5)],
            k=[0.2, 0.6, 1.2, 2.5],
        )

    @classmethod
    def completed(
        cls,
        guesses: Grid,
        count: int,
        inputs: tuple[FloatArray, ...],
        loss: FloatArray,
        weights: FloatArray,
        fixed: Mapping[str, float],
    ) -> Grid:
        """With c, L0 and k guessed, ln a and b follow from a straight line."""
        c, top, k = (guesses[name][:, None] for name in ("c", "L0", "k"))
        above = np.maximum(loss - c, 1e-3 * loss)
        left = np.log(above) - k * np.log(np.maximum(top - loss, 1e-3 * loss))
        log_x = np.log(inputs[0])
        share = weights / weights.sum()
        mean_x, mean_left = log_x @ share, left @ share
        slope = ((left - mean_left[:, None]) * (log_x - mean_x)) @ share
        slope = slope / max(float(((log_x - mean_x) ** 2) @ share), 1e-300)
        b = np.full(count, fixed["b"]) if "b" in fixed else np.minimum(slope, -0.01)
        a = np.exp(mean_left - b * mean_x)
        a = np.full(count, fixed["a"]) if "a" in fixed else a
        return {"a": a, "b": b, **{name: guesses[name] for name in ("c", "L0", "k")}}

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(a=3e3, b=-0.17, c=1.7, L0=9.0, k=0.6)


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
    form: ClassVar[str] = "L(C) = a + b C**-c0 (1 + (C/d1)**(1/f1))**(-c1 f1)"
    reference: ClassVar[Reference] = _BROKEN
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "a": FLOOR,
        "b": Symbol("amplitude", "nats per token times FLOP**c0"),
        "c0": Symbol("exponent before the break"),
        "c1": Symbol("change of the exponent at the first break"),
        "d1": Symbol("place of the first break", "FLOP"),
        "f1": Symbol("width of the first break in ln C"),
    }
    linear: ClassVar[tuple[str, ...]] = ("a", "b")
    positive: ClassVar[tuple[str, ...]] = ("a", "b", "d1", "f1")
    floor: ClassVar[str | None] = "a"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c0: Any, *breaks: Any) -> Any:
        """The floor plus a power times one factor for each (c, d, f) in ``breaks``."""
        log_x = np.log(x)
        log_power = -c0 * log_x
        for c, d, f in zip(breaks[::3], breaks[1::3], breaks[2::3], strict=True):
            log_power = log_power - c * f * softplus((log_x - np.log(d)) / f)
        return a + b * np.exp(log_power)

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Breaks in each quarter of the range, of both signs."""
        return crossed(
            c0=[0.05, 0.15, 0.3, 0.6],
            c1=[-0.15, 0.15, 0.4],
            d1=[_log_quantile(inputs[0], q) for q in (0.25, 0.5, 0.75)],
            f1=[0.3, 1.5],
        )

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(a=1.2, b=50.0, c0=0.08, c1=0.12, d1=1e19, f1=0.6)


@dataclass(frozen=True)
class TwiceBrokenPowerLaw(BrokenPowerLaw):
    """The broken power law with a second break, around x = d2. See `BrokenPowerLaw`."""

    c2: Constant
    d2: Constant
    f2: Constant
    name: ClassVar[str] = "broken_power_law_2"
    form: ClassVar[str] = (
        "L(C) = a + b C**-c0 (1 + (C/d1)**(1/f1))**(-c1 f1) (1 + (C/d2)**(1/f2))**(-c2 f2)"
    )
    symbols: ClassVar[Mapping[str, Symbol]] = {
        **BrokenPowerLaw.symbols,
        "c2": Symbol("change of the exponent at the second break"),
        "d2": Symbol("place of the second break", "FLOP"),
        "f2": Symbol("width of the second break in ln C"),
    }
    positive: ClassVar[tuple[str, ...]] = ("a", "b", "d1", "f1", "d2", "f2")

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """A break in the lower half and one in the upper, of both signs."""
        quantiles = [_log_quantile(inputs[0], q) for q in (0.25, 0.5, 0.75, 0.9)]
        return crossed(
            c0=[0.05, 0.2, 0.5],
            c1=[-0.15, 0.2],
            d1=quantiles[:2],
            f1=[0.5],
            c2=[-0.15, 0.2],
            d2=quantiles[2:],
            f2=[0.5],
        )

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(a=1.2, b=50.0, c0=0.08, c1=0.15, d1=1e18, f1=0.4, c2=-0.12, d2=1e20, f2=0.4)
