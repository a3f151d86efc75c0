"""What an objective says: what is asked of a batch, what is minimised, and what is measured.

`tests/conformance/objective.py` holds what every objective keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sweeps.data.batch import Batch
from sweeps.models.family import View

if TYPE_CHECKING:
    from torch import Tensor

    from sweeps.models.stacked import StackModel


class Objective(Protocol):
    """What training minimises."""

    @property
    def name(self) -> str:
        """Part of a run's identity."""

    @property
    def view(self) -> View:
        """What a position may see of the inputs, without knowing its target."""

    @property
    def loss_kind(self) -> str:
        """What its loss is, as the records say it: no law is fitted to losses of two kinds."""

    def asked(self, batch: Batch, seed: int, first_step: int) -> Batch:
        """What it asks of a corpus' batch (steps, sequences, length), whose first step is
        `first_step`: a pure function of the seed and of each step's number."""

    def training_loss(
        self, model: StackModel, batch: Batch, z_loss: float
    ) -> tuple[Tensor, Tensor]:
        """What is minimised, summed over replicas, and each replica's own loss without z-loss,
        (replicas,). The batch: (replicas, sequences, length), its weights of mean 1."""

    def sequence_losses(self, model: StackModel, batch: Batch) -> Tensor:
        """(replicas, sequences) Of each sequence, whose mean is the loss."""
