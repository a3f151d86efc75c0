"""First-order optimisers that train a linear next-token model on all its contexts at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.studies.contexts import Contexts
from scaling.arrays import FloatArray

_TINY = np.finfo(float).tiny

Update = Callable[[FloatArray], FloatArray]
"""From the gradient to the change of the weights; it may remember earlier gradients."""


@dataclass(frozen=True)
class Optimiser:
    """A rule of change by name. ``start`` gives a fresh rule for one training."""

    name: str
    start: Callable[[], Update]


def gradient_descent(step: float) -> Optimiser:
    """W <- W - step * gradient."""
    return Optimiser("gradient descent", lambda: lambda gradient: -step * gradient)


def normalised_gradient_descent(step: float) -> Optimiser:
    """W <- W - step * gradient / its Frobenius norm."""

    def start() -> Update:
        return lambda gradient: -step * gradient / max(np.linalg.norm(gradient), _TINY)

    return Optimiser("normalised gradient descent", start)


def adam(
    step: float, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
) -> Optimiser:
    """Adam with bias correction (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1)."""

    def start() -> Update:
        mean: FloatArray = np.zeros(())
        square: FloatArray = np.zeros(())
        taken = 0

        def update(gradient: FloatArray) -> FloatArray:
            nonlocal mean, square, taken
            taken += 1
            mean = betas[0] * mean + (1 - betas[0]) * gradient
            square = betas[1] * square + (1 - betas[1]) * gradient**2
            root = np.sqrt(square / (1 - betas[1] ** taken))
            change: FloatArray = -step * (mean / (1 - betas[0] ** taken)) / (root + epsilon)
            return change

        return update

    return Optimiser("Adam", start)


def descend(
    contexts: Contexts,
    optimiser: Optimiser,
    *,
    at: Sequence[int],
    start: FloatArray | None = None,
) -> Iterator[tuple[int, FloatArray]]:
    """Train from ``start`` (V, d), by default zero, and give the weights after each of the steps
    ``at``, which rise."""
    weights = np.zeros((contexts.next_token.shape[1], contexts.embeddings.shape[1]))
    if start is not None:
        weights += start
    update, taken = optimiser.start(), 0
    for step in at:
        for _ in range(step - taken):
            weights += update(contexts.gradient(weights))
        taken = step
        yield step, weights.copy()
