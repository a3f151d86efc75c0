"""Next-token prediction: the loss of each target given all tokens before it."""

from typing import Any

import torch
from torch import Tensor

from sweeps.models.transformer import Decoder


def training_loss(model: Decoder, batch: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
    """What is minimised, summed over replicas, and each replica's cross-entropy in nats.

    batch: (replicas, sequences, context + 1)
    """
    targets = batch[..., 1:].flatten(1)
    losses, log_partition = token_losses(model(batch[..., :-1]), targets)
    loss = losses.mean(dim=1)
    objective = loss + z_loss * log_partition.square().mean(dim=1)
    return objective.sum(), loss.detach()


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
