"""Next-token prediction with fixed contexts: the data of a linear model, its loss and its entropy.

A linear model gives the context with embedding h the logits W h. Its training set is then no more
than the distinct contexts, how often each occurs, and the distribution of the token after each.

Source: Thrampoulidis 2024, "Implicit optimization bias of next-token prediction in linear models",
arXiv:2402.18551, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax, xlogy

from scaling.arrays import FloatArray
from scaling.errors import FitError

_SUM_TO_ONE = 1e-9  # how far from one a distribution may add up


@dataclass(frozen=True, kw_only=True, eq=False)
class Contexts:
    """Distinct contexts with sparse distributions of the next token.

    ``embeddings`` is (m, d); ``next_token`` (m, V), the probability of each token after each
    context, zero outside its support; ``frequencies`` (m,), how often each context occurs. Raises
    FitError for what are no distributions.
    """

    embeddings: FloatArray
    next_token: FloatArray
    frequencies: FloatArray

    def __post_init__(self) -> None:
        contexts = len(self.embeddings)
        if not contexts or self.embeddings.ndim != 2 or self.next_token.ndim != 2:
            raise FitError("contexts: give embeddings (m, d) and next-token probabilities (m, V)")
        if len(self.next_token) != contexts or self.frequencies.shape != (contexts,):
            raise FitError(
                f"contexts: {contexts} embeddings, {len(self.next_token)} next-token distributions "
                f"and {self.frequencies.size} frequencies; give one of each a context"
            )
        for what, value in vars(self).items():
            if not np.isfinite(value).all():
                raise FitError(f"contexts: {what} holds a value that is no finite number")
        if not self.embeddings.any():
            raise FitError("contexts: all embeddings are zero, so no weights change any logit")
        if (self.frequencies <= 0).any() or abs(self.frequencies.sum() - 1) > _SUM_TO_ONE:
            raise FitError("contexts: frequencies must be positive and add up to one")
        off = np.abs(self.next_token.sum(axis=1) - 1) > _SUM_TO_ONE
        if (self.next_token < 0).any() or off.any():
            raise FitError("contexts: each next-token distribution must add up to one")

    @property
    def support(self) -> npt.NDArray[np.bool_]:
        """Which tokens ever follow which context, (m, V)."""
        return self.next_token > 0

    @property
    def entropy(self) -> float:
        """H, nats a token: the loss that no model of these contexts goes below."""
        return float(-self.frequencies @ xlogy(self.next_token, self.next_token).sum(axis=1))

    def excess_loss(self, weights: FloatArray) -> float:
        """CE(W) - H, nats a token, for ``weights`` (V, d); computed as the mean Kullback-Leibler
        divergence, which keeps its digits where it is small."""
        told = log_softmax(self.embeddings @ weights.T, axis=1)
        terms = xlogy(self.next_token, self.next_token) - self.next_token * told
        return float(self.frequencies @ terms.sum(axis=1))

    def gradient(self, weights: FloatArray) -> FloatArray:
        """The derivative of CE(W) in W, (V, d)."""
        off = softmax(self.embeddings @ weights.T, axis=1) - self.next_token
        gradient: FloatArray = (off * self.frequencies[:, None]).T @ self.embeddings
        return gradient

    @property
    def smoothness(self) -> float:
        """A bound L on the curvature of CE: half the largest eigenvalue of sum_j pi_j h_j h_j'.

        Gradient descent with a step of at most 1 / L never raises the loss: the Hessian of
        log-sum-exp is at most a half in norm.
        """
        scaled = self.embeddings * np.sqrt(self.frequencies)[:, None]
        return float(np.linalg.norm(scaled, 2) ** 2 / 2)


def random_contexts(
    *,
    contexts: int,
    dimensions: int,
    vocabulary: int,
    support: int,
    seed: int,
    sequences: int | None = None,
) -> Contexts:
    """Contexts with standard normal embeddings and random supports of one size.

    The probabilities inside each support are uniform on their simplex. Of a training set of so many
    ``sequences`` they are shares of counts, as in the paper's second experiment (5,000 sequences of
    50 contexts): each context comes equally often, or once more than others, each token of its
    support once after it and, the rest of the time, as those probabilities have it.
    """
    if min(contexts, dimensions) < 1:
        raise FitError(f"contexts: {contexts} contexts in {dimensions} dimensions; give 1 or more")
    if not 1 <= support <= vocabulary:
        raise FitError(f"contexts: a support of {support} of {vocabulary} tokens")
    if sequences is not None and sequences < contexts * support:
        raise FitError(
            f"contexts: {sequences} sequences; {contexts} contexts that {support} tokens follow "
            f"take {contexts * support} or more"
        )
    rng = np.random.default_rng(seed)
    next_token = np.zeros((contexts, vocabulary))
    for row in next_token:
        row[rng.choice(vocabulary, support, replace=False)] = rng.dirichlet(np.ones(support))
    embeddings = rng.standard_normal((contexts, dimensions))
    frequencies = np.full(contexts, 1 / contexts)
    if sequences is not None:
        often = sequences // contexts + (np.arange(contexts) < sequences % contexts)
        seen = (next_token > 0) + rng.multinomial(often - support, next_token)
        next_token, frequencies = seen / often[:, None], often / sequences
    return Contexts(embeddings=embeddings, next_token=next_token, frequencies=frequencies)


def contexts_in_the_plane(*, entropy: float = 0.8811, seed: int = 0) -> Contexts:
    """Three contexts in two dimensions, five tokens, supports of three, of a stated entropy.

    The setting of figures 1 and 2 of Thrampoulidis 2024: token 3 follows one context alone, each of
    the others follows two, and tokens 4 and 5 the same two. The paper prints the entropy and
    neither embeddings nor probabilities: our contexts lie on the unit circle, 100, 120 and 140
    degrees apart, and our probabilities are drawn, and brought to ``entropy`` nats a token, below
    ln 3, by one common power.
    """
    supports = ((0, 1, 2), (0, 3, 4), (1, 3, 4))
    rng = np.random.default_rng(seed)
    logs = np.full((3, 5), -np.inf)
    for row, support in zip(logs, supports, strict=True):
        row[list(support)] = np.log(rng.dirichlet(np.ones(3)))
    angles = np.radians([90, 190, 310])

    def at(power: float) -> Contexts:
        return Contexts(
            embeddings=np.stack([np.cos(angles), np.sin(angles)], axis=1),
            next_token=softmax(power * logs, axis=1),
            frequencies=np.full(3, 1 / 3),
        )

    if not 0 < entropy < np.log(3):
        raise FitError(f"contexts: an entropy of {entropy:g}; give one between 0 and ln 3")
    return at(brentq(lambda power: at(power).entropy - entropy, 1e-6, 1e3))


def contexts_of_tokens(
    embeddings: FloatArray, keys: Sequence[object], tokens: Sequence[int]
) -> Contexts:
    """The contexts of a corpus: position i has the context ``keys[i]`` with ``embeddings[i]`` and
    is followed by ``tokens[i]``; positions of one key are one context with their mean embedding.
    """
    if not len(embeddings) == len(keys) == len(tokens) > 0:
        raise FitError("contexts: give one embedding, one key and one next token a position")
    number: dict[object, int] = {}
    which = np.array([number.setdefault(key, len(number)) for key in keys])
    counts = np.zeros((len(number), max(tokens) + 1))
    np.add.at(counts, (which, np.asarray(tokens)), 1)
    sums = np.zeros((len(number), embeddings.shape[1]))
    np.add.at(sums, which, embeddings)
    seen = counts.sum(axis=1)
    return Contexts(
        embeddings=sums / seen[:, None],
        next_token=counts / seen[:, None],
        frequencies=seen / seen.sum(),
    )
