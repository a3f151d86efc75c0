"""A law of two sizes: the encoder's and the decoder's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from scaling.arrays import FloatArray
from scaling.laws.base import NATS, Constant, Law, Symbol, runs_at_all
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed


@dataclass(frozen=True)
class EncoderDecoderLaw(Law):
    """A floor plus a product of powers, of the encoder's size and of the decoder's.

        L(N_e, N_d) = E + A N_e**-alpha N_d**-beta

    After Ghorbani et al. 2021, "Scaling Laws for Neural Machine Translation", arXiv:2109.07740, who
    fit one function of both sizes jointly to runs in which either varies (their Eq. 2), with
    another exponent for each. Sizes are those of the blocks of each stack. Tokens are no input:
    the runs are of one length, or long enough that it does not matter.
    """

    E: Constant
    A: Constant
    alpha: Constant
    beta: Constant
    name: ClassVar[str] = "encoder_decoder"
    form: ClassVar[str] = "L(N_e, N_d) = E + A N_e**-alpha N_d**-beta"
    reference: ClassVar[Reference] = Reference(
        "ghorbani2021scaling",
        (
            *("Behrooz Ghorbani", "Orhan Firat", "Markus Freitag", "Ankur Bapna", "Maxim Krikun"),
            *("Xavier Garcia", "Ciprian Chelba", "Colin Cherry"),
        ),
        "Scaling Laws for Neural Machine Translation",
        2021,
        "2109.07740",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params_encoder", "params_decoder")
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": Symbol("loss that neither size removes", NATS),
        "A": Symbol("amplitude", f"{NATS} times params_encoder**alpha params_decoder**beta"),
        "alpha": Symbol("exponent of the encoder's size"),
        "beta": Symbol("exponent of the decoder's size"),
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A")
    positive: ClassVar[tuple[str, ...]] = ("E", "A")
    floor: ClassVar[str | None] = "E"

    @staticmethod
    def formula(encoder: Any, decoder: Any, E: Any, A: Any, alpha: Any, beta: Any) -> Any:  # noqa: N803
        """E + A encoder**-alpha decoder**-beta."""
        return E + A * encoder**-alpha * decoder**-beta

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Every pair of usual exponents, of which one may be nearly none."""
        exponents = (0.02, 0.1, 0.25, 0.5, 1.0)
        return crossed(alpha=exponents, beta=exponents)

    def derived(self) -> dict[str, Constant]:
        """The encoder's share of the parameters of both at which their sum does most."""
        return {"encoder_share": self.alpha / (self.alpha + self.beta)}

    @classmethod
    def example(cls) -> Self:
        """Made up."""
        return cls(E=1.2, A=60.0, alpha=0.15, beta=0.22)

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Seven sizes of each."""
        sizes = np.geomspace(1e6, 1e9, 7)
        return runs_at_all(params_encoder=sizes, params_decoder=sizes)
