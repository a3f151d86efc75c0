"""The loss on the validation set, replica by replica."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sweeps.config.launch import ValidationConfig
from sweeps.data.batch import Batch
from sweeps.data.sources.base import Corpus
from sweeps.models.stacked import StackModel
from sweeps.objectives.base import Objective
from sweeps.planning.run_plan import RunPlan
from sweeps.training.batches import validation_of
from sweeps.training.devices.memory import free_memory, is_out_of_memory

_EVALUATION_SEQUENCES = 64  # a batch of the validation set, at most
_FEWEST_SEQUENCES = 8  # of a measurement while a run trains: fewer tell nothing


@torch.no_grad()
def stack_losses(
    model: StackModel,
    corpus: Corpus,
    objective: Objective,
    on_batch: Callable[[], None] = lambda: None,
    *,
    sequences: int | None = None,
    at_once: int | None = None,
    notes: list[str] | None = None,
) -> Tensor:
    """(replicas, validation sequences) The loss of each sequence, whose mean is the validation
    loss; `on_batch` is called after every batch.

    `sequences` measures about so many, evenly spaced. Where targets have weights, sequences count
    by theirs: the loss is a ratio of sums, and each gets what its share of both makes of it, so
    that the spread of these numbers is the spread of the ratio.

    On a GPU no more than `at_once` sequences of each replica are measured together: as many as a
    training step holds, which keeps more of each. Where memory does not suffice even so, half of
    them, and half again; `notes` is told.
    """
    held = validation_of(corpus, objective, sequences)
    size, parts, first = sequences_at_once(model.device, at_once), [], 0
    while first < held.sequences:
        found = _measured(model, objective, held, first, size)
        if found is None:
            size = _fewer(size, notes)
            continue
        parts.append(found)
        first += size
        on_batch()
    losses = torch.cat(parts, dim=1).double().cpu()
    if held.weights is None:
        return losses
    mean, shares = losses.mean(dim=1, keepdim=True), held.weights.double().mean(dim=1)
    return mean + losses - mean * shares.cpu()


def sequences_at_once(device: torch.device, most: int | None) -> int:
    """Sequences of a replica that are measured together. On a CPU always as many: sums of other
    sizes may be other sums."""
    if device.type == "cpu" or most is None:
        return _EVALUATION_SEQUENCES
    return min(_EVALUATION_SEQUENCES, most)


def _measured(
    model: StackModel, objective: Objective, held: Batch, first: int, size: int
) -> Tensor | None:
    """(replicas, sequences) Losses of so many sequences; None where memory does not suffice."""
    try:
        part = held.mapped(lambda whole: whole[first : first + size]).to(model.device)
        there = part.mapped(lambda one: one.expand(model.replicas, -1, -1))
        return objective.sequence_losses(model, there)
    except RuntimeError as error:
        if not is_out_of_memory(error) or size == 1:
            raise
        return None


def _fewer(size: int, notes: list[str] | None) -> int:
    free_memory()
    after = (size + 1) // 2
    if notes is not None:
        notes.append(f"out of memory: measured on {after} sequences at once after {size}")
    return after


def evaluate_stack(
    model: StackModel,
    corpus: Corpus,
    objective: Objective,
    on_batch: Callable[[], None] = lambda: None,
    *,
    at_once: int | None = None,
    notes: list[str] | None = None,
) -> list[tuple[float, float]]:
    """Each replica's validation loss, and its standard error over sequences.

    Tokens of one sequence are not independent, so sequences are what is counted. `at_once`,
    `notes`: as in `stack_losses`.
    """
    losses = stack_losses(model, corpus, objective, on_batch, at_once=at_once, notes=notes)
    return [_mean_and_error(row) for row in losses]


def evaluate(model: StackModel, corpus: Corpus, objective: Objective) -> tuple[float, float]:
    """Validation loss and its standard error, for a stack of one."""
    return evaluate_stack(model, corpus, objective)[0]


def sequences_while_training(plan: RunPlan, validation: ValidationConfig, held: int) -> int:
    """How many of the ``held`` validation sequences a run is measured on each time while it trains,
    for at most its share of the FLOP; 0: it is not measured."""
    if not validation.evaluations:
        return 0
    trained = plan.settings.steps * plan.settings.batch_sequences
    count = min(held, int(3 * validation.cost * trained / validation.evaluations))
    return count if count >= min(_FEWEST_SEQUENCES, held) else 0


def evaluation_flops(plan: RunPlan) -> int:
    """FLOP of the final measurement, which are no training FLOP: a forward pass is a third."""
    return plan.shape.flops_per_sequence() * plan.data.validation_sequences // 3


def _mean_and_error(losses: Tensor) -> tuple[float, float]:
    stderr = losses.std() / math.sqrt(len(losses)) if len(losses) > 1 else torch.tensor(math.nan)
    return float(losses.mean()), float(stderr)
