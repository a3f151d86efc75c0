"""Conditional generation: a block's target given its source, which is read and not asked for.

A decoder reads both as one sequence, the source as a prefix, and only the target's tokens count.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from scaling.errors import ConfigError
from sweeps.config.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.models.family import View
from sweeps.objectives.base import CrossEntropyObjective


@dataclass(frozen=True)
class Conditional(CrossEntropyObjective):
    """See Objective. Each block is split behind so many tokens; of its context + 1 tokens, those
    that follow are the target."""

    name: str = "conditional"
    view: View = "past"
    loss_kind: str = "nats_per_target_token"
    source_tokens: int = 1

    def resolved(
        self, targets: TargetsConfig, context: int, counted: float | None = None
    ) -> TargetsConfig:
        """See Objective."""
        targets.check_unused(f'is not used by objective "{self.name}"; drop it', "mask_share")
        source = targets.source_tokens or max(1, context // 2)
        if source > context:
            raise ConfigError(
                f"targets.source_tokens is {source}, and a block has model.context {context} and "
                "one token more; give fewer, so that a target is left"
            )
        if counted is not None:
            raise ConfigError(
                f'objective "{self.name}" asks for all tokens behind the split, and of this '
                "data.source some (padding, say) never count; choose another of the two"
            )
        return TargetsConfig(source_tokens=source)

    def configured(self, targets: TargetsConfig | None, symbols: int) -> Conditional:
        """See Objective."""
        given = None if targets is None else targets.source_tokens
        return dataclasses.replace(self, source_tokens=given or self.source_tokens)

    def targets_of(self, context: int) -> int:
        """See Objective."""
        return context + 1 - self.source_tokens

    def asked(self, batch: Batch, seed: int, first_step: int) -> Batch:
        """The batch as it is, with weights: the next token counts where it is the target's."""
        import torch

        weights = torch.zeros_like(batch.inputs, dtype=torch.float32)
        weights[..., self.source_tokens - 1 :] = 1
        return Batch(batch.inputs, batch.targets, weights)
