"""How many parameters an encoder-decoder has, and FLOP, from its shape alone."""

from dataclasses import dataclass

from scaling.compute import FlopConvention
from scaling.errors import ConfigError
from scaling.shape import TransformerSizes


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderShape(TransformerSizes):
    """Two stacks of blocks: an encoder of a block's source, and a decoder of the rest of its
    context + 1 tokens, of `depth` blocks that attend to the encoder, too."""

    source_tokens: int
    """Tokens that the encoder reads."""
    encoder_blocks: int | None = None
    """Blocks of the encoder. None: as many as the decoder's."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no transformer, and sources that leave no target."""
        super().__post_init__()
        if not 1 <= self.source_tokens <= self.context:
            raise ConfigError(
                f"source_tokens is {self.source_tokens}; of a block of {self.context + 1} tokens "
                f"it is from 1 to {self.context}, so that a target is left"
            )
        if self.encoder_depth < 1:
            raise ConfigError(f"encoder_depth is {self.encoder_depth}; a model needs at least 1")

    @property
    def encoder_depth(self) -> int:
        """Blocks of the encoder."""
        return self.depth if self.encoder_blocks is None else self.encoder_blocks

    @property
    def targets(self) -> int:
        """Positions of the decoder in a sequence; each has a target."""
        return self.context + 1 - self.source_tokens

    @property
    def params_encoder(self) -> int:
        """The encoder's blocks: attention and MLP."""
        return self.encoder_depth * (self._attention + self._mlp)

    @property
    def params_decoder(self) -> int:
        """The decoder's blocks: attention to itself and to the encoder, and MLP."""
        return self.depth * (2 * self._attention + self._mlp)

    @property
    def params_attention(self) -> int:
        """The encoder's, the decoder's, and those between them."""
        return self._attention * (self.encoder_depth + 2 * self.depth)

    @property
    def params_mlp(self) -> int:
        """Of both stacks."""
        return self._mlp * (self.encoder_depth + self.depth)

    @property
    def _attention(self) -> int:
        """Parameters of one attention of one block."""
        return super().params_attention // self.depth

    @property
    def _mlp(self) -> int:
        """Parameters of the MLP of one block."""
        return super().params_mlp // self.depth

    def flops_per_sequence(self, convention: FlopConvention = FlopConvention.CAUSAL) -> int:
        """FLOP to train on one source and its target, forward and backward.

        Keys and values of the source are computed once a decoder block; a causal mask hides pairs
        of the decoder alone.
        """
        source, target = self.source_tokens, self.targets
        of_memory = 2 * self.width**2 * self.depth  # keys and values, which the source goes through
        blocks = 6 * (
            source * (self.params_encoder + of_memory) + target * (self.params_decoder - of_memory)
        )
        if convention is FlopConvention.KAPLAN:
            return blocks
        standard = blocks + 6 * target * self.vocab_size * self.width
        if convention is FlopConvention.STANDARD:
            return standard
        # Scores and their weighted sum: 2 products of 2 FLOP, x 3 for forward and backward.
        shown = self.encoder_depth * source**2 + self.depth * source * target
        if convention is FlopConvention.CAUSAL:
            pairs = 2 * shown + self.depth * target * (target + 1)
            return standard + 6 * pairs * self.width
        pairs = shown + self.depth * target**2
        full = standard + 12 * pairs * self.width
        if convention is FlopConvention.FULL:
            return full
        return full + 6 * (source + target) * self.params_embedding + 9 * self.heads * pairs

    def facts(self) -> dict[str, float | int | str | bool]:
        """The columns of the records table that the shape decides."""
        names = ("encoder_depth", "params_encoder", "params_decoder", "source_tokens")
        return super().facts() | {name: getattr(self, name) for name in names}
