"""Conditional generation: a block's target given its source, which is read and not asked for.

A decoder reads both as one sequence, the source as a prefix, and only the target's tokens count. A
family with an encoder reads the source there, and the target behind a start token. The targets are
the same, so losses of both compare. Of pairs, whose corpus says what counts, each has a source of
its own length; what fills its place in an encoder is padding, which nothing attends to.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.errors import ConfigError
from sweeps.config.rules.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.models.family import Family, View
from sweeps.objectives.base import CrossEntropyObjective

if TYPE_CHECKING:
    from torch import Tensor

    from sweeps.data.sources.base import CorpusFacts


@dataclass(frozen=True)
class Conditional(CrossEntropyObjective):
    """See Objective. Each block is split behind so many tokens; of its context + 1 tokens, those
    that follow are the target."""

    name: str = "conditional"
    view: View = "past"
    loss_kind: str = "nats_per_target_token"
    own_tokens: int = 0
    source_tokens: int = 1
    start_token: int = 0

    def suited_to(self, family: Family) -> Conditional:
        """See Objective. The start is a token of the model's own, behind those of the corpus."""
        if self.view not in family.views and "source" in family.views:
            return dataclasses.replace(self, view="source", own_tokens=1)
        return super().suited_to(family)

    def resolved(self, targets: TargetsConfig, context: int, facts: CorpusFacts) -> TargetsConfig:
        """See Objective."""
        targets.check_unused(f'is not used by objective "{self.name}"; drop it', "mask_share")
        if facts.pair_room is not None:
            targets.check_unused(
                "splits blocks of text, and each pair says where its own source ends; drop it",
                "source_tokens",
            )
            return TargetsConfig(source_tokens=facts.pair_room)
        source = targets.source_tokens or max(1, context // 2)
        if source > context:
            raise ConfigError(
                f"targets.source_tokens is {source}, and a block has model.context {context} and "
                "one token more; give fewer, so that a target is left"
            )
        if facts.sequence_targets is not None:
            raise ConfigError(
                f'objective "{self.name}" asks for all tokens behind the split, and of this '
                "data.source some (padding, say) never count; choose another of the two"
            )
        return TargetsConfig(source_tokens=source)

    def configured(self, targets: TargetsConfig | None, symbols: int) -> Conditional:
        """See Objective."""
        given = None if targets is None else targets.source_tokens
        source = given or self.source_tokens
        return dataclasses.replace(self, source_tokens=source, start_token=symbols)

    def targets_of(self, context: int) -> int:
        """See Objective."""
        return context + 1 - self.source_tokens

    def asked(self, batch: Batch, seed: int, first_step: int) -> Batch:
        """The batch as it is, with weights: the next token counts where it is the target's. With an
        encoder, the source and the target in two."""
        import torch

        if batch.weights is not None:
            return self._of_pairs(batch, batch.weights) if self.view == "source" else batch
        if self.view == "source":
            target = batch.targets[..., self.source_tokens - 1 :]
            start = torch.full_like(target[..., :1], self.start_token)
            inputs = torch.cat((start, target[..., :-1]), dim=-1)
            return Batch(inputs, target, source=batch.inputs[..., : self.source_tokens])
        weights = torch.zeros_like(batch.inputs, dtype=torch.float32)
        weights[..., self.source_tokens - 1 :] = 1
        return Batch(batch.inputs, batch.targets, weights)

    def _of_pairs(self, batch: Batch, weights: Tensor) -> Batch:
        """The blocks of pairs in two, each at the first token that counts."""
        import torch

        # the separator is the input of the first token that counts, and the last of the source
        length = batch.inputs.shape[-1]
        separator = weights.argmax(dim=-1, keepdim=True)
        places = torch.arange(self.source_tokens, device=separator.device)
        is_source = places <= separator
        source = batch.inputs.gather(-1, torch.minimum(places, separator))
        behind = separator + torch.arange(self.targets_of(length), device=separator.device)
        within = behind.clamp(max=length - 1)
        target = batch.targets.gather(-1, within)
        counts = weights.gather(-1, within) * (behind == within)
        start = torch.full_like(target[..., :1], self.start_token)
        inputs = torch.cat((start, target[..., :-1]), dim=-1)
        return Batch(inputs, target, counts, source, is_source)
