"""Farseer: a law of size and tokens in which every part of the curve in tokens moves with size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from scaling.arrays import FloatArray
from scaling.laws.base import NATS, Constant, Law, Prior, Symbol, runs_at_all
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed

#: the model size at which the constants are read, params
SIZE = 1e9


@dataclass(frozen=True)
class Farseer(Law):
    """At every model size a floor plus a power of tokens, and all three change with size.

        L(N, D) = E(N) + B(N) D**-A(N)
        E(N) = E exp(-e p(n, gamma)),  B(N) = B exp(-b p(n, beta)),  A(N) = A exp(a p(n, alpha))
        p(n, q) = (n**q - 1) / q,  n = N / 1e9

    Li et al. 2025, "Predictable Scale: Part II, Farseer: A Refined Scaling Law in Large Language
    Models", arXiv:2506.10972, Eq. 3, who write exp(a3 N**gamma + b3) for E(N), exp(a2 N**beta +
    b2) for B(N) and exp(a1 N**alpha + b1) for A(N). Here the same functions have constants that
    can be read and found: their values at 1e9 params (E, B, A), their slopes there in ln N (e, b,
    a), and how the slopes change (gamma, beta, alpha; zero is a power of N). So a3 = -e / gamma
    and b3 = ln E + e / gamma for N in 1e9 params, and likewise for the others. E(N) has no limit
    that is a constant of its own, so the law names no floor.
    """

    E: Constant
    B: Constant
    A: Constant
    e: Constant
    b: Constant
    a: Constant
    gamma: Constant
    beta: Constant
    alpha: Constant
    name: ClassVar[str] = "farseer"
    form: ClassVar[str] = (
        "L(N, D) = E(N) + B(N) D**-A(N); E(N) = E exp(-e p(n, gamma)), "
        "B(N) = B exp(-b p(n, beta)), A(N) = A exp(a p(n, alpha)), "
        "p(n, q) = (n**q - 1)/q, n = N/1e9"
    )
    reference: ClassVar[Reference] = Reference(
        "li2025farseer",
        (
            *("Houyi Li", "Wenzhen Zheng", "Qiufeng Wang", "Zhenyu Ding", "Haoying Wang"),
            *("Zili Wang", "Shijie Xuyang", "Ning Ding", "Shuigeng Zhou", "Xiangyu Zhang"),
            "Daxin Jiang",
        ),
        "Predictable Scale: Part II, Farseer: A Refined Scaling Law in Large Language Models",
        2025,
        "2506.10972",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": Symbol("E(N) at 1e9 params: loss that no number of tokens removes", NATS),
        "B": Symbol("B(N) at 1e9 params", "nats per token times tokens**A"),
        "A": Symbol("A(N) at 1e9 params: exponent of tokens"),
        "e": Symbol("fall of ln E(N) per unit of ln N at 1e9 params"),
        "b": Symbol("fall of ln B(N) per unit of ln N at 1e9 params"),
        "a": Symbol("rise of ln A(N) per unit of ln N at 1e9 params"),
        "gamma": Symbol("change of e with size: exponent of N in ln E(N)"),
        "beta": Symbol("change of b with size: exponent of N in ln B(N)"),
        "alpha": Symbol("change of a with size: exponent of N in ln A(N)"),
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "B", "A")
    floor: ClassVar[str | None] = None
    own_bounds: ClassVar[Mapping[str, tuple[float, float]]] = {
        "gamma": (-2.0, 2.0),
        "beta": (-2.0, 2.0),
        "alpha": (-2.0, 2.0),
    }
    own_priors: ClassVar[Mapping[str, Prior]] = {
        "A": (float(np.log(0.4)), 0.5),
        "e": (0.05, 0.1),
        "b": (0.0, 1.0),
        "a": (0.0, 0.2),
        "gamma": (0.0, 0.2),
        "beta": (0.0, 0.2),
        "alpha": (0.0, 0.2),
    }

    @staticmethod
    def formula(n: Any, d: Any, E: Any, B: Any, A: Any, e: Any, b: Any, a: Any, *rest: Any) -> Any:  # noqa: N803
        """E(n) + B(n) d**-A(n)."""
        log_n = np.log(n / SIZE)
        gamma, beta, alpha = (_power_slope(log_n, q) for q in rest)
        return E * np.exp(-e * gamma) + B * np.exp(-b * beta - A * np.exp(a * alpha) * np.log(d))

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Powers of size for all three, their slopes around what published grids have."""
        zero = [0.0]
        return crossed(
            A=[0.25, 0.4, 0.6],
            e=[0.03, 0.08, 0.15],
            b=[-0.3, 0.0, 0.4, 1.0],
            a=[-0.15, 0.0, 0.1],
            gamma=zero,
            beta=zero,
            alpha=zero,
        )

    @classmethod
    def example(cls) -> Self:
        """Near what the authors' runs give, in nats."""
        return cls(
            E=1.5, B=350.0, A=0.3, e=0.1, b=0.84, a=-0.16, gamma=0.05, beta=-0.12, alpha=0.02
        )

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """The authors' range: large models on few tokens may be worse than small ones."""
        return runs_at_all(params=np.geomspace(1e8, 1e10, 7), tokens=np.geomspace(1e10, 1e13, 7))


def _power_slope(log_n: Any, q: Any) -> Any:
    """(n**q - 1) / q, which is ln n at q = 0."""
    z = q * log_n
    small = np.abs(z) < 1e-4
    series = log_n * (1 + z / 2 * (1 + z / 3 * (1 + z / 4)))
    return np.where(small, series, np.expm1(z) / np.where(small, 1.0, q))
