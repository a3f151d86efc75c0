"""The loss along one training run, by the learning rate of its steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from scaling.arrays import FloatArray
from scaling.laws.base import NATS, Constant, Law, Symbol
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed


@dataclass(frozen=True)
class LearningRateAnnealing(Law):
    """A power of the learning rate spent so far, less what lowering it brings.

        L = L0 + A S1**-alpha - C S2

    After Tissue, Wang and Wang 2024, "Scaling Law with Learning Rate Annealing",
    arXiv:2408.11029: S1 is the sum of the learning rates of all steps, S2 the annealing area.
    `annealing_areas` makes both of a schedule.
    """

    L0: Constant
    A: Constant
    alpha: Constant
    C: Constant
    name: ClassVar[str] = "annealing"
    form: ClassVar[str] = "L(S1, S2) = L0 + A S1**-alpha - C S2"
    reference: ClassVar[Reference] = Reference(
        "tissue2024annealing",
        ("Howe Tissue", "Venus Wang", "Lu Wang"),
        "Scaling Law with Learning Rate Annealing",
        2024,
        "2408.11029",
    )
    inputs: ClassVar[tuple[str, ...]] = ("rate_area", "annealing_area")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "L0": Symbol("loss that no training removes at the peak learning rate", NATS),
        "A": Symbol("amplitude", f"{NATS} times rate_area**alpha"),
        "alpha": Symbol("exponent of the learning rate spent"),
        "C": Symbol("what lowering the learning rate brings", f"{NATS} per annealing_area"),
    }
    linear: ClassVar[tuple[str, ...]] = ("L0", "A", "C")
    positive: ClassVar[tuple[str, ...]] = ("L0", "A", "alpha")
    floor: ClassVar[str | None] = None  # annealing takes the loss below L0

    @staticmethod
    def formula(spent: Any, annealed: Any, L0: Any, A: Any, alpha: Any, C: Any) -> Any:  # noqa: N803
        """L0 + A spent**-alpha - C annealed."""
        return L0 + A * spent**-alpha - C * annealed

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Exponents of published curves, and wider."""
        return crossed(alpha=(0.1, 0.25, 0.4, 0.6, 0.9, 1.3))

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(L0=2.6, A=0.5, alpha=0.5, C=0.3)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """A run of a thousand steps whose rate is 1e-3, and falls to zero over the last third."""
        rates = 1e-3 * np.minimum(1.0, np.linspace(3.0, 0.0, 1000, endpoint=False))
        spent, annealed = annealing_areas(rates, memory=0.99)
        return {"rate_area": spent[9::25], "annealing_area": annealed[9::25]}


def annealing_areas(rates: FloatArray, memory: float = 0.999) -> tuple[FloatArray, FloatArray]:
    """The sum S1 of the learning rates ``rates`` (steps,) up to each step, and the annealing area
    S2 of each; both (steps,).

    S2 sums a momentum m_s = ``memory`` m_(s-1) + (rate_(s-1) - rate_s), as in arXiv:2408.11029,
    where ``memory`` is called lambda. What the warm-up raises takes nothing off.
    """
    falls = np.maximum(-np.diff(rates, prepend=rates[:1]), 0.0)
    momentum = np.empty(len(rates))
    last = 0.0
    for step, fall in enumerate(falls):
        last = memory * last + fall
        momentum[step] = last
    return np.cumsum(rates), np.cumsum(momentum)
