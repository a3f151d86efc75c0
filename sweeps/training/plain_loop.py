"""Training without a Trainer: a stack of runs in a loop that can be read at a glance.

Checks compare the Trainer with it, and small experiments (learning-rate transfer) run on it, on a
CPU: runs of one shape, batch and length, each with its own settings and seed, trained at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sweeps.config.data import DataConfig
from sweeps.config.sweep import Grid, SweepConfig
from sweeps.data.batch import Batch
from sweeps.data.sources.base import Corpus
from sweeps.models.stacked import StackedWeights
from sweeps.planning.plan import plan_sweep
from sweeps.planning.run_plan import RunPlan
from sweeps.training.batches import batch_of
from sweeps.training.evaluation import stack_losses
from sweeps.training.stack import build_model, build_optimizer


@dataclass(frozen=True, kw_only=True)
class PlainRuns:
    """What a stack of runs measured, run by run in the order in which they were given."""

    losses: Tensor
    """(steps, runs) Training loss of each step, nats per token."""
    gradient_norms: Tensor
    """(steps, runs) Before clipping."""
    sequence_losses: Tensor
    """(runs, sequences) Validation loss of each sequence; NaN where a run diverged."""
    weights: Tensor
    """(runs, parameters) As trained."""

    @property
    def validation_losses(self) -> Tensor:
        """(runs,) Mean over the validation sequences, nats per token."""
        return self.sequence_losses.mean(dim=1)


def planned_for(
    config: SweepConfig,
    *,
    width: int,
    depth: int,
    tokens: float,
    seed: int = 1,
    data: DataConfig | None = None,
) -> RunPlan:
    """The run that the config's recipe makes of this shape and horizon, on the config's data or on
    the given."""
    grid = Grid(width=(width,), depth=(depth,), tokens=(tokens,), seed=(seed,))
    return plan_sweep(config.of_runs(grid, data)).runs[0]


def train_plainly(
    plans: Sequence[RunPlan],
    corpus: Corpus,
    *,
    steps: int | None = None,
    sequences: int | None = None,
    device: torch.device | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> PlainRuns:
    """Train runs of one shape, batch and length together, to their end or for the first `steps`.

    `sequences` measures on that many of the validation sequences, evenly spaced, instead of all.
    `device` is the CPU by default; `on_step` is called after every step.
    """
    model = build_model(*plans).to(device or torch.device("cpu"))
    optimizer = build_optimizer(model, *plans)
    total = plans[0].settings.steps if steps is None else steps
    losses, norms = torch.empty(total, len(plans)), torch.empty(total, len(plans))
    for step in range(total):
        batch = batch_of(plans, corpus, step).to(model.device)
        losses[step] = backward(plans[0], model, batch)
        assert model.weights.grad is not None, "backward leaves a gradient"
        norms[step] = torch.linalg.vector_norm(model.weights.grad, dim=1)
        optimizer.step()
        on_step()
    return PlainRuns(
        losses=losses,
        gradient_norms=norms,
        sequence_losses=stack_losses(model, corpus, plans[0].asks, sequences=sequences),
        weights=model.whole_weights(),
    )


def backward(plan: RunPlan, model: StackedWeights, batch: Batch) -> Tensor:
    """Leave each run's gradient in the weights; (runs,) its mean loss."""
    objective = plan.asks
    total, losses = objective.training_loss(model, batch, plan.settings.z_loss)
    total.backward()
    return losses
