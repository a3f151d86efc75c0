"""How many parameters an encoder-decoder has, and FLOP, from its shape alone."""

from dataclasses import dataclass

from scaling.compute import FlopConvention
from scaling.errors import ConfigError
from scaling.shape import TransformerSizes


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderShape(TransformerSizes):
    """Two stacks of `depth` blocks each: an encoder of a block's source, and a decoder of the rest
    of its context + 1 tokens, whose blocks attend to the encoder, too."""

    source_tokens: int
    """Tokens that the encoder reads."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no transformer, and sources that leave no target."""
        super().__post_init__()
        if not 1 <= self.source_tokens <= self.context:
            raise ConfigError(
                f"source_tokens is {self.source_tokens}; of a block of {self.context + 1} tokens "
                f"it is from 1 to {self.context}, so that a target is left"
            )

    @property
    def targets(self) -> int:
        """Positions of the decoder in a sequence; each has a target."""
        return self.context + 1 - self.source_tokens

    @property
    def params_attention(self) -> int:
        """The encoder's, the decoder's, and those between them."""
        return 3 * super().params_attention

    @property
    def params_mlp(self) -> int:
        """Of both stacks."""
        return 2 * super().params_mlp

    def flops_per_sequence(self, convention: FlopConvention = FlopConvention.CAUSAL) -> int:
        """FLOP to train on one source and its target, forward and backward.

        Keys and values of the source are computed once a decoder block; a causal mask hides pairs
        of the decoder alone.
        """
        source, target = self.source_tokens, self.targets
        stack = (super().params_attention + super().params_mlp) // self.depth
        between = 2 * self.width**2  # of the source: keys and values; of the target: the other two
        blocks = 6 * self.depth * (source + target) * (stack + between)
        if convention is FlopConvention.KAPLAN:
            return blocks
        standard = blocks + 6 * target * self.vocab_size * self.width
        if convention is FlopConvention.STANDARD:
            return standard
        shown = source * (source + target)
        # Scores and their weighted sum: 2 products of 2 FLOP, x 3 for forward and backward.
        if convention is FlopConvention.CAUSAL:
            pairs = 2 * shown + target * (target + 1)
            return standard + 6 * pairs * self.width * self.depth
        pairs = shown + target * target
        full = standard + 12 * pairs * self.width * self.depth
        if convention is FlopConvention.FULL:
            return full
        softmax = 9 * self.heads * pairs * self.depth
        return full + 6 * (source + target) * self.params_embedding + softmax

    def facts(self) -> dict[str, float | int | str | bool]:
        """The columns of the records table that the shape decides."""
        return super().facts() | {"source_tokens": self.source_tokens}
