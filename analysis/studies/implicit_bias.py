"""Where training takes a linear next-token model whose loss has no minimum, beside the theory.

Theorem 2 of Thrampoulidis 2024 (arXiv:2402.18551): where contexts are compatible and separable,
gradient descent brings the loss to the entropy, its weights grow without bound in the direction of
W^mm, and their part in F comes to W*. It is a theorem of gradient descent. Normalised gradient
descent and Adam are followed beside it; nothing proves that Adam's direction is W^mm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.display import DrawnResult
from analysis.studies.conditions import Conditions, decide
from analysis.studies.contexts import Contexts
from analysis.studies.descent import (
    Optimiser,
    adam,
    descend,
    gradient_descent,
    normalised_gradient_descent,
)
from scaling.arrays import FloatArray
from scaling.errors import ConfigError
from scaling.limits import Limit, LimitCode

if TYPE_CHECKING:
    from pandas import DataFrame

_A_DECADE = 8  # points at which a training is looked at, a decade of steps


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """One optimiser's weights W after some steps, held against the theory."""

    optimiser: str
    step: int  # 0: weights that were not trained here
    excess_loss: float  # CE(W) - H, nats a token
    norm: float  # of W, Frobenius
    cosine: float | None  # of W to W^mm
    cosine_beyond: float | None  # of W - W* to W^mm
    distance_in_f: float | None  # of W's part in F to W*, as a share of W*'s norm


@dataclass(frozen=True, kw_only=True, repr=False)
class ImplicitBias(DrawnResult):
    """What the contexts allow, and how far each optimiser came."""

    entropy: float  # nats a token
    contexts: int
    dimensions: int
    vocabulary: int
    is_compatible: bool
    is_separable: bool
    waypoints: tuple[Waypoint, ...]
    limits: tuple[Limit, ...] = ()

    @property
    def last(self) -> tuple[Waypoint, ...]:
        """Where each optimiser ended."""
        return tuple({point.optimiser: point for point in self.waypoints}.values())

    def to_frame(self) -> "DataFrame":
        """One row a waypoint."""
        import pandas as pd

        return pd.DataFrame([asdict(point) for point in self.waypoints])


def study_implicit_bias(
    contexts: Contexts,
    *,
    steps: int = 10_000,
    optimisers: Sequence[Optimiser] | None = None,
    start: FloatArray | None = None,
    beside: Mapping[str, FloatArray] | None = None,
) -> ImplicitBias:
    """Train a linear model on ``contexts`` by each of ``optimisers`` and hold it against W*, W^mm.

    By default gradient descent with the largest step that never raises the loss, 1 / L but at most
    .5, and normalised gradient descent and Adam (second moment .99) with .01, as in the paper's
    appendix A.2, each over ``steps`` from ``start`` (V, d) or from zero. Weights ``beside`` them
    (V, d), such as the head of the model that made the contexts, are held against the theory too,
    as a waypoint of step 0 under their name. Where a condition fails the loss alone is followed,
    and ``limits`` says which.
    """
    if steps < 1:
        raise ConfigError(f"steps: {steps}; give 1 or more")
    shape = (contexts.next_token.shape[1], contexts.embeddings.shape[1])
    if start is not None and start.shape != shape:
        raise ConfigError(
            f"start: weights of {start.shape}; these contexts take {shape}, tokens by dimensions"
        )
    conditions = decide(contexts)
    if optimisers is None:
        largest = min(0.5, 1 / max(contexts.smoothness, np.finfo(float).tiny))
        optimisers = (
            gradient_descent(largest),
            normalised_gradient_descent(0.01),
            adam(0.01, betas=(0.9, 0.99)),
        )
    at = sorted({round(step) for step in np.geomspace(1, steps, _points(steps))})
    waypoints = [
        _waypoint(optimiser.name, step, weights, conditions, contexts)
        for optimiser in optimisers
        for step, weights in descend(contexts, optimiser, at=at, start=start)
    ]
    waypoints += [
        _waypoint(name, 0, weights, conditions, contexts)
        for name, weights in (beside or {}).items()
    ]
    return ImplicitBias(
        entropy=contexts.entropy,
        contexts=len(contexts.embeddings),
        dimensions=shape[1],
        vocabulary=shape[0],
        is_compatible=conditions.is_compatible,
        is_separable=conditions.is_separable,
        waypoints=tuple(waypoints),
        limits=_limits(conditions),
    )


def _points(steps: int) -> int:
    return 1 + round(_A_DECADE * math.log10(steps))


def _waypoint(
    optimiser: str, step: int, weights: FloatArray, conditions: Conditions, contexts: Contexts
) -> Waypoint:
    finite, margin = conditions.compatible_weights, conditions.separating_weights
    span = conditions.span
    distance = None
    if finite is not None and (size := np.linalg.norm(finite)):
        distance = float(np.linalg.norm(span.on_f(weights) - span.vector(finite)) / size)
    return Waypoint(
        optimiser=optimiser,
        step=step,
        excess_loss=contexts.excess_loss(weights),
        norm=float(np.linalg.norm(weights)),
        cosine=_cosine(weights, margin),
        cosine_beyond=None if finite is None else _cosine(weights - finite, margin),
        distance_in_f=distance,
    )


def _cosine(weights: FloatArray, direction: FloatArray | None) -> float | None:
    if direction is None:
        return None
    sizes = np.linalg.norm(weights) * np.linalg.norm(direction)
    return float((weights * direction).sum() / sizes) if sizes else None


def _limits(conditions: Conditions) -> tuple[Limit, ...]:
    limits = []
    if not conditions.is_compatible:
        text = (
            "these contexts are not compatible: no weights give each support its probabilities, so "
            "there is no W*, and the loss stays above the entropy"
        )
        limits.append(Limit(LimitCode.NO_ANSWER, text))
    if not conditions.is_separable:
        text = (
            "these contexts are not separable: no direction lifts each support above the rest, so "
            "there is no W^mm, and the loss stays above the entropy"
        )
        limits.append(Limit(LimitCode.NO_ANSWER, text))
    elif not np.any(conditions.separating_weights):
        text = "each token follows each context: no logit has to grow, and there is no direction"
        limits.append(Limit(LimitCode.NO_ANSWER, text))
    return tuple(limits)
