"""Next-token prediction: the loss of each target given all tokens before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeps.data.batch import Batch
from sweeps.models.family import View

if TYPE_CHECKING:
    from torch import Tensor

    from sweeps.models.stacked import StackModel


@dataclass(frozen=True)
class Causal:
    """See Objective. A corpus' batches ask for the next token already."""

    name: str = "causal"
    view: View = "past"
    loss_kind: str = "nats_per_token"

    def asked(self, batch: Batch, seed: int, first_step: int) -> Batch:
        """The batch as it is."""
        return batch

    def training_loss(
        self, model: StackModel, batch: Batch, z_loss: float
    ) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy over targets, in nats."""
        from sweeps.objectives.cross_entropy import training_loss

        return training_loss(model, batch, z_loss)

    def sequence_losses(self, model: StackModel, batch: Batch) -> Tensor:
        """(replicas, sequences) Mean nats per target of each."""
        from sweeps.objectives.cross_entropy import sequence_losses

        return sequence_losses(model, batch)
