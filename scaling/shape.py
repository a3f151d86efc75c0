"""How many parameters a transformer has, group by group, and FLOP, from its shape alone.

Transformers here have no biases, position tables or norm gains, so that every parameter is an entry
of a matrix and the counts below are exact. Tests hold them against the tensors of the PyTorch
models.
"""

from dataclasses import dataclass

from scaling.compute import FlopConvention
from scaling.errors import ConfigError

MLPS = ("relu2", "swiglu")


@dataclass(frozen=True, kw_only=True)
class TransformerSizes:
    """What every family of transformers has in common, and the counts of one stack of blocks."""

    width: int
    """Entries of the residual stream; a multiple of `head_size`."""
    depth: int
    """Blocks of a stack, each of attention and an MLP."""
    head_size: int
    """Entries of one attention head; constant within a study, so that width changes the number of
    heads alone."""
    context: int
    """Tokens of a sequence, and the longest distance that attention reaches over."""
    vocab_size: int
    """Symbols of the tokenizer."""
    mlp: str = "relu2"
    """relu2: two matrices around a squared ReLU; swiglu: a third one that gates."""
    tied_head: bool = False
    """Whether the head is the embedding, transposed."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no transformer."""
        for name in ("width", "depth", "head_size", "context", "vocab_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; a model needs at least 1")
        check_width(self.width, self.head_size)
        if self.mlp not in MLPS:
            raise ConfigError(f'mlp is "{self.mlp}"; choose one of {", ".join(MLPS)}')

    @property
    def heads(self) -> int:
        """Attention heads in a block."""
        return self.width // self.head_size

    @property
    def mlp_width(self) -> int:
        """Hidden entries of a block's MLP: four times the width; gated, the multiple of eight
        nearest to 8/3 of it, which comes to the same number of parameters."""
        if self.mlp == "swiglu":
            return max(8, 8 * round(self.width / 3))
        return 4 * self.width

    @property
    def mlp_inputs(self) -> int:
        """Matrices that lead into a block's MLP."""
        return 2 if self.mlp == "swiglu" else 1

    @property
    def params_embedding(self) -> int:
        """The table that turns a token into its vector: looked up, never multiplied."""
        return self.vocab_size * self.width

    @property
    def params_attention(self) -> int:
        """Query, key, value and output matrices of all blocks."""
        return 4 * self.width**2 * self.depth

    @property
    def params_mlp(self) -> int:
        """The matrices of every block's MLP."""
        return (self.mlp_inputs + 1) * self.width * self.mlp_width * self.depth

    @property
    def params_norm(self) -> int:
        """None: the norms of this family have no gain."""
        return 0

    @property
    def params_head(self) -> int:
        """The matrix that turns the last vector into logits; none of its own if it is tied."""
        return 0 if self.tied_head else self.vocab_size * self.width

    @property
    def params_blocks(self) -> int:
        """Everything between embedding and head: Kaplan's N."""
        return self.params_attention + self.params_mlp + self.params_norm

    @property
    def params_matmul(self) -> int:
        """Every parameter that a token is multiplied with: blocks and head (tied or not), without
        the looking up of the embedding."""
        return self.params_blocks + self.vocab_size * self.width

    @property
    def params(self) -> int:
        """Every trainable parameter: Hoffmann's N."""
        return self.params_embedding + self.params_blocks + self.params_head

    def facts(self) -> dict[str, float | int | str | bool]:
        """The columns of the records table that the shape decides."""
        return {
            "params": self.params,
            "params_embedding": self.params_embedding,
            "params_head": self.params_head,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "context": self.context,
            "vocab_size": self.vocab_size,
            "mlp": self.mlp,
            "mlp_width": self.mlp_width,
            "tied_head": self.tied_head,
        }


@dataclass(frozen=True, kw_only=True)
class TransformerShape(TransformerSizes):
    """The numbers that fix a decoder-only transformer, and its FLOP."""

    bidirectional: bool | None = None
    """True: every position attends to all of the sequence. None: to itself and those before it."""

    def flops_per_token(self, convention: FlopConvention = FlopConvention.CAUSAL) -> int:
        """FLOP to train on one token, forward and backward."""
        if convention is FlopConvention.KAPLAN:
            return 6 * self.params_blocks
        standard = 6 * self.params_matmul
        if convention is FlopConvention.STANDARD:
            return standard
        # Scores and their weighted sum: 2 products of 2 FLOP, x 3 for forward and backward, for
        # each key, block and width entry.
        if convention is FlopConvention.CAUSAL and not self.bidirectional:
            return standard + 6 * (self.context + 1) * self.width * self.depth
        full = standard + 12 * self.context * self.width * self.depth
        if convention in (FlopConvention.CAUSAL, FlopConvention.FULL):
            return full
        softmax = 9 * self.heads * self.context * self.depth
        return full + 6 * self.params_embedding + softmax

    def flops_per_sequence(self, convention: FlopConvention = FlopConvention.CAUSAL) -> int:
        """FLOP to train on a whole sequence."""
        return self.context * self.flops_per_token(convention)


def check_width(width: int, head_size: int) -> None:
    """Raise ConfigError unless `width` splits into whole heads of `head_size`."""
    if width % head_size:
        below = width // head_size * head_size
        choices = " or ".join(str(fit) for fit in (below, below + head_size) if fit)
        raise ConfigError(
            f"width {width} does not divide into heads of {head_size}; choose {choices}, "
            "or another model.head_size"
        )
