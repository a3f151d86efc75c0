"""Laws of models with experts: how many there are, and how finely they are cut."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from scaling.arrays import FloatArray
from scaling.laws.base import (
    ALPHA,
    BETA,
    FLOOR,
    NATS,
    OF_DATA,
    Bounds,
    Constant,
    Law,
    Prior,
    Symbol,
    runs_at_all,
)
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed


@dataclass(frozen=True)
class Experts(Law):
    """A power of the size that a token uses, and one of the number of experts, which interact.

        L(N, X) = A N**-alpha X'**(gamma ln N - beta)
        1/X' = 1 / (X - 1 + 1 / (1/e_start - 1/e_max)) + 1 / e_max

    Clark et al. 2022, "Unified Scaling Laws for Routed Language Models", arXiv:2202.01169, who
    write log L = a log N + b log X' + c log N log X' + d; here A = exp(d), alpha = -a, beta = -b
    and gamma = c, of natural logarithms. X is the number of experts, one of a dense model, and N
    the parameters of the dense model that experts are added to. X' saturates: below e_start and
    beyond e_max experts help little.
    """

    A: Constant
    alpha: Constant
    beta: Constant
    gamma: Constant
    e_start: Constant
    e_max: Constant
    name: ClassVar[str] = "routed_experts"
    form: ClassVar[str] = (
        "L(N, X) = A N**-alpha X'**(gamma ln N - beta); "
        "1/X' = 1/(X - 1 + 1/(1/e_start - 1/e_max)) + 1/e_max"
    )
    reference: ClassVar[Reference] = Reference(
        "clark2022unified",
        ("Aidan Clark", "others"),
        "Unified Scaling Laws for Routed Language Models",
        2022,
        "2202.01169",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params_active", "experts")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "A": Symbol("amplitude", f"{NATS} times params_active**alpha"),
        "alpha": Symbol("exponent of the size that a token uses, with one effective expert"),
        "beta": Symbol("exponent of effective experts at one parameter"),
        "gamma": Symbol("how much less experts help per unit of ln params_active"),
        "e_start": Symbol("experts from which on more of them help"),
        "e_max": Symbol("effective experts that no number of them exceeds"),
    }
    linear: ClassVar[tuple[str, ...]] = ("A",)
    positive: ClassVar[tuple[str, ...]] = ("A", "e_start", "e_max")
    floor: ClassVar[str | None] = None
    own_bounds: ClassVar[Mapping[str, Bounds]] = {
        "alpha": (-1.0, 2.0),
        "beta": (-2.0, 2.0),
        "gamma": (-0.2, 0.2),
        "e_start": (1e-3, 30.0),
        "e_max": (31.0, 1e5),
    }
    own_priors: ClassVar[Mapping[str, Prior]] = {
        "alpha": (0.1, 0.1),
        "beta": (0.1, 0.2),
        "gamma": (0.0, 0.02),
        "e_start": (float(np.log(2.0)), 1.0),
        "e_max": (float(np.log(400.0)), 1.0),
    }

    @staticmethod
    def formula(n: Any, x: Any, A: Any, alpha: Any, beta: Any, gamma: Any, *ends: Any) -> Any:  # noqa: N803
        """A n**-alpha x'**(gamma ln n - beta) with x' that saturates."""
        start, most = ends
        effective = 1 / (1 / (x - 1 + 1 / (1 / start - 1 / most)) + 1 / most)
        log_n, log_x = np.log(n), np.log(effective)
        return A * np.exp(-alpha * log_n + (gamma * log_n - beta) * log_x)

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Exponents of the published fits and wider; experts that help soon or late. With
        ``beta - gamma ln N`` guessed in the middle of the sizes."""
        middle = float(np.log(inputs[0]).mean())
        grid = crossed(
            alpha=[0.03, 0.06, 0.1, 0.2],
            beta=[0.01, 0.03, 0.08],
            gamma=[0.0, 0.004],
            e_start=[1.0, 3.0],
            e_max=[100.0, 500.0],
        )
        return grid | {"beta": grid["beta"] + grid["gamma"] * middle}

    @classmethod
    def example(cls) -> Self:
        """Near the constants of Clark et al. 2022 for their routing S-BASE."""
        return cls(A=12.7, alpha=0.082, beta=0.108, gamma=0.0039, e_start=1.85, e_max=314.0)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Sizes with one expert to 512."""
        return runs_at_all(
            params_active=np.geomspace(1e7, 1e9, 8), experts=[1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
        )


@dataclass(frozen=True)
class FineGrainedExperts(Law):
    """Chinchilla whose term in size shrinks as experts are cut finer.

        L(N, D, G) = E + (A + g G**-gamma) N**-alpha + B D**-beta

    Ludziejewski, Krajewski et al. 2024, "Scaling Laws for Fine-Grained Mixture of Experts",
    arXiv:2402.07871, at one ratio of all experts to those that a token uses. The granularity G is
    the width of the feed-forward layer over that of an expert.
    """

    E: Constant
    A: Constant
    g: Constant
    B: Constant
    alpha: Constant
    beta: Constant
    gamma: Constant
    name: ClassVar[str] = "fine_grained_experts"
    form: ClassVar[str] = "L(N, D, G) = E + (A + g G**-gamma) N**-alpha + B D**-beta"
    reference: ClassVar[Reference] = Reference(
        "ludziejewski2024scaling",
        ("Jan Ludziejewski", "Jakub Krajewski", "others"),
        "Scaling Laws for Fine-Grained Mixture of Experts",
        2024,
        "2402.07871",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens", "granularity")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": Symbol(
            "amplitude of the term in size, of the finest experts", f"{NATS} params**alpha"
        ),
        "g": Symbol("what experts as wide as the layer add to A", f"{NATS} times params**alpha"),
        "B": OF_DATA,
        "alpha": ALPHA,
        "beta": BETA,
        "gamma": Symbol("exponent of granularity"),
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "g", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "g", "B")
    floor: ClassVar[str | None] = "E"

    @staticmethod
    def formula(n: Any, d: Any, grain: Any, E: Any, A: Any, g: Any, B: Any, *powers: Any) -> Any:  # noqa: N803
        """E + (A + g grain**-gamma) n**-alpha + B d**-beta."""
        alpha, beta, gamma = powers
        return E + (A + g * grain**-gamma) * n**-alpha + B * d**-beta

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Usual exponents of each."""
        return crossed(
            alpha=[0.1, 0.2, 0.35, 0.6], beta=[0.1, 0.2, 0.35, 0.6], gamma=[0.2, 0.5, 1.0, 2.0]
        )

    @classmethod
    def example(cls) -> Self:
        """The constants of the paper."""
        return cls(E=0.47, A=18.1, g=2.1, B=30.8, alpha=0.115, beta=0.147, gamma=0.58)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Sizes and tokens with granularity 1 to 16."""
        return runs_at_all(
            params=np.geomspace(1e8, 4e9, 5),
            tokens=np.geomspace(1e10, 2e11, 5),
            granularity=[1, 2, 4, 8, 16],
        )
