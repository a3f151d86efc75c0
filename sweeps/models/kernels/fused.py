"""Operations of one kernel each, where the plain ones are several: what a GPU may take instead.

Each has a twin in `operations` or `cross_entropy`, which a CPU always runs, and which says what it
computes. Sizes and memory are all that PyTorch is told of them, so that they run on meta tensors,
are recorded in graphs, and can be counted; what they do is in `triton_kernels`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Fused(NamedTuple):
    """Which of a model's operations run as one kernel; none: all by their twins."""

    norm: bool = False
    """Norms of the residual stream."""
    heads: bool = False
    """Norm and rotation of queries and keys."""
    mlp: bool = False
    """The squared ReLU."""
    loss: bool = False
    """Cross-entropy; its backward overwrites the logits."""

    @property
    def names(self) -> tuple[str, ...]:
        """Those that do."""
        return tuple(name for name, on in zip(self._fields, self, strict=True) if on)


PLAIN, ALL = Fused(), Fused(True, True, True, True)

_LIBRARY = torch.library.Library("scaling", "DEF")
_DEFINED = {
    "rms_norm": "(Tensor x, float epsilon) -> (Tensor, Tensor)",
    "rms_norm_backward": "(Tensor of_y, Tensor y, Tensor scale, Tensor? of_stream) -> Tensor",
    "turn_heads_": "(Tensor(a!) heads, Tensor turns, int turned, float epsilon) -> Tensor",
    "turn_heads_backward": "(Tensor[] of_parts, Tensor heads, Tensor scale, Tensor turns, "
    "int turned) -> Tensor",
    "squared_relu": "(Tensor hidden) -> Tensor",
    "squared_relu_backward_": "(Tensor(a!) slope, Tensor(b!) hidden) -> ()",
    "cross_entropy": "(Tensor logits, Tensor targets) -> (Tensor, Tensor)",
    "cross_entropy_backward_": "(Tensor(a!) logits, Tensor targets, Tensor partition, "
    "Tensor of_loss, Tensor of_partition) -> ()",
}


def _norm_sizes(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty((*x.shape[:-1], 1), dtype=torch.float32)


def _head_sizes(heads: Tensor, turns: Tensor, turned: int, epsilon: float) -> Tensor:
    sequences, length, _, count, _ = heads.shape
    return heads.new_empty((sequences, length, turned, count, 1), dtype=torch.float32)


def _loss_sizes(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    loss = torch.empty(targets.shape, dtype=torch.float32, device=logits.device)
    return loss, torch.empty_like(loss)


_SIZES: dict[str, Callable[..., Any]] = {
    "rms_norm": _norm_sizes,
    "rms_norm_backward": lambda of_y, y, scale, of_stream: torch.empty_like(y),
    "turn_heads_": _head_sizes,
    "turn_heads_backward": lambda of_parts, heads, *_: torch.empty_like(heads),
    "squared_relu": torch.empty_like,
    "squared_relu_backward_": lambda slope, hidden: None,
    "cross_entropy": _loss_sizes,
    "cross_entropy_backward_": lambda *_: None,
}


def _by_triton(name: str, *arguments: Any) -> Any:
    from sweeps.models.kernels import triton_kernels

    return getattr(triton_kernels, name)(*arguments)


for _name, _signature in _DEFINED.items():
    _LIBRARY.define(_name + _signature)
    for _key in ("CUDA", "CPU"):  # a CPU runs them in Triton's interpreter alone
        _LIBRARY.impl(_name, functools.partial(_by_triton, _name), _key)
    _LIBRARY.impl(_name, _SIZES[_name], "Meta")

#: The operations by name.
ops: Any = torch.ops.scaling


@functools.cache
def runs_on_cpu() -> bool:
    """Whether this process runs Triton's kernels on a CPU, in its interpreter."""
    try:
        from sweeps.models.kernels.triton_kernels import INTERPRETED
    except ImportError:
        return False
    return INTERPRETED


def here(wanted: bool, x: Tensor) -> bool:
    """Whether an operation on this tensor is to run as one kernel: on a CPU it has none."""
    return wanted and (not x.is_cpu or runs_on_cpu())
