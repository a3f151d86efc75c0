"""Our training step, ready to be timed, and how two things are timed fairly."""

import contextlib
import dataclasses
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from scaling.shape import TransformerShape
from sweeps.config.recipe import find_recipe
from sweeps.data.batch import Batch
from sweeps.models.decoder.stack import Transformer
from sweeps.models.kernels.fused import ALL, PLAIN, Fused, runs_on_cpu
from sweeps.objectives.registry import CAUSAL
from sweeps.planning.hyper_parameters.recipe import settings_for
from sweeps.training.adamw import PackedAdamW
from sweeps.training.devices.device import add_up_exactly
from sweeps.training.step import Step

RECIPE = find_recipe("cpt-adamw/1")


class Stepper:
    """Our step on random tokens that lie on the device."""

    def __init__(self, model: Transformer, step: Step, batches: list[Batch]) -> None:
        self.model = model
        self._step, self._batches, self._taken = step, batches, 0
        self.first_steps_seconds = timed(lambda: self.take(5))  # capture, compilation

    @property
    def batch(self) -> Batch:
        """One of its batches."""
        return self._batches[0]

    @property
    def notes(self) -> list[str]:
        """What went otherwise than meant: memory that ran out, a graph that could not be had."""
        return self._step.notes

    @property
    def micro_sequences(self) -> int:
        """Sequences that memory has been seen to hold at once."""
        return self._step.micro_sequences

    def take(self, steps: int) -> None:
        """So many more steps; RuntimeError where the loss is lost."""
        for _ in range(steps):
            losses = self._step(self._batches[self._taken % len(self._batches)])
            self._taken += 1
        if not math.isfinite(float(losses.sum())):
            raise RuntimeError("the benchmark's loss is not finite: its speed means nothing")


def step_of(
    shape: TransformerShape,
    replicas: int,
    sequences: int,
    device: torch.device,
    dtype: torch.dtype,
    *,
    fused: Fused,
    compiled: bool = False,
    graph: bool = False,
    micro_sequences: int | None = None,
    steps: int = 5_000,
    **constants: float,
) -> tuple[Transformer, Step]:
    """A stack at its start and the step that trains it; `constants` replace those of the recipe for
    so many steps. Recorded as a `graph` on a CUDA device alone."""
    settings = settings_for(RECIPE, shape, steps * sequences * shape.context)
    settings = dataclasses.replace(settings, steps=steps, **constants)
    model = Transformer(
        shape, range(replicas), residual_scale=settings.residual_scale, compute_dtype=dtype
    ).to(device)
    model.fused = fused
    if compiled:
        model.compile_blocks()
    step = Step(
        model,
        PackedAdamW(model.weights, model.groups, [settings] * replicas),
        CAUSAL,
        z_loss=settings.z_loss,
        micro_sequences=micro_sequences or sequences,
        graph=graph and device.type == "cuda",
    )
    return model, step


def stepper_of(
    shape: TransformerShape,
    replicas: int,
    sequences: int,
    device: torch.device,
    compiled: bool,
    dtype: torch.dtype | None = None,
    *,
    fused: Fused | None = None,
    graph: bool = True,
) -> Stepper:
    """With its first steps taken; where nothing else is said, on a GPU in bfloat16, recorded as a
    `graph`, and with all fused kernels, or those of the loss alone where blocks are compiled."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        add_up_exactly()
        dtype = dtype or torch.bfloat16
    there_are = kernels_on(device)
    model, step = step_of(
        shape,
        replicas,
        sequences,
        device,
        dtype or torch.float32,
        fused=fused or (Fused(loss=there_are.loss) if compiled else there_are),
        compiled=compiled,
        graph=graph,
    )
    generator = torch.Generator().manual_seed(0)
    batches = [
        Batch.of_windows(
            torch.randint(
                shape.vocab_size, (replicas, sequences, shape.context + 1), generator=generator
            ).to(device)
        )
        for _ in range(8)
    ]
    return Stepper(model, step, batches)


def kernels_on(device: torch.device) -> Fused:
    """The fused kernels that run on a device: all where Triton is, none on a CPU."""
    if device.type == "cpu" and not runs_on_cpu():
        return PLAIN
    return ALL if importlib.util.find_spec("triton") else PLAIN


def step_seconds(stepper: Stepper, *, rounds: int = 3, seconds: float = 0.4) -> float:
    """Of one step: the median over rounds, each as many steps as fill it."""
    one = timed(lambda: stepper.take(1))
    steps = max(1, min(200, round(seconds / one)))
    return statistics.median(timed(lambda: stepper.take(steps)) / steps for _ in range(rounds))


class Paired(NamedTuple):
    """Seconds of two things that took turns, medians over rounds."""

    ours: float
    theirs: float
    ratio: float
    """Theirs over ours: the median of the rounds' ratios, since a busy machine slows a whole
    round."""


def interleaved(
    ours: Callable[[int], None], theirs: Callable[[int], None], rounds: int, steps: int
) -> Paired:
    """Time both in turns. Each is given the number of its first step."""
    found: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        first = number * steps
        if number % 2:
            mine, other = timed(lambda: ours(first)), timed(lambda: theirs(first))  # noqa: B023
        else:
            other, mine = timed(lambda: theirs(first)), timed(lambda: ours(first))  # noqa: B023
        found.append((mine, other))
    found = found[1:]  # the first round warms up
    mine, other = (statistics.median(side) for side in zip(*found, strict=True))
    return Paired(mine, other, statistics.median(theirs / ours for ours, theirs in found))


@contextlib.contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """What `launch.speed.deterministic` asks PyTorch for, through Lightning."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def timed(work: Callable[[], None]) -> float:
    """Seconds until the work is done, on the device as well."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def shape_of(
    width: int, depth: int, vocab_size: int, context: int, head_size: int
) -> TransformerShape:
    """The shape with these sizes, and a head and an MLP as by default."""
    return TransformerShape(
        width=width, depth=depth, head_size=head_size, context=context, vocab_size=vocab_size
    )
