"""Next-token prediction: the loss of each target given all tokens before it."""

from __future__ import annotations

from dataclasses import dataclass

from sweeps.data.batch import Batch
from sweeps.models.family import View
from sweeps.objectives.base import CrossEntropyObjective


@dataclass(frozen=True)
class Causal(CrossEntropyObjective):
    """See Objective. A corpus' batches ask for the next token already."""

    name: str = "causal"
    view: View = "past"
    loss_kind: str = "nats_per_token"

    def asked(self, batch: Batch, seed: int, first_step: int) -> Batch:
        """The batch as it is."""
        return batch
