"""Which device a run trains on, and what it is called."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from scaling.errors import ConfigError

#: Without one of its two fixed workspaces cuBLAS adds up as it likes, and PyTorch refuses it.
_WORKSPACE, _FIXED = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def choose_device(wanted: str) -> torch.device:
    """The device that the config means."""
    if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()):
        return torch.device("cuda")
    return torch.device("cpu")


def add_up_exactly() -> None:
    """Have products in bfloat16 add up in float32 throughout: cuBLAS may else add up parts of a
    weight's gradient, over many tokens, in bfloat16."""
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def device_here(wanted: str) -> torch.device:
    """The device that is meant; ConfigError where this machine has none such."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: PyTorch sees no CUDA device here; choose cpu, or auto")
    return choose_device(wanted)


def device_name(device: torch.device) -> str:
    """What the device is called by its maker."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "CPU"


@contextlib.contextmanager
def computing_on(wanted: str, *, deterministic: bool = False) -> Iterator[torch.device]:
    """The device that is meant, for a while; `deterministic`: by algorithms that repeat themselves
    to the last bit alone, so that what has no such one is an error of PyTorch's.

    On a CPU what we compute repeats itself anyway. Raises ConfigError where there is no such
    device.
    """
    device = device_here(wanted)
    if not deterministic:
        yield device
        return
    if device.type == "cuda":
        os.environ.setdefault(_WORKSPACE, _FIXED)
    memory: Any = torch.utils.deterministic  # a module that says nothing of its settings
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        memory.fill_uninitialized_memory,
    )
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    memory.fill_uninitialized_memory = False  # it finds faults of programs, and costs time
    try:
        yield device
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[2:4]
        memory.fill_uninitialized_memory = before[4]
