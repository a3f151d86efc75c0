"""How many parameters a linear language model has, and FLOP, from its shape alone."""

from dataclasses import dataclass

from scaling.compute import FlopConvention


@dataclass(frozen=True, kw_only=True)
class LinearShape:
    """An embedding of this width, and a head on the mean of what a position sees."""

    width: int
    """Entries of an embedding: the rank of the logits. From the vocabulary on, any table."""
    context: int
    """Tokens of a sequence, and the most that a mean is taken over; at 1 the model is a bigram
    table."""
    vocab_size: int

    @property
    def depth(self) -> int:
        """No blocks: 1."""
        return 1

    @property
    def params_embedding(self) -> int:
        """A vector a token."""
        return self.vocab_size * self.width

    @property
    def params_head(self) -> int:
        """From the mean to the logits."""
        return self.vocab_size * self.width

    @property
    def params_matmul(self) -> int:
        """The head: there is nothing else."""
        return self.params_head

    @property
    def params(self) -> int:
        """Both matrices."""
        return self.params_embedding + self.params_head

    def flops_per_sequence(self, convention: FlopConvention = FlopConvention.CAUSAL) -> int:
        """FLOP to train on a sequence, forward and backward.

        The mean is attention with equal scores: one product of weights (no parameters, so the
        backward pass has one product, too) and embeddings.
        """
        if convention is FlopConvention.KAPLAN:
            return 0  # no blocks
        standard = 6 * self.params_matmul * self.context
        if convention is FlopConvention.STANDARD:
            return standard
        if convention is FlopConvention.CAUSAL:
            return standard + 2 * self.context * (self.context + 1) * self.width
        full = standard + 4 * self.context**2 * self.width
        if convention is FlopConvention.FULL:
            return full
        return full + 6 * self.params_embedding * self.context

    def facts(self) -> dict[str, float | int | str | bool]:
        """The columns of the records table that the shape decides."""
        names = ("params", "params_embedding", "params_head", "width", "depth", "context")
        return {name: getattr(self, name) for name in (*names, "vocab_size")}
