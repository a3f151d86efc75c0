"""What a stack of runs reads, step by step, and what it is measured on: as their objective asks."""

from collections.abc import Sequence

import torch

from sweeps.data.batch import Batch
from sweeps.data.sources.base import Corpus
from sweeps.objectives.base import Objective
from sweeps.planning.run_plan import RunPlan

_VALIDATION_SEED = 0


def batches_of(
    runs: Sequence[RunPlan],
    corpus: Corpus,
    first: int,
    last: int,
    device: torch.device | str = "cpu",
) -> Batch:
    """(steps, runs, sequences, length) What the runs read in the steps first to last - 1."""
    objective, count = runs[0].asks, runs[0].settings.batch_sequences
    seeds = [run.seed for run in runs]
    found = corpus.batches_of_seeds(seeds, first, last, count, device)
    batches = [
        objective.asked(batch, seed, first) for batch, seed in zip(found, seeds, strict=True)
    ]
    return Batch.stacked(batches, dim=1).normalised()


def batch_of(runs: Sequence[RunPlan], corpus: Corpus, step: int) -> Batch:
    """(runs, sequences, length) What the runs read in one step."""
    return batches_of(runs, corpus, step, step + 1).unbind()[0]


def validation_of(corpus: Corpus, objective: Objective, sequences: int | None = None) -> Batch:
    """(sequences, length) What the objective measures: the whole validation set, or about so many
    of its sequences, evenly spaced."""
    held = corpus.validation
    if sequences is not None:
        stride = max(1, held.sequences // sequences)
        held = held.mapped(lambda part: part[::stride])
    asked = objective.asked(held.mapped(lambda part: part[None]), _VALIDATION_SEED, 0)
    return asked.normalised().unbind()[0]
