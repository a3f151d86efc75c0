"""The loss on the validation set, replica by replica."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from scaling.compute import flops_per_token
from sweeps.data.corpus import Corpus
from sweeps.models.transformer import Decoder
from sweeps.objectives.causal import token_losses
from sweeps.planning.run_plan import RunPlan

_EVALUATION_SEQUENCES = 64  # a batch of the validation set


@torch.no_grad()
def stack_losses(
    model: Decoder, corpus: Corpus, on_batch: Callable[[], None] = lambda: None
) -> Tensor:
    """(replicas, validation sequences) Mean nats per token of each sequence."""
    device = model.device
    sequences = torch.from_numpy(corpus.validation).long()
    parts = []
    for batch in sequences.split(_EVALUATION_SEQUENCES):
        tokens = batch.to(device).expand(model.replicas, -1, -1)
        losses, _ = token_losses(model(tokens[..., :-1]), tokens[..., 1:].flatten(1))
        parts.append(losses.view(model.replicas, len(batch), -1).mean(dim=2))
        on_batch()
    return torch.cat(parts, dim=1).double().cpu()


def sequence_losses(model: Decoder, corpus: Corpus) -> Tensor:
    """(validation sequences,) Mean nats per token of each, for a stack of one."""
    return stack_losses(model, corpus)[0]


def evaluate_stack(
    model: Decoder, corpus: Corpus, on_batch: Callable[[], None] = lambda: None
) -> list[tuple[float, float]]:
    """Each replica's validation loss in nats per token, and its standard error over sequences.

    Tokens of one sequence are not independent, so sequences are what is counted. `on_batch` is
    called after every batch.
    """
    return [_mean_and_error(losses) for losses in stack_losses(model, corpus, on_batch)]


def evaluate(model: Decoder, corpus: Corpus) -> tuple[float, float]:
    """Validation loss and its standard error, for a stack of one."""
    return evaluate_stack(model, corpus)[0]


def evaluation_flops(plan: RunPlan) -> int:
    """FLOP of the final measurement, which are no training FLOP: a forward pass is a third."""
    tokens = plan.data.validation_sequences * plan.shape.context
    return flops_per_token(plan.shape) * tokens // 3


def _mean_and_error(losses: Tensor) -> tuple[float, float]:
    stderr = losses.std() / math.sqrt(len(losses)) if len(losses) > 1 else torch.tensor(math.nan)
    return float(losses.mean()), float(stderr)
