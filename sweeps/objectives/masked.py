"""Masked-token prediction: hidden tokens, each given all that are not hidden, on both sides.

Devlin et al. 2019 (arXiv:1810.04805), with one difference: a hidden token is always replaced by the
mask, never kept or drawn at random.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.errors import ConfigError
from sweeps.config.rules.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.data.sources.philox import philox, seed_key
from sweeps.models.family import View
from sweeps.objectives.base import CrossEntropyObjective

if TYPE_CHECKING:
    from torch import Tensor

    from sweeps.data.sources.base import CorpusFacts

_SHARE = 0.15
_DRAW = 2  # domain of the random words: sources draw sequences in 0 and 1
_LAST = 1 << 32  # above every word


@dataclass(frozen=True)
class Masked(CrossEntropyObjective):
    """See Objective. The mask is one token of the model's own, behind those of the corpus."""

    name: str = "masked"
    view: View = "both"
    loss_kind: str = "nats_per_masked_token"
    own_tokens: int = 1
    share: float = _SHARE
    mask_token: int = 0

    def resolved(self, targets: TargetsConfig, context: int, facts: CorpusFacts) -> TargetsConfig:
        """See Objective."""
        self.check_no_pairs(facts)
        targets.check_unused(f'is not used by objective "{self.name}"; drop it', "source_tokens")
        if facts.sequence_targets is not None and facts.sequence_targets <= 1:
            raise ConfigError(
                f'objective "{self.name}" hides what counts of the tokens read, and of this '
                "data.source that is none; choose another of the two"
            )
        share = _SHARE if targets.mask_share is None else targets.mask_share
        if _hidden_of(share, context) >= context:
            raise ConfigError(
                f"targets.mask_share {share:g} hides every token of model.context {context}; give "
                "a smaller share or a longer context"
            )
        return TargetsConfig(mask_share=share)

    def configured(self, targets: TargetsConfig | None, symbols: int) -> Masked:
        """See Objective."""
        share = self.share if targets is None else targets.mask_share or self.share
        return dataclasses.replace(self, share=share, mask_token=symbols)

    def targets_of(self, context: int) -> int:
        """See Objective."""
        return _hidden_of(self.share, context)

    def asked(self, batch: Batch, seed: int, first_step: int) -> Batch:
        """As many tokens of every sequence hidden as the share says, chosen by seed, step and the
        sequence's place in it, and asked for."""
        import torch

        words = self._words(batch.inputs, seed, first_step)
        if batch.weights is None:
            counts, asked = torch.ones_like(words, dtype=torch.float32), None
        else:  # a token counts as the target that it was; the start of a sentence is none
            before = torch.zeros_like(batch.weights[..., :1])
            counts = asked = torch.cat((before, batch.weights[..., :-1]), dim=-1)
        real = counts > 0
        most = (real.sum(dim=-1, keepdim=True).double() * self.share).round().clamp(min=1)
        order = words.masked_fill(~real, _LAST).argsort(dim=-1, stable=True)
        hidden = (order.argsort(dim=-1) < most) & real
        weights = hidden.float() if asked is None else hidden * asked
        return Batch(batch.inputs.masked_fill(hidden, self.mask_token), batch.inputs, weights)

    def _words(self, tokens: Tensor, seed: int, first_step: int) -> Tensor:
        """(steps, sequences, length) A random word a position; the smallest are hidden."""
        import torch

        steps, sequences, length = (
            torch.arange(size, device=tokens.device) for size in tokens.shape
        )
        counter = (length, sequences[:, None], first_step + steps[:, None, None], _DRAW)
        return philox(counter, seed_key(seed))[0].expand(tokens.shape)


def _hidden_of(share: float, context: int) -> int:
    return max(1, round(share * context))
