"""Cross-entropy of a batch's targets, each counting as its weight says: what objectives share."""

from typing import Any

import torch
from torch import Tensor

from sweeps.data.batch import Batch
from sweeps.models.stacked import StackModel


def training_loss(model: StackModel, batch: Batch, z_loss: float) -> tuple[Tensor, Tensor]:
    """What is minimised, summed over replicas, and each replica's cross-entropy in nats.

    batch: (replicas, sequences, length), its weights of mean 1 over the whole that it is part of.
    """
    losses, log_partition = token_losses(model(*batch.seen), batch.targets.flatten(1))
    squares = log_partition.square()
    if batch.weights is not None:
        weights = batch.weights.flatten(1)
        losses, squares = losses * weights, squares * weights
    loss = losses.mean(dim=1)
    return (loss + z_loss * squares.mean(dim=1)).sum(), loss.detach()


def sequence_losses(model: StackModel, batch: Batch) -> Tensor:
    """(replicas, sequences) Mean nats per target of each; by weights of mean 1, what each adds to
    the mean over all."""
    losses, _ = token_losses(model(*batch.seen), batch.targets.flatten(1))
    losses = losses.view(batch.targets.shape)
    return (losses if batch.weights is None else losses * batch.weights).mean(dim=-1)


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        log_probabilities = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
        places = targets.unsqueeze(-1)
        chosen = log_probabilities.gather(-1, places)
        log_partition = logits.gather(-1, places) - chosen
        ctx.save_for_backward(log_probabilities, places)
        ctx.dtype = logits.dtype
        return -chosen.squeeze(-1), log_partition.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        of_loss, of_partition = gradients
        log_probabilities, places = ctx.saved_tensors
        gradient = log_probabilities.exp().mul_((of_loss + of_partition).unsqueeze(-1))
        gradient.scatter_add_(-1, places, -of_loss.unsqueeze(-1))
        return gradient.to(ctx.dtype), None


def token_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each target in nats, and the log-partition behind it, in float32.

    logits: (replicas, positions, vocabulary), targets: (replicas, positions) -> both as targets.
    """
    losses, log_partition = _TokenLosses.apply(logits, targets)
    return losses, log_partition
