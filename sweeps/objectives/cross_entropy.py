"""Cross-entropy of a batch's targets, each counting as its weight says: what objectives share."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from sweeps.data.batch import Batch
from sweeps.models.kernels.fused import here, ops
from sweeps.models.stacked import StackModel


def training_loss(model: StackModel, batch: Batch, z_loss: float) -> tuple[Tensor, Tensor]:
    """What is minimised, summed over replicas, and each replica's cross-entropy in nats.

    batch: (replicas, sequences, length), its weights of mean 1 over the whole that it is part of.
    """
    logits, targets = model(*batch.seen), batch.targets.flatten(1)
    losses, log_partition = token_losses(logits, targets, fused=model.fused.loss)
    squares = log_partition.square()
    if batch.weights is not None:
        weights = batch.weights.flatten(1)
        losses, squares = losses * weights, squares * weights
    loss = losses.mean(dim=1)
    return (loss + z_loss * squares.mean(dim=1)).sum(), loss.detach()


def sequence_losses(model: StackModel, batch: Batch) -> Tensor:
    """(replicas, sequences) Mean nats per target of each; by weights of mean 1, what each adds to
    the mean over all."""
    logits, targets = model(*batch.seen), batch.targets.flatten(1)
    losses, _ = token_losses(logits, targets, fused=model.fused.loss)
    losses = losses.view(batch.targets.shape)
    return (losses if batch.weights is None else losses * batch.weights).mean(dim=-1)


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, fused: bool) -> tuple[Tensor, Tensor]:
        ctx.fused = here(fused, logits) and _rows_are_even(logits)
        if ctx.fused:
            losses, log_partition = ops.cross_entropy(logits, targets)
            ctx.save_for_backward(logits, targets, log_partition)
            return losses, log_partition
        wide = torch.promote_types(logits.dtype, torch.float32)
        log_probabilities = torch.log_softmax(logits, dim=-1, dtype=wide)
        places = targets.unsqueeze(-1)
        chosen = log_probabilities.gather(-1, places)
        log_partition = logits.gather(-1, places) - chosen
        ctx.save_for_backward(log_probabilities, places)
        ctx.dtype = logits.dtype
        return -chosen.squeeze(-1), log_partition.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        of_loss, of_partition = gradients
        if ctx.fused:
            logits, targets, log_partition = ctx.saved_tensors
            ops.cross_entropy_backward_(logits, targets, log_partition, of_loss, of_partition)
            increment_version(logits)  # who asks for these gradients again is refused
            return logits, None, None
        log_probabilities, places = ctx.saved_tensors
        gradient = log_probabilities.exp().mul_((of_loss + of_partition).unsqueeze(-1))
        # Along one axis: of several PyTorch's deterministic way asks the host, and no CUDA graph
        # may. Every place is its own, so that nothing is added twice.
        symbols = gradient.shape[-1]
        rows = torch.arange(places.numel(), device=places.device) * symbols
        gradient.view(-1).scatter_add_(0, rows + places.reshape(-1), -of_loss.reshape(-1))
        return gradient.to(ctx.dtype), None, None


def _rows_are_even(logits: Tensor) -> bool:
    """Whether one stride leads from row to row, as a kernel goes through them."""
    replicas, positions, step = logits.shape[0], logits.shape[1], logits.stride(1)
    return logits.stride(2) == 1 and (replicas == 1 or logits.stride(0) == positions * step)


def token_losses(logits: Tensor, targets: Tensor, *, fused: bool = False) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each target in nats, and the log-partition behind it, in float32 at least.

    logits: (replicas, positions, vocabulary), targets: (replicas, positions) -> both as targets.
    `fused`: by one kernel each way where the device has it; the backward then overwrites the logits
    by their gradient.
    """
    losses, log_partition = _TokenLosses.apply(logits, targets, fused)
    return losses, log_partition
