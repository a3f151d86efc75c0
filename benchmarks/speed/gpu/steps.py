"""Our training step on a GPU: trained for its losses, or made ready to be timed."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.gpu.stage import Stage
from benchmarks.speed.steps.stepper import (
    Stepper,
    kernels_on,
    step_of,
    step_seconds,
    stepper_of,
    timed,
)
from scaling.shape import TransformerShape
from sweeps.data.batch import Batch
from sweeps.models.kernels.fused import ALL, PLAIN, Fused
from sweeps.training.step import Step


def trained(
    shape: TransformerShape,
    replicas: int,
    steps: int,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    sequences: int = 8,
    micro: int | None = None,
    graph: bool = False,
    fused: Fused = PLAIN,
    compiled: bool = False,
    spoil: int | None = None,
) -> tuple[Tensor, Step]:
    """(steps, replicas) Losses of our step on tokens that are the same on every device; in the step
    `spoil` the first replica is ruined."""
    model, step = step_of(
        shape,
        replicas,
        sequences,
        device,
        dtype,
        fused=fused,
        compiled=compiled,
        graph=graph,
        micro_sequences=micro,
        warmup_steps=2,
    )
    generator = torch.Generator().manual_seed(0)
    line = torch.randint(shape.vocab_size, (1, sequences, 33), generator=generator)  # learnable
    text = line.repeat(replicas, 1, 2 + (shape.context + 8) // 33)
    losses = []
    for number in range(steps):
        if spoil is not None and number == spoil:
            with torch.no_grad():
                model.weights[0].fill_(float("nan"))
        windows = text[..., number % 7 :][..., : shape.context + 1].to(device)
        losses.append(step(Batch.of_windows(windows)).float().cpu().clone())
    return torch.stack(losses), step


def gpu_stepper(
    stage: Stage, shape: TransformerShape, replicas: int, sequences: int, form: str, **options: Any
) -> Stepper:
    """Our step in a form: with fused kernels, plain, or compiled; bfloat16 on a GPU."""
    fused = {"fused": ALL, "plain": PLAIN, "compiled": Fused(loss=has_kernels(stage))}[form]
    device, dtype = torch.device(stage.device), torch.bfloat16 if stage.on_gpu else torch.float32
    return stepper_of(
        shape, replicas, sequences, device, form == "compiled", dtype, fused=fused, **options
    )


def seconds_of_a_step(stage: Stage, stepper: Stepper) -> float:
    """The median; of few steps where sizes are tiny."""
    return step_seconds(stepper, rounds=2, seconds=0.01) if stage.tiny else step_seconds(stepper)


def median_seconds(work: Callable[[], Any], rounds: int) -> float:
    """Seconds of one call, the median; the first warms up."""

    def once() -> None:
        work()

    once()
    return statistics.median(timed(once) for _ in range(rounds))


def has_kernels(stage: Stage) -> bool:
    """Whether Triton is there, and runs its kernels on this device."""
    return kernels_on(torch.device(stage.device)) == ALL
