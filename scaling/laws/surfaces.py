"""Laws of several inputs: model size, tokens, distinct tokens, width and depth."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray
from scaling.laws.base import Constant, Law, before_inputs


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
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> Any:  # noqa: N803
        """E + A n**-alpha + B d**-beta."""
        return E + A * n**-alpha + B * d**-beta

    def _balance(self) -> tuple[Any, Any, Any]:
        return self.alpha, self.beta, np.asarray(self.B) / self.A


@dataclass(frozen=True)
class Skaling(_TwoInputLaw):
    """A law in which model size and data interact: their powers add before the outer power.

        L(N, D) = E + A (N**-alpha + R D**-beta)**k

    k = 1 is Chinchilla; E = 0 and beta = 1 give the joint law of Kaplan et al. 2020, "Scaling
    Laws for Neural Language Models", arXiv:2001.08361. Here it has a floor, and both exponents
    are free.
    """

    E: Constant
    A: Constant
    R: Constant
    alpha: Constant
    beta: Constant
    k: Constant
    name: ClassVar[str] = "skaling"
    linear: ClassVar[tuple[str, ...]] = ("E", "A")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "R", "k")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, R: Any, alpha: Any, beta: Any, k: Any) -> Any:  # noqa: N803
        """E + A (n**-alpha + R d**-beta)**k."""
        return E + A * (n**-alpha + R * d**-beta) ** k

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
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, B: Any, alpha: Any) -> Any:  # noqa: N803
        """E + A n**-alpha + B d**-alpha."""
        return E + A * n**-alpha + B * d**-alpha

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
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens", "unique_tokens")
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha", "beta", "r_d", "r_n")
    floor: ClassVar[str] = "E"

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

    def derived(self) -> dict[str, Constant]:
        """The exponents of the compute-optimal split while data are fresh."""
        return self.with_fresh_data().derived()

    def with_fresh_data(self) -> Chinchilla:
        """The Chinchilla law that holds while no token is repeated."""
        return Chinchilla(E=self.E, A=self.A, B=self.B, alpha=self.alpha, beta=self.beta)


@dataclass(frozen=True)
class ShapeLaw(Law):
    """Width, depth and data as separate variables.

        L(w, l, D) = E + A w**-alpha + G l**-gamma + B D**-beta

    w is the width, l the number of layers. McLeish et al. 2025, "Gemstones: A Model Suite for
    Multi-Faceted Scaling Laws", arXiv:2502.06857.
    """

    E: Constant
    A: Constant
    G: Constant
    B: Constant
    alpha: Constant
    gamma: Constant
    beta: Constant
    name: ClassVar[str] = "shape_law"
    inputs: ClassVar[tuple[str, ...]] = ("width", "depth", "tokens")
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(w: Any, depth: Any, d: Any, E: Any, A: Any, G: Any, B: Any, *rest: Any) -> Any:  # noqa: N803
        """E + A w**-alpha + G depth**-gamma + B d**-beta."""
        alpha, gamma, beta = rest
        return E + A * w**-alpha + G * depth**-gamma + B * d**-beta
