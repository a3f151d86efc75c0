"""The family `encoder_decoder/1`, as a plan sees it; `stack` says what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling.errors import ConfigError
from sweeps.config.model import ModelConfig
from sweeps.models.encoder_decoder.shape import EncoderDecoderShape
from sweeps.models.family import Ability, ModelOptions, ModelSizes, View

if TYPE_CHECKING:
    import torch

    from sweeps.models.encoder_decoder.stack import EncoderDecoder
    from sweeps.models.stacked import ShardedModel


@dataclass(frozen=True)
class EncoderDecoderFamily:
    """See Family."""

    name: str = "encoder_decoder/1"
    views: frozenset[View] = frozenset({"source"})
    can: frozenset[Ability] = frozenset({"depth", "encoder_depth", "compile", "continue"})
    recipe_note: str = (
        "the rules for width and depth hold by their argument (a branch counts as one over the "
        "blocks of its own stack; the optimizer's epsilon goes by the decoder's), those for batch "
        "and tokens were measured on the decoder alone: have health.check_learning_rate see"
    )

    def shape(self, model: ModelConfig, sizes: ModelSizes) -> EncoderDecoderShape:
        """See Family."""
        if sizes.source_tokens is None:
            raise ConfigError(f'model.family "{self.name}" needs a source; give source_tokens')
        return EncoderDecoderShape(
            width=sizes.width,
            depth=sizes.depth,
            head_size=model.head_size,
            context=model.context,
            vocab_size=sizes.vocab_size,
            mlp=model.mlp,
            tied_head=model.tied_head,
            source_tokens=sizes.source_tokens,
            encoder_blocks=None if sizes.encoder_depth == sizes.depth else sizes.encoder_depth,
        )

    def build(
        self, shape: EncoderDecoderShape, seeds: Sequence[int], options: ModelOptions
    ) -> EncoderDecoder:
        """See Family."""
        from sweeps.models.encoder_decoder.stack import EncoderDecoder

        return EncoderDecoder(shape, seeds, options)

    def build_sharded(
        self, shape: Any, seed: int, options: ModelOptions, device: torch.device
    ) -> ShardedModel:
        """Never asked: it cannot."""
        raise NotImplementedError(f"{self.name} lies whole on every device")
