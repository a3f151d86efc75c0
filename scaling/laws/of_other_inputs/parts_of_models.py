"""Laws of parts of models: width and depth, vocabulary, parallel copies, weights at zero."""

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
    Constant,
    Law,
    Power,
    Symbol,
    runs_at_all,
)
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed


@dataclass(frozen=True)
class _TwoPartsAndData(Law):
    """A floor plus a power law in each of two parts of the model, and one in data."""

    E: Constant
    A: Constant
    G: Constant
    B: Constant
    alpha: Constant
    gamma: Constant
    beta: Constant
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B")
    floor: ClassVar[str | None] = "E"
    powers: ClassVar[tuple[Power, ...]] = (
        Power("A", 0, "alpha", -1.0),
        Power("G", 1, "gamma", -1.0),
        Power("B", 2, "beta", -1.0),
    )

    @staticmethod
    def formula(x: Any, y: Any, d: Any, E: Any, A: Any, G: Any, B: Any, *exponents: Any) -> Any:  # noqa: N803
        """E + A x**-alpha + G y**-gamma + B d**-beta."""
        alpha, gamma, beta = exponents
        return E + A * x**-alpha + G * y**-gamma + B * d**-beta


@dataclass(frozen=True)
class ShapeLaw(_TwoPartsAndData):
    """Width, depth and data as separate variables.

        L(w, l, D) = E + A w**-alpha + G l**-gamma + B D**-beta

    w is the width, l the number of layers. McLeish et al. 2025, "Gemstones: A Model Suite for
    Multi-Faceted Scaling Laws", arXiv:2502.06857.
    """

    name: ClassVar[str] = "shape_law"
    form: ClassVar[str] = "L(w, l, D) = E + A w**-alpha + G l**-gamma + B D**-beta"
    reference: ClassVar[Reference] = Reference(
        "mcleish2025gemstones",
        ("McLeish", "others"),
        "Gemstones: A Model Suite for Multi-Faceted Scaling Laws",
        2025,
        "2502.06857",
    )
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": Symbol("amplitude of the term in width", "nats per token times width**alpha"),
        "G": Symbol("amplitude of the term in depth", "nats per token times layers**gamma"),
        "B": OF_DATA,
        "alpha": Symbol("exponent of width"),
        "gamma": Symbol("exponent of depth"),
        "beta": BETA,
    }
    inputs: ClassVar[tuple[str, ...]] = ("width", "depth", "tokens")

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Exponents of width and depth up to one, of data as usual."""
        return crossed(alpha=[0.2, 0.5, 1.0], gamma=[0.2, 0.5, 1.0], beta=[0.15, 0.3, 0.5])

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(E=1.6, A=20.0, G=1.5, B=400.0, alpha=0.6, gamma=0.9, beta=0.3)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Five widths, five depths, five token budgets."""
        return runs_at_all(
            width=[128, 256, 512, 1024, 2048],
            depth=[2, 4, 8, 16, 32],
            tokens=np.geomspace(1e9, 1e12, 5),
        )


@dataclass(frozen=True)
class Vocabulary(_TwoPartsAndData):
    """Chinchilla with the parameters of the vocabulary apart from the others.

        L(N, V, D) = E + A N**-alpha + G V**-gamma + B D**-beta

    Tao et al. 2024, "Scaling Laws with Vocabulary: Larger Models Deserve Larger Vocabularies",
    arXiv:2407.13623. N are the parameters without those of the vocabulary, V those. Their loss is
    over that of a unigram model, so that vocabularies compare; a loss in nats per token compares
    tokenizers of one vocabulary alone.
    """

    name: ClassVar[str] = "vocabulary_size"
    form: ClassVar[str] = "L(N, V, D) = E + A N**-alpha + G V**-gamma + B D**-beta"
    reference: ClassVar[Reference] = Reference(
        "tao2024vocabulary",
        ("Chaofan Tao", "others"),
        "Scaling Laws with Vocabulary: Larger Models Deserve Larger Vocabularies",
        2024,
        "2407.13623",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params_non_vocab", "params_vocab", "tokens")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": Symbol("amplitude of the term in size", f"{NATS} times params_non_vocab**alpha"),
        "G": Symbol("amplitude of the term in vocabulary", f"{NATS} times params_vocab**gamma"),
        "B": OF_DATA,
        "alpha": Symbol("exponent of the parameters without the vocabulary's"),
        "gamma": Symbol("exponent of the vocabulary's parameters"),
        "beta": BETA,
    }

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Usual exponents of each."""
        usual = (0.1, 0.25, 0.45, 0.8)
        return crossed(alpha=usual, gamma=usual, beta=usual)

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(E=1.7, A=300.0, G=200.0, B=400.0, alpha=0.33, gamma=0.4, beta=0.28)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Five of each."""
        return runs_at_all(
            params_non_vocab=np.geomspace(3e7, 3e9, 5),
            params_vocab=np.geomspace(1e6, 1e9, 5),
            tokens=np.geomspace(1e9, 1e11, 5),
        )


@dataclass(frozen=True)
class ParallelCopies(Law):
    """Copies of one model that share its parameters and work side by side, as more parameters.

        L(N, P) = E + A (N (1 + k ln P))**-alpha

    Chen et al. 2025, "Parallel Scaling Law for Language Models", arXiv:2505.10475, who write
    (A / (N (k log P + 1)))**alpha + E. P is one of a model without copies.
    """

    E: Constant
    A: Constant
    k: Constant
    alpha: Constant
    name: ClassVar[str] = "parallel_copies"
    form: ClassVar[str] = "L(N, P) = E + A (N (1 + k ln P))**-alpha"
    reference: ClassVar[Reference] = Reference(
        "chen2025parallel",
        ("Mouxiang Chen", "others"),
        "Parallel Scaling Law for Language Models",
        2025,
        "2505.10475",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params", "copies")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": Symbol("amplitude", f"{NATS} times params**alpha"),
        "k": Symbol("parameters that a unit of ln P is worth, over those there are"),
        "alpha": ALPHA,
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "k")
    floor: ClassVar[str | None] = "E"

    @staticmethod
    def formula(n: Any, p: Any, E: Any, A: Any, k: Any, alpha: Any) -> Any:  # noqa: N803
        """E + A (n (1 + k ln p))**-alpha."""
        return E + A * (n * (1 + k * np.log(p))) ** -alpha

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Usual exponents, and copies that do little or much."""
        return crossed(alpha=[0.08, 0.15, 0.25, 0.4, 0.6], k=[0.05, 0.2, 0.5, 1.5])

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(E=1.1, A=140.0, k=0.35, alpha=0.25)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Eight sizes with one copy to eight."""
        return runs_at_all(params=np.geomspace(3e8, 5e9, 10), copies=[1, 2, 4, 8])


@dataclass(frozen=True)
class SparseWeights(Law):
    """Chinchilla of the weights that are not zero, whose term in size shrinks where more are zero.

        L(N, D, r) = E + (A r**gamma + G) N**-alpha + B D**-beta

    Frantar et al. 2023, "Scaling Laws for Sparsely-Connected Foundation Models", arXiv:2309.08520,
    who write (a_S (1 - S)**b_S + c_S) N**-b_N + (a_D / D)**b_D + c in the sparsity S; here the
    density r = 1 - S, one of a dense model. N counts the weights that are not zero.
    """

    E: Constant
    A: Constant
    G: Constant
    B: Constant
    alpha: Constant
    beta: Constant
    gamma: Constant
    name: ClassVar[str] = "sparse_weights"
    form: ClassVar[str] = "L(N, D, r) = E + (A r**gamma + G) N**-alpha + B D**-beta"
    reference: ClassVar[Reference] = Reference(
        "frantar2023sparsely",
        ("Elias Frantar", "Carlos Riquelme", "Neil Houlsby", "Dan Alistarh", "Utku Evci"),
        "Scaling Laws for Sparsely-Connected Foundation Models",
        2023,
        "2309.08520",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens", "density")
    not_falling: ClassVar[tuple[str, ...]] = ("density",)
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": Symbol("what a dense model adds to G", f"{NATS} times params**alpha"),
        "G": Symbol(
            "amplitude of the term in size, of the sparsest model", f"{NATS} params**alpha"
        ),
        "B": OF_DATA,
        "alpha": Symbol("exponent of the weights that are not zero"),
        "beta": BETA,
        "gamma": Symbol("exponent of the share of the weights that is not zero"),
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B", "gamma")
    floor: ClassVar[str | None] = "E"

    @staticmethod
    def formula(n: Any, d: Any, r: Any, E: Any, A: Any, G: Any, B: Any, *powers: Any) -> Any:  # noqa: N803
        """E + (A r**gamma + G) n**-alpha + B d**-beta."""
        alpha, beta, gamma = powers
        return E + (A * r**gamma + G) * n**-alpha + B * d**-beta

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Usual exponents of each."""
        return crossed(
            alpha=[0.15, 0.25, 0.4, 0.6], beta=[0.15, 0.25, 0.5, 0.9], gamma=[0.3, 0.8, 1.6]
        )

    @classmethod
    def example(cls) -> Self:
        """The constants of the paper for T5 on C4, with B = a_D**b_D."""
        return cls(E=0.651, A=16.8, G=45.0, B=62.4, alpha=0.245, beta=0.203, gamma=0.722)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Sizes and tokens, dense to seven weights of eight at zero."""
        return runs_at_all(
            params=np.geomspace(1e6, 1e8, 6),
            tokens=np.geomspace(1e10, 3e11, 5),
            density=[1.0, 0.5, 0.25, 0.125],
        )
