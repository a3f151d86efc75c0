"""What a training step asks of a GPU, without one: kernels, bytes, live memory, reads of the host.

    python -m benchmarks.speed.step_trace [--plain]

The whole step, forward, backward and optimizer, runs on meta tensors, which have sizes and no
values. They are no CPU tensors, so the code takes the ways that it takes on a GPU, and every
operation is seen as it is dispatched. A kernel's bytes are what it has to read and write once; that
is a count and no measurement, and says nothing of a cache.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.multiprocessing.reductions import StorageWeakRef  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from benchmarks.speed.steps.stepper import shape_of, step_of  # noqa: E402
from scaling.shape import TransformerShape  # noqa: E402
from sweeps.data.batch import Batch  # noqa: E402
from sweeps.models.decoder.stack import Transformer  # noqa: E402
from sweeps.models.kernels.fused import ALL, PLAIN, Fused  # noqa: E402
from sweeps.training.step import Step  # noqa: E402

#: Operations that give a tensor without a kernel, beside those whose result is a view.
_FREE = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach"}
_FREE |= {"_unsafe_view", "_reshape_alias", "lift_fresh", "alias"}
#: Operations whose first argument is overwritten and not read.
_WRITE_ONLY = {"copy_", "fill_", "zero_"}
#: Operations that read of their first argument as much as they write.
_PICK = {"gather", "index_select", "embedding", "index"}
#: Kernels of an operation, where they are several: FlashAttention-2's backward makes ready,
#: computes and converts.
_SEVERAL = {"_scaled_dot_product_flash_attention_backward": 3}
#: Operations for which the host waits until the device has done all that it was given.
_HOST_READS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select"}


@dataclass
class Trace:
    """What was dispatched."""

    kernels: Counter[str] = field(default_factory=Counter)
    """Launches, by operation."""
    bytes_: Counter[str] = field(default_factory=Counter)
    """Bytes read and written, by operation."""
    host_reads: list[str] = field(default_factory=list)
    peak_bytes: int = 0
    """The most that was in memory at once of what was made during the trace."""

    @property
    def launches(self) -> int:
        """Kernels in all."""
        return self.kernels.total()

    @property
    def moved(self) -> int:
        """Bytes in all."""
        return self.bytes_.total()


class _Listener(TorchDispatchMode):
    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()
        self.trace = Trace()
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1]
        given, made = list(_tensors(args)), list(_tensors([found]))
        if name in _HOST_READS or (
            any(one.device.type == "meta" for one in given)
            and any(one.device.type == "cpu" for one in made)
        ):
            self.trace.host_reads.append(name)
        self._remember(made)
        if not (func.is_view or name in _FREE or name.startswith("_unsafe_view")) and made:
            kernels, moved = _cost(func, name, args, kwargs or {}, made)
            self.trace.kernels[name] += kernels
            self.trace.bytes_[name] += moved
        elif not made and any(one.device.type == "meta" for one in given):
            self.trace.kernels[name] += 1  # an operation in place that gives nothing back
            self.trace.bytes_[name] += _written_and_read(func, args)
        return found

    def _remember(self, made: Sequence[Tensor]) -> None:
        for tensor in made:
            storage = tensor.untyped_storage()
            if tensor.device.type == "meta" and storage._cdata not in self._known:
                self._alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._alive = {key: one for key, one in self._alive.items() if not one[0].expired()}
        total = sum(size for _, size in self._alive.values())
        self.trace.peak_bytes = max(self.trace.peak_bytes, total)


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _size(tensor: Tensor) -> int:
    """Bytes; of an axis along which it is repeated, once."""
    lengths = zip(tensor.shape, tensor.stride(), strict=True)
    entries = 1
    for length, stride in lengths:
        entries *= length if stride else min(length, 1)
    return entries * tensor.element_size()


def _written_and_read(func: Any, args: Any) -> int:
    """Bytes of the arguments: once where they are read, twice where they are changed in place."""
    moved = 0
    for argument, value in zip(func._schema.arguments, args, strict=False):
        changed = argument.alias_info is not None and argument.alias_info.is_write
        moved += sum(_size(one) * (2 if changed else 1) for one in _tensors([value]))
    return moved


def _cost(func: Any, name: str, args: Any, options: Any, made: Sequence[Tensor]) -> tuple[int, int]:
    """Kernels and bytes of one operation."""
    given = {id(one) for one in _tensors(args)}
    new = sum(_size(one) for one in made if id(one) not in given)
    if name in _WRITE_ONLY:
        source = sum(_size(one) for one in _tensors(args[1:]))
        return 1, source + _size(args[0])
    if name in _PICK:
        return 1, 2 * new + sum(_size(one) for one in _tensors(args[1:]))
    if name == "scatter_add_":
        return 1, _size(args[2]) + 3 * _size(args[3])
    if name == "baddbmm":
        return _batched_product(args, options, new)
    return _SEVERAL.get(name, 1), _written_and_read(func, args) + new


def _batched_product(args: Any, options: Any, new: int) -> tuple[int, int]:
    """PyTorch copies what is added into the result, and has cuBLAS add to that."""
    products = sum(_size(one) for one in args[1:3])
    if options.get("beta", 1) == 0:
        return 1, products + new
    return 2, _size(args[0]) + new + products + 2 * new


def _flash(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """Attention as a GPU takes it in bfloat16; meta tensors would be given the plain formula."""
    found = torch.ops.aten._scaled_dot_product_flash_attention(
        query, key, value, 0.0, options.get("is_causal", False), False, scale=options.get("scale")
    )
    result: Tensor = found[0]
    return result


@contextlib.contextmanager
def listening(known: Sequence[Tensor] = ()) -> Iterator[Trace]:
    """Everything that is dispatched on meta tensors meanwhile; memory of the `known` ones counts
    not."""
    attention = mock.patch("torch.nn.functional.scaled_dot_product_attention", _flash)
    with attention, _Listener(known) as listener:
        yield listener.trace


def step_on_meta(
    shape: TransformerShape,
    replicas: int,
    sequences: int,
    *,
    dtype: torch.dtype = torch.bfloat16,
    micro_sequences: int | None = None,
    fused: Fused = ALL,
) -> tuple[Step, Batch, Transformer]:
    """A step that runs on meta tensors, and a batch for it."""
    model, step = step_of(
        shape,
        replicas,
        sequences,
        torch.device("meta"),
        dtype,
        fused=fused,
        micro_sequences=micro_sequences,
        steps=100,
    )
    windows = torch.empty(replicas, sequences, shape.context + 1, dtype=torch.int64, device="meta")
    return step, Batch.of_windows(windows), model


def trace_step(shape: TransformerShape, replicas: int, sequences: int, **options: Any) -> Trace:
    """One step of a stack on meta tensors."""
    step, batch, model = step_on_meta(shape, replicas, sequences, **options)
    with listening([model.weights, batch.inputs]) as trace:
        step(batch)
    return trace


@dataclass(frozen=True)
class Shares:
    """What a layer and a logit cost, from steps that differ in those alone."""

    launches_per_layer: int
    bytes_per_layer_and_token: float
    """Over the width: (bytes a layer and token) / d."""
    bytes_per_logit: float


def shares(
    fused: Fused = ALL, width: int = 256, sequences: int = 64, context: int = 1024
) -> Shares:
    """Of one more layer, and of one more token in the vocabulary; weights are a small part of it,
    as there are many tokens."""

    def traced(depth: int, vocab_size: int) -> Trace:
        return trace_step(
            shape_of(width, depth, vocab_size, context, 32), 1, sequences, fused=fused
        )

    tokens = sequences * context
    shallow, deep, wide = traced(2, 1024), traced(3, 1024), traced(2, 2048)
    return Shares(
        launches_per_layer=deep.launches - shallow.launches,
        bytes_per_layer_and_token=(deep.moved - shallow.moved) / tokens / width,
        bytes_per_logit=(wide.moved - shallow.moved) / tokens / 1024,
    )


def main() -> None:
    """Print what a step asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", action="store_true", help="by operation, too")
    parser.add_argument("--plain", action="store_true", help="without fused kernels")
    arguments = parser.parse_args()
    fused = PLAIN if arguments.plain else ALL
    found = shares(fused)
    print(f"launches a layer                 {found.launches_per_layer}")
    print(f"bytes a layer and token, over d  {found.bytes_per_layer_and_token:.0f}")
    print(f"bytes a logit                    {found.bytes_per_logit:.1f}")
    if arguments.operations:
        one, two = (
            trace_step(shape_of(256, d, 1024, 1024, 32), 1, 64, fused=fused) for d in (2, 3)
        )
        for name in two.kernels:
            more = two.kernels[name] - one.kernels[name]
            moved = (two.bytes_[name] - one.bytes_[name]) / 65536 / 256
            print(f"{name:45} {one.kernels[name]:4} +{more:3} {moved:8.1f} d bytes")
        print(one.host_reads)


if __name__ == "__main__":
    main()
