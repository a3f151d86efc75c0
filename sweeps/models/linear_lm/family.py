"""The linear language model `linear_lm/1`, as a plan sees it; `stack` says what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling.errors import ConfigError
from sweeps.config.model import ModelConfig
from sweeps.models.family import Ability, ModelOptions, ModelSizes, View
from sweeps.models.linear_lm.shape import LinearShape

if TYPE_CHECKING:
    import torch

    from sweeps.models.linear_lm.stack import LinearStack
    from sweeps.models.stacked import ShardedModel


@dataclass(frozen=True)
class LinearFamily:
    """See Family."""

    name: str = "linear_lm/1"
    views: frozenset[View] = frozenset({"past"})
    can: frozenset[Ability] = frozenset({"continue"})
    recipe_note: str = (
        "the learning rate's rule for width holds by its argument (an embedding, and a head that "
        "starts at zero); those for batch and tokens were measured on the decoder alone, depth and "
        "weight decay do not apply: have health.check_learning_rate see"
    )

    def shape(self, model: ModelConfig, sizes: ModelSizes) -> LinearShape:
        """See Family."""
        model.check_unused(
            f'is not used by model.family "{self.name}"; leave it out',
            *("head_size", "rotary_base", "mlp", "tied_head"),
        )
        if sizes.depth != 1:
            raise ConfigError(
                f'depth is {sizes.depth}; model.family "{self.name}" has no blocks, give 1'
            )
        return LinearShape(width=sizes.width, context=model.context, vocab_size=sizes.vocab_size)

    def build(self, shape: LinearShape, seeds: Sequence[int], options: ModelOptions) -> LinearStack:
        """See Family."""
        from sweeps.models.linear_lm.stack import LinearStack

        return LinearStack(shape, seeds, options)

    def build_sharded(
        self, shape: Any, seed: int, options: ModelOptions, device: torch.device
    ) -> ShardedModel:
        """Never asked: it cannot."""
        raise NotImplementedError(f"{self.name} lies whole on every device")
