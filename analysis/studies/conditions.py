"""When a linear next-token model can reach the entropy of its contexts, decided with proofs.

Two conditions (Thrampoulidis 2024, arXiv:2402.18551, definitions 1 to 3). *Compatible*: some W has
logit differences inside each support equal to the log-ratios of the probabilities. *Separable*:
some W has equal logits inside each support and, there, each logit at least one above all others
outside. Where both hold the loss has no minimum, and falls to the entropy along W* + g W^mm as g
grows: W* is the compatible solution of least norm, W^mm the separating one.

Both are linear in W. We state them in the space of matrices whose rows lie in the span of the
embeddings, which holds W* and W^mm, and solve the second inside the complement of F, the span of
the first one's equations, so that its equalities hold by construction.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import nnls

from analysis.studies.contexts import Contexts
from scaling.arrays import FloatArray
from scaling.errors import FitError

MOST_UNKNOWNS = 5000  # dense linear algebra of so many takes a minute
_RANK = 1e-10  # of the largest singular value: below it a direction counts as none
_PROOF = 1e-7  # what a certificate may miss its equations by, relative to their size


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """What the contexts allow, with what proves it.

    ``compatible_weights`` (V, d) is W*, or None where the equations contradict each other; then
    ``incompatible_by`` combines them to 0 = 1. ``separating_weights`` (V, d) is W^mm, or None where
    there is none; then ``inseparable_by`` are non-negative multipliers, adding up to one, that
    combine the inequalities to 0 >= 1. Each was put back into the conditions and found to hold.
    """

    compatible_weights: FloatArray | None
    incompatible_by: FloatArray | None
    separating_weights: FloatArray | None
    inseparable_by: FloatArray | None
    span: "Span"

    @property
    def is_compatible(self) -> bool:
        """Whether W* exists."""
        return self.compatible_weights is not None

    @property
    def is_separable(self) -> bool:
        """Whether W^mm exists."""
        return self.separating_weights is not None

    @property
    def reaches_entropy(self) -> bool:
        """Whether the loss can come as close to the entropy as one likes."""
        return self.is_compatible and self.is_separable


@dataclass(frozen=True, eq=False)
class Span:
    """F and its complement, for matrices (V, d) with rows in the span of the embeddings."""

    contexts: Contexts

    @cached_property
    def axes(self) -> FloatArray:
        """An orthonormal basis (r, d) of the span of the embeddings."""
        _, values, rows = np.linalg.svd(self.contexts.embeddings, full_matrices=False)
        return np.asarray(rows[values > _RANK * values[0]], dtype=float)

    @property
    def size(self) -> int:
        """V r: the entries of a matrix in the coordinates of ``axes``."""
        return int(self.contexts.next_token.shape[1]) * len(self.axes)

    @cached_property
    def inside(self) -> FloatArray:
        """One row (V r) a pair of tokens in one support: their difference at its context."""
        return self._rows(self._pairs_inside)

    @cached_property
    def outside(self) -> FloatArray:
        """One row (V r) a token outside a support: how far the support lies above it."""
        support = self.contexts.support
        pairs = [(j, int(np.argmax(support[j])), int(z)) for j, z in np.argwhere(~support)]
        return self._rows(pairs)

    @cached_property
    def log_ratios(self) -> FloatArray:
        """What the rows of ``inside`` have to come to: ln(p_z / p_z')."""
        log = np.log(np.where(self.contexts.support, self.contexts.next_token, 1.0))
        return np.array([log[j, z] - log[j, other] for j, z, other in self._pairs_inside])

    @cached_property
    def bases(self) -> tuple[FloatArray, FloatArray]:
        """Orthonormal columns (V r, .) that span F, and its complement."""
        if not len(self.inside):
            return np.zeros((self.size, 0)), np.eye(self.size)
        _, values, rows = np.linalg.svd(self.inside, full_matrices=True)
        rank = int((values > _RANK * values[0]).sum())
        return rows[:rank].T, rows[rank:].T

    def on_f(self, weights: FloatArray) -> FloatArray:
        """The part of (V, d) ``weights`` in F, as a vector."""
        basis = self.bases[0]
        part: FloatArray = basis @ (basis.T @ self.vector(weights))
        return part

    def vector(self, weights: FloatArray) -> FloatArray:
        """The coordinates (V r) of ``weights`` (V, d)."""
        return (weights @ self.axes.T).ravel()

    def matrix(self, vector: FloatArray) -> FloatArray:
        """The weights (V, d) of these coordinates (V r)."""
        return vector.reshape(-1, len(self.axes)) @ self.axes

    @cached_property
    def _pairs_inside(self) -> list[tuple[int, int, int]]:
        pairs = []
        for j, row in enumerate(self.contexts.support):
            first, *others = np.flatnonzero(row)
            pairs += [(j, int(first), int(other)) for other in others]
        return pairs

    def _rows(self, pairs: list[tuple[int, int, int]]) -> FloatArray:
        """Rows (e_z - e_z') h_j' over W's entries, for pairs (j, z, z')."""
        coordinates = self.contexts.embeddings @ self.axes.T
        rows = np.zeros((len(pairs), self.size // len(self.axes), len(self.axes)))
        for row, (j, z, other) in zip(rows, pairs, strict=True):
            row[z] += coordinates[j]
            row[other] -= coordinates[j]
        return rows.reshape(len(pairs), self.size)


def decide(contexts: Contexts) -> Conditions:
    """Whether the entropy of these contexts can be reached, with W*, W^mm or why there is none.

    W^mm is the separating matrix of least norm, solved as a least-distance problem by non-negative
    least squares (Lawson & Hanson 1974, "Solving least squares problems", chapter 23), whose
    residual is zero exactly where there is none, and then is the certificate. Raises FitError where
    rounding leaves it open.
    """
    span = Span(contexts)
    if span.size > MOST_UNKNOWNS:
        raise FitError(
            f"contexts: {span.size:,} unknowns, tokens times the rank of the embeddings; the "
            f"conditions are decided for up to {MOST_UNKNOWNS:,}: give fewer tokens or dimensions"
        )
    compatible, contradiction = _compatible(span)
    separating, combination = _separating(span)
    return Conditions(
        compatible_weights=compatible,
        incompatible_by=contradiction,
        separating_weights=separating,
        inseparable_by=combination,
        span=span,
    )


def _compatible(span: Span) -> tuple[FloatArray | None, FloatArray | None]:
    rows, wanted = span.inside, span.log_ratios
    if not len(rows):
        return span.matrix(np.zeros(span.size)), None
    found = np.asarray(np.linalg.lstsq(rows, wanted, rcond=_RANK)[0], dtype=float)
    left = wanted - rows @ found
    if np.abs(left).max() <= _PROOF * max(1.0, np.abs(wanted).max()):
        return span.matrix(found), None
    proof = left / (left @ wanted)  # combines the rows to zero, and what they should be to one
    if np.abs(proof @ rows).max() > _PROOF * np.abs(proof).max() * np.abs(rows).max():
        raise FitError("contexts: rounding leaves open whether they are compatible")
    return None, proof


def _separating(span: Span) -> tuple[FloatArray | None, FloatArray | None]:
    free = span.bases[1]
    rows = span.outside @ free
    if not len(rows):  # each token follows each context: no logit has to grow
        return span.matrix(np.zeros(span.size)), None
    sizes = np.linalg.norm(span.outside, axis=1)
    scaled = rows / sizes[:, None]
    goal = np.append(np.zeros(scaled.shape[1]), 1.0)
    least = np.vstack([scaled.T, 1 / sizes])
    multipliers, _ = nnls(least, goal, maxiter=50 * least.shape[1])
    missed = goal - least @ multipliers
    if missed[-1] > _PROOF:
        found: FloatArray = missed[:-1] / -missed[-1]
        if (rows @ found).min() >= 1 - _PROOF * max(1.0, float(np.abs(found).max())):
            return span.matrix(free @ found), None
    proof = multipliers / sizes
    proof /= proof.sum()
    if np.abs(proof @ rows).max() > _PROOF * np.abs(span.outside).max():
        raise FitError("contexts: rounding leaves open whether they are separable")
    return None, proof
