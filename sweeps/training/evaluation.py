"""The loss on the validation set, replica by replica."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sweeps.data.sources.base import Corpus
from sweeps.models.stacked import StackModel
from sweeps.objectives.base import Objective
from sweeps.planning.run_plan import RunPlan
from sweeps.training.batches import validation_of

_EVALUATION_SEQUENCES = 64  # a batch of the validation set


@torch.no_grad()
def stack_losses(
    model: StackModel,
    corpus: Corpus,
    objective: Objective,
    on_batch: Callable[[], None] = lambda: None,
    *,
    sequences: int | None = None,
) -> Tensor:
    """(replicas, validation sequences) The loss of each sequence, whose mean is the validation
    loss; `on_batch` is called after every batch.

    `sequences` measures about so many, evenly spaced. Where targets have weights, sequences count
    by theirs: the loss is a ratio of sums, and each gets what its share of both makes of it, so
    that the spread of these numbers is the spread of the ratio.
    """
    held = validation_of(corpus, objective, sequences)
    parts = []
    for batch in held.split(_EVALUATION_SEQUENCES):
        there = batch.to(model.device).mapped(lambda part: part.expand(model.replicas, -1, -1))
        parts.append(objective.sequence_losses(model, there))
        on_batch()
    losses = torch.cat(parts, dim=1).double().cpu()
    if held.weights is None:
        return losses
    mean, shares = losses.mean(dim=1, keepdim=True), held.weights.double().mean(dim=1)
    return mean + losses - mean * shares.cpu()


def evaluate_stack(
    model: StackModel,
    corpus: Corpus,
    objective: Objective,
    on_batch: Callable[[], None] = lambda: None,
) -> list[tuple[float, float]]:
    """Each replica's validation loss, and its standard error over sequences.

    Tokens of one sequence are not independent, so sequences are what is counted.
    """
    return [_mean_and_error(losses) for losses in stack_losses(model, corpus, objective, on_batch)]


def evaluate(model: StackModel, corpus: Corpus, objective: Objective) -> tuple[float, float]:
    """Validation loss and its standard error, for a stack of one."""
    return evaluate_stack(model, corpus, objective)[0]


def evaluation_flops(plan: RunPlan) -> int:
    """FLOP of the final measurement, which are no training FLOP: a forward pass is a third."""
    return plan.shape.flops_per_sequence() * plan.data.validation_sequences // 3


def _mean_and_error(losses: Tensor) -> tuple[float, float]:
    stderr = losses.std() / math.sqrt(len(losses)) if len(losses) > 1 else torch.tensor(math.nan)
    return float(losses.mean()), float(stderr)
