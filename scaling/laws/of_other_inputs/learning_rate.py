"""A law of size, data, learning rate and batch size, with an optimum between their ends."""

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
    OF_SIZE,
    Bounds,
    Constant,
    Law,
    Prior,
    Symbol,
    runs_at_all,
)
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, crossed

_FEWEST_CELLS = 4  # of size and tokens, to tell how an optimum moves with both


@dataclass(frozen=True)
class LearningRateAndBatch(Law):
    """Chinchilla, and what a learning rate and a batch away from their best values add.

        L(N, D, e, b) = E + A N**-alpha + B D**-beta
                        + R (ln e - r - p ln N - q ln D)**2 + S (ln b - s - u ln D)**2

    The best learning rate exp(r) N**p D**q and the best batch exp(s) D**u are powers as in Li et
    al. 2025, "Predictable Scale: Part I, Step Law", arXiv:2503.04715; the squares, and that both
    losses add, are ours. Batches are in tokens.
    """

    E: Constant
    A: Constant
    B: Constant
    R: Constant
    S: Constant
    alpha: Constant
    beta: Constant
    r: Constant
    p: Constant
    q: Constant
    s: Constant
    u: Constant
    name: ClassVar[str] = "learning_rate_and_batch"
    form: ClassVar[str] = (
        "L(N, D, e, b) = E + A N**-alpha + B D**-beta + R (ln e - r - p ln N - q ln D)**2 "
        "+ S (ln b - s - u ln D)**2"
    )
    reference: ClassVar[Reference] = Reference(
        "li2025predictable",
        ("Houyi Li", "others"),
        "Predictable Scale: Part I, Step Law",
        2025,
        "2503.04715",
    )
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens", "learning_rate", "batch_tokens")
    not_falling: ClassVar[tuple[str, ...]] = inputs  # the best rate moves with size and tokens
    symbols: ClassVar[Mapping[str, Symbol]] = {
        "E": FLOOR,
        "A": OF_SIZE,
        "B": OF_DATA,
        "R": Symbol("loss at a learning rate e times the best one", NATS),
        "S": Symbol("loss at a batch e times the best one", NATS),
        "alpha": ALPHA,
        "beta": BETA,
        "r": Symbol("ln of the best learning rate at one parameter and one token"),
        "p": Symbol("exponent of size in the best learning rate"),
        "q": Symbol("exponent of tokens in the best learning rate"),
        "s": Symbol("ln of the best batch at one token"),
        "u": Symbol("exponent of tokens in the best batch"),
    }
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "B", "R", "S")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B", "R", "S")
    floor: ClassVar[str | None] = "E"
    own_bounds: ClassVar[Mapping[str, Bounds]] = {
        "r": (-60.0, 60.0),
        "s": (-60.0, 60.0),
        "p": (-3.0, 3.0),
        "q": (-3.0, 3.0),
        "u": (-3.0, 3.0),
    }
    own_priors: ClassVar[Mapping[str, Prior]] = {
        "r": (0.0, 20.0),
        "s": (0.0, 20.0),
        "p": (-0.5, 0.5),
        "q": (0.3, 0.5),
        "u": (0.5, 0.5),
    }

    @staticmethod
    def formula(n: Any, d: Any, rate: Any, batch: Any, *constants: Any) -> Any:
        """See the class; constants in their order."""
        floor, a, b, r_gap, s_gap, alpha, beta, r, p, q, s, u = constants
        log_n, log_d = np.log(n), np.log(d)
        off = np.log(rate) - r - p * log_n - q * log_d
        off_batch = np.log(batch) - s - u * log_d
        powers = a * np.exp(-alpha * log_n) + b * np.exp(-beta * log_d)
        return floor + powers + r_gap * off**2 + s_gap * off_batch**2

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Usual exponents; optima from the best run at each size and number of tokens."""
        n, d, rate, batch = (np.log(v) for v in inputs)
        cells = np.unique(np.round(np.column_stack([n, d]), 6), axis=0, return_inverse=True)[1]
        cells = cells.reshape(-1)
        best = np.array(
            [np.flatnonzero(cells == c)[loss[cells == c].argmin()] for c in np.unique(cells)]
        )
        r, p, q = _plane(rate[best], n[best], d[best])
        s, u = _plane(batch[best], d[best])
        grid = crossed(alpha=[0.15, 0.3, 0.5], beta=[0.15, 0.3, 0.5], moves=[0.0, 1.0])
        moves = grid.pop("moves")
        middle, of_batch = float(rate[best].mean()), float(batch[best].mean())
        grid |= {"p": p * moves, "q": q * moves, "u": u * moves}
        grid["r"] = np.where(moves > 0, r, middle)
        grid["s"] = np.where(moves > 0, s, of_batch)
        return grid

    def derived(self) -> dict[str, Constant]:
        """The best learning rate and batch at a thousand million parameters and 2e10 tokens."""
        log_n, log_d = np.log(1e9), np.log(2e10)
        return {
            "best_rate_at_1e9_params_2e10_tokens": np.exp(self.r + self.p * log_n + self.q * log_d),
            "best_batch_at_2e10_tokens": np.exp(self.s + self.u * log_d),
        }

    @classmethod
    def example(cls) -> Self:
        """Optima of Li et al. 2025, with losses of Hoffmann et al. 2022; R and S made up."""
        return cls(
            E=1.69,
            A=406.4,
            B=410.7,
            R=0.02,
            S=0.01,
            alpha=0.34,
            beta=0.28,
            r=float(np.log(1.79)),
            p=-0.713,
            q=0.307,
            s=float(np.log(0.58)),
            u=0.571,
        )

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Four rates and batches at every one of nine sizes and numbers of tokens."""
        return runs_at_all(
            params=np.geomspace(1e8, 1e9, 3),
            tokens=np.geomspace(2e9, 5e10, 3),
            learning_rate=np.geomspace(2.5e-4, 8e-3, 4),
            batch_tokens=np.geomspace(6e4, 2e6, 4),
        )


def _plane(values: FloatArray, *logs: FloatArray) -> tuple[float, ...]:
    """The constant and the slopes of least squares; no slopes where too few cells tell them."""
    if len(values) < _FEWEST_CELLS or any(np.ptp(x) == 0 for x in logs):
        return (float(values.mean()), *(0.0 for _ in logs))
    design = np.column_stack([np.ones(len(values)), *logs])
    return tuple(map(float, np.linalg.lstsq(design, values, rcond=None)[0]))
