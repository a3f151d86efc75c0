"""Laws of model size and tokens, and of tokens that are repeated."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray
from scaling.laws.base import (
    ALPHA,
    BETA,
    FLOOR,
    OF_DATA,
    OF_SIZE,
    Constant,
    Law,
    Power,
    Symbol,
    before_inputs,
    runs_at_all,
)
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed

_EXPONENTS = (0.08, 0.15, 0.25, 0.4, 0.6, 0.9)
_HOFFMANN = Reference(
    "hoffmann2022training",
    (
        *("Jordan Hoffmann", "Sebastian Borgeaud", "Arthur Mensch", "Elena Buchatskaya"),
        *("Trevor Cai", "Eliza Rutherford", "Diego de Las Casas", "Lisa Anne Hendricks"),
        *("Johannes Welbl", "Aidan Clark", "Tom Hennigan", "Eric Noland", "Katie Millican"),
        *("George van den Driessche", "Bogdan Damoc", "Aurelia Guy", "Simon Osindero"),
        *("Karen Simonyan", "Erich Elsen", "Jack W. Rae", "Oriol Vinyals", "Laurent Sifre"),
    ),
    "Training Compute-Optimal Large Language Models",
    2022,
    "2203.15556",
)
_MUENNIGHOFF = Reference(
    "muennighoff2023scaling",
    (
        *("Niklas Muennighoff", "Alexander M. Rush", "Boaz Barak", "Teven Le Scao"),
        *("Aleksandra Piktus", "Nouamane Tazi", "Sampo Pyysalo", "Thomas Wolf", "Colin Raffel"),
    ),
    "Scaling Data-Constrained Language Models",
    2023,
    "2305.16264",
)
_GADRE = Reference(
    "gadre2024overtraining",
    ("Gadre", "others"),
    "Language models scale reliably with over-training and on downstream tasks",
    2024,
    "2403.08540",
)


class _TwoInputLaw(Law):
    """Laws in N and D whose compute-optimal split at C = 6 N D has a closed form."""

    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens")

    def _balance(self) -> tuple[Any, Any, Any]:
        """(alpha, beta, r): the optimum has alpha N**-alpha = r beta D**-beta."""
        raise NotImplementedError

    def optimal_params(self, train_flops: npt.ArrayLike) -> FloatArray:
        """Model size that minimises the loss when ``train_flops = 6 * params * tokens``."""
        flops = np.asarray(train_flops, dtype=np.float64)
        alpha, beta, ratio = (before_inputs(v, flops.ndim) for v in self._balance())
        scale = (alpha / (beta * ratio)) ** (1 / (alpha + beta))
        return np.asarray(scale * (flops / 6) ** (beta / (alpha + beta)))

    def optimal_tokens(self, train_flops: npt.ArrayLike) -> FloatArray:
        """Training tokens at the same optimum: ``train_flops / (6 * optimal_params)``."""
        flops = np.asarray(train_flops, dtype=np.float64)
        return np.asarray(flops / (6 * self.optimal_params(flops)))

    def derived(self) -> dict[str, Constant]:
        """The exponents with which optimal size and optimal tokens grow with compute."""
        alpha, beta, _ = self._balance()
        size = beta / (alpha + beta)
        return {"optimal_params_exponent": size, "optimal_tokens_exponent": 1 - size}


@dataclass(frozen=True)
class Chinchilla(_TwoInputLaw):
    """A floor plus one power law in model size and one in data.

        L(N, D) = E + A N**-alpha + B D**-beta

    Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", arXiv:2203.15556
    (their Approach 3).
    """

    E: Constant
    A: Constant
    B: Constant
    alpha: Constant
    beta: Constant
    name: ClassVar[str] = "chinchilla"
    form: ClassVar[str] = "L(N, D) = E + A N**-alpha + B D**-beta"
    reference: ClassVar[Reference] = _HOFFMANN
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": OF_SIZE,
        "B": OF_DATA,
        "alpha": ALPHA,
        "beta": BETA,
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    floor: ClassVar[str | None] = "E"
    powers: ClassVar[tuple[Power, ...]] = (
        Power("A", 0, "alpha", -1.0),
        Power("B", 1, "beta", -1.0),
    )

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> Any:  # noqa: N803
        """E + A n**-alpha + B d**-beta."""
        return E + A * n**-alpha + B * d**-beta

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Every pair of usual exponents."""
        return crossed(alpha=_EXPONENTS, beta=_EXPONENTS)

    @classmethod
    def example(cls) -> Self:
        """The constants of Hoffmann et al. 2022, rounded."""
        return cls(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)

    def _balance(self) -> tuple[Any, Any, Any]:
        return self.alpha, self.beta, np.asarray(self.B) / self.A


@dataclass(frozen=True)
class Skaling(_TwoInputLaw):
    """A law in which model size and data interact: their powers add before the outer power.

        L(N, D) = E + A (N**-alpha + R D**-beta)**k

    Videau, Youbi-Idrissi, Lopez-Paz and Ahuja 2026, "Skaling: Chinchilla's Exponents Meet Kaplan's
    Coupling", arXiv:2608.07222, who write (A N**-alpha + B D**-beta)**k + E; here their A**k is A
    and their B / A is R. k = 1 is Chinchilla; E = 0 and beta = 1 give the joint law of Kaplan et
    al. 2020, "Scaling Laws for Neural Language Models", arXiv:2001.08361.
    """

    E: Constant
    A: Constant
    R: Constant
    alpha: Constant
    beta: Constant
    k: Constant
    name: ClassVar[str] = "skaling"
    form: ClassVar[str] = "L(N, D) = E + A (N**-alpha + R D**-beta)**k"
    reference: ClassVar[Reference] = Reference(
        "videau2026skaling",
        ("Mathurin Videau", "Badr Youbi-Idrissi", "David Lopez-Paz", "Kartik Ahuja"),
        "Skaling: Chinchilla's Exponents Meet Kaplan's Coupling",
        2026,
        "2608.07222",
    )
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": Symbol("amplitude", "nats per token times params**(alpha k)"),
        "R": Symbol("weight of data beside model size", "tokens**beta per params**alpha"),
        "alpha": Symbol("exponent of model size; alpha k far from the crossover"),
        "beta": Symbol("exponent of tokens; beta k far from the crossover"),
        "k": Symbol("coupling: 1 where size and data act apart"),
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "R", "k")
    floor: ClassVar[str | None] = "E"

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, R: Any, alpha: Any, beta: Any, k: Any) -> Any:  # noqa: N803
        """E + A (n**-alpha + R d**-beta)**k."""
        return E + A * (n**-alpha + R * d**-beta) ** k

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Slopes far from the crossover (alpha k, beta k), the balance of the two, and k."""
        guesses = product((0.2, 0.35, 0.6), (0.2, 0.35, 0.6), (0.3, 1.0, 3.0), (0.35, 0.6, 1.0))
        table = np.array(list(guesses))
        k = table[:, 3]
        alpha, beta = table[:, 0] / k, table[:, 1] / k
        centre_n, centre_d = (float(np.log(v).mean()) for v in inputs)
        ratio = table[:, 2] * np.exp(beta * centre_d - alpha * centre_n)
        return {"alpha": alpha, "beta": beta, "R": ratio, "k": k}

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(E=1.5, A=30.0, R=20.0, alpha=0.6, beta=0.62, k=0.5)

    def _balance(self) -> tuple[Any, Any, Any]:
        return self.alpha, self.beta, self.R


@dataclass(frozen=True)
class Overtraining(_TwoInputLaw):
    """Chinchilla with one exponent for size and data, so D/N is optimal at every budget.

        L(N, D) = E + A N**-alpha + B D**-alpha

    Gadre et al. 2024, "Language models scale reliably with over-training and on downstream
    tasks", arXiv:2403.08540. They write it in compute C = 6 N D and ratio M = D / N, as
    E + (a M**eta + b M**-eta) C**-eta; here eta = alpha / 2, a = A 6**eta and b = B 6**eta.
    """

    E: Constant
    A: Constant
    B: Constant
    alpha: Constant
    name: ClassVar[str] = "overtraining"
    form: ClassVar[str] = "L(N, D) = E + A N**-alpha + B D**-alpha"
    reference: ClassVar[Reference] = _GADRE
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": OF_SIZE,
        "B": Symbol("amplitude of the term in data", "nats per token times tokens**alpha"),
        "alpha": Symbol("exponent of model size and of tokens"),
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    floor: ClassVar[str | None] = "E"
    powers: ClassVar[tuple[Power, ...]] = (
        Power("A", 0, "alpha", -1.0),
        Power("B", 1, "alpha", -1.0),
    )

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, B: Any, alpha: Any) -> Any:  # noqa: N803
        """E + A n**-alpha + B d**-alpha."""
        return E + A * n**-alpha + B * d**-alpha

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Usual exponents and wider."""
        return crossed(alpha=[0.05, *_EXPONENTS, 1.5])

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(E=1.84, A=166.0, B=287.0, alpha=0.273)

    def _balance(self) -> tuple[Any, Any, Any]:
        return self.alpha, self.alpha, np.asarray(self.B) / self.A

    def derived(self) -> dict[str, Constant]:
        """The tokens per parameter that this law holds to be optimal at every budget."""
        return {"optimal_tokens_per_param": (np.asarray(self.B) / self.A) ** (1 / self.alpha)}


@dataclass(frozen=True)
class DataConstrained(Law):
    """Chinchilla in which repeated tokens, and parameters beyond what the data feed, fade.

        L(N, D, U) = E + A N'**-alpha + B D'**-beta
        D' = U + U r_d (1 - exp(-(D/U - 1) / r_d))
        N' = V + V r_n (1 - exp(-(N/V - 1) / r_n)),   V = min(N, optimal size for U tokens)

    r_d and r_n (pure numbers) say after how many repeats the value of data and of excess
    parameters has decayed. With D <= U and N <= V it is Chinchilla. Muennighoff et al. 2023,
    "Scaling Data-Constrained Language Models", arXiv:2305.16264.
    """

    E: Constant
    A: Constant
    B: Constant
    alpha: Constant
    beta: Constant
    r_d: Constant
    r_n: Constant
    name: ClassVar[str] = "data_constrained"
    form: ClassVar[str] = (
        "L(N, D, U) = E + A N'**-alpha + B D'**-beta; "
        "D' = U + U r_d (1 - exp(-(D/U - 1)/r_d)); "
        "N' = V + V r_n (1 - exp(-(N/V - 1)/r_n)), V = min(N, optimal size for U tokens)"
    )
    reference: ClassVar[Reference] = _MUENNIGHOFF
    symbols: ClassVar[Mapping[str, Symbol]] = {
        **Chinchilla.symbols,
        "r_d": Symbol("repeats after which the value of data has decayed"),
        "r_n": Symbol("excess of size after which the value of parameters has decayed"),
    }
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens", "unique_tokens")
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha", "beta", "r_d", "r_n")
    floor: ClassVar[str | None] = "E"

    @staticmethod
    def formula(n: Any, d: Any, u: Any, E: Any, A: Any, B: Any, *rest: Any) -> Any:  # noqa: N803
        """E + A n'**-alpha + B d'**-beta with faded n' and d'."""
        alpha, beta, r_d, r_n = rest
        unique = np.minimum(u, d)
        log_g = np.log(alpha * A / (beta * B)) / (alpha + beta)
        # the size for which D = unique tokens is compute-optimal: (D G)**(beta/alpha) G
        fed = np.exp((np.log(unique) + log_g) * beta / alpha + log_g)
        useful = np.where(np.real(fed) < n, fed, n)
        faded_n = useful * (1 + r_n * -np.expm1(-(n / useful - 1) / r_n))
        faded_d = unique * (1 + r_d * -np.expm1(-(d / unique - 1) / r_d))
        return E + A * faded_n**-alpha + B * faded_d**-beta

    @classmethod
    def solved(cls) -> tuple[str, ...]:
        """Without the excess-parameter term, which ties A to B, it is linear in all three."""
        return ("E", "A", "B")

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """A few exponents, and repeats that fade soon or late."""
        return crossed(alpha=[0.15, 0.3, 0.5], beta=[0.15, 0.3, 0.5], r_d=[2.0, 10.0], r_n=[5.0])

    @classmethod
    def terms(cls, inputs: tuple[FloatArray, ...], guesses: Grid, count: int) -> FloatArray:
        """The terms of E, A and B, (starts, runs, 3), with every parameter fed."""
        n, d, u = inputs
        unique = np.minimum(u, d)
        r_d = guesses["r_d"][:, None]
        faded = unique * (1 - r_d * np.expm1(-(d / unique - 1) / r_d))
        terms = [n ** -guesses["alpha"][:, None], faded ** -guesses["beta"][:, None]]
        return np.stack([np.ones((count, len(n))), *terms], axis=-1)

    @classmethod
    def unanswerable(cls, inputs: tuple[FloatArray, ...]) -> str | None:
        """Runs that repeat no data say nothing of repeats."""
        if (inputs[1] > 1.5 * inputs[2]).any():
            return None
        return (
            f"no run repeats its data (tokens above 1.5 unique_tokens), so {cls.name} cannot be "
            f"told from {Chinchilla.name}; fit --law {Chinchilla.name}"
        )

    @classmethod
    def example(cls) -> Self:
        """The constants of Muennighoff et al. 2023, rounded."""
        return cls(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, r_d=15.4, r_n=5.3)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Sizes, tokens and stocks of distinct tokens no larger than the tokens seen."""
        runs = runs_at_all(
            params=np.geomspace(1e7, 1e10, 6),
            tokens=np.geomspace(1e8, 1e11, 6),
            unique_tokens=np.geomspace(1e8, 1e10, 4),
        )
        possible = runs["unique_tokens"] <= runs["tokens"]
        return {name: values[possible] for name, values in runs.items()}

    def derived(self) -> dict[str, Constant]:
        """The exponents of the compute-optimal split while data are fresh."""
        return self.with_fresh_data().derived()

    def with_fresh_data(self) -> Chinchilla:
        """The Chinchilla law that holds while no token is repeated."""
        return Chinchilla(E=self.E, A=self.A, B=self.B, alpha=self.alpha, beta=self.beta)
