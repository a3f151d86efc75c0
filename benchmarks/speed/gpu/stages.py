"""The stages of one call on a GPU, by name."""

from collections.abc import Callable

import torch

from benchmarks.speed.gpu.correctness import parity, training
from benchmarks.speed.gpu.machine import facts, kernels, memory
from benchmarks.speed.gpu.speeds import large, packs, speed
from benchmarks.speed.gpu.stage import Stage
from sweeps.training.pack import settle_process

STAGES: dict[str, Callable[[Stage], None]] = {
    "facts": facts,
    "parity": parity,
    "speed": speed,
    "packs": packs,
    "training": training,
    "large": large,
    "kernels": kernels,
    "memory": memory,
}


def prepare() -> None:
    """Make a stage's process fit: threads for what the host computes, such as first weights."""
    settle_process(threads=8 if torch.cuda.is_available() else 1)
