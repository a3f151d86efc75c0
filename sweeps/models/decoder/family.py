"""The decoder-only family `slt-dec/1`, as a plan sees it; `stack` says what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling.shape import TransformerShape
from sweeps.config.model import ModelConfig
from sweeps.models.family import Ability, ModelOptions, ModelSizes, View

if TYPE_CHECKING:
    import torch

    from sweeps.models.decoder.sharded import ShardedTransformer
    from sweeps.models.decoder.stack import Transformer


@dataclass(frozen=True)
class DecoderFamily:
    """See Family."""

    name: str = "slt-dec/1"
    views: frozenset[View] = frozenset({"past", "both"})
    can: frozenset[Ability] = frozenset({"depth", "compile", "shard", "continue"})
    recipe_note: str = ""

    def shape(self, model: ModelConfig, sizes: ModelSizes) -> TransformerShape:
        """See Family."""
        return TransformerShape(
            width=sizes.width,
            depth=sizes.depth,
            head_size=model.head_size,
            context=model.context,
            vocab_size=sizes.vocab_size,
            mlp=model.mlp,
            tied_head=model.tied_head,
            bidirectional=True if sizes.view == "both" else None,
        )

    def build(
        self, shape: TransformerShape, seeds: Sequence[int], options: ModelOptions
    ) -> Transformer:
        """See Family."""
        from sweeps.models.decoder.stack import Transformer

        return Transformer(shape, seeds, **_options(options))

    def build_sharded(
        self, shape: TransformerShape, seed: int, options: ModelOptions, device: torch.device
    ) -> ShardedTransformer:
        """See Family."""
        from sweeps.models.decoder.sharded import ShardedTransformer

        return ShardedTransformer(shape, seed, device=device, **_options(options))


def _options(options: ModelOptions) -> dict[str, Any]:
    import torch

    return {
        "residual_scale": options.residual_scale,
        "tied_logit_factor": options.tied_logit_factor,
        "rotary_base": options.rotary_base,
        "compute_dtype": torch.bfloat16 if options.precision == "bf16" else torch.float32,
        "used_vocab_size": options.used_vocab_size,
    }
