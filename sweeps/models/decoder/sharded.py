"""One `slt-dec/1` model whose weights lie on several devices, each holding an equal share.

The weights are cut into parts: the embedding, each block, the head. Each part is one flat tensor,
sharded by FSDP2 (Zhao et al. 2023, arXiv:2304.11277, describe the scheme): gathered on all devices
just before it computes, forgotten after, its gradient summed and scattered again. What a part
computes is the decoder's own code.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from scaling.shape import TransformerShape
from sweeps.models.decoder.stack import Decoder, initial_matrices, matrix_layout
from sweeps.models.stacked import Layout, ShardedModel


class ShardedTransformer(ShardedModel, Decoder):
    """See ShardedModel."""

    def __init__(
        self, shape: TransformerShape, seed: int, *, device: torch.device, **options: Any
    ) -> None:
        """Made where it is to train, part by part: no device ever holds all of it.

        ``options``: those of Blocks.
        """
        super().__init__(shape, **options)
        self.to(device)
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        lower = None if self.compute_dtype == torch.float32 else self.compute_dtype
        policy = MixedPrecisionPolicy(param_dtype=lower, reduce_dtype=torch.float32)
        compute: dict[str, Callable[..., Tensor]] = {
            "embedding": self._ends if shape.tied_head else self._first,
            "head": self._logits,
        }
        matrices = initial_matrices(shape, seed)
        parts = {}
        for name, layout in part_layouts(shape).items():
            weights = torch.cat([next(matrices) for _ in layout]).to(device)
            part = _Part(weights, layout, compute.get(name, self._block_of_part))
            fully_shard(part, mesh=mesh, mp_policy=policy)
            parts[name] = part
        self.parts = nn.ModuleDict(parts)
        fully_shard(self, mesh=mesh, mp_policy=policy)

    def forward(self, tokens: Tensor) -> Tensor:
        """As Transformer.forward; tokens: (1, sequences, length)."""
        x = self.parts["embedding"](tokens)
        for layer in range(self.shape.depth):
            x = self.parts[f"block{layer}"](x, sequences=tokens.shape[1])
        head = self.parts["embedding" if self.shape.tied_head else "head"]
        logits: Tensor = head(x)
        return logits

    @property
    def held(self) -> dict[str, DTensor]:
        """The weights by part; of each, this process holds a share."""
        return dict(zip(self.parts, self.parameters(), strict=True))  # type: ignore[arg-type]

    def held_weights(self) -> Tensor:
        """(1, parameters held here)"""
        return torch.cat([share(part) for part in self.held.values()], dim=1)

    @torch.no_grad()
    def hold(self, weights: Tensor) -> None:
        """Take these as the weights held here, (1, parameters held here)."""
        shares = [share(part) for part in self.held.values()]
        sizes = [one.shape[1] for one in shares]
        for mine, given in zip(shares, weights.split(sizes, dim=1), strict=True):
            mine.copy_(given)

    @torch.no_grad()
    def whole_weights(self) -> Tensor:
        """(1, parameters) A copy on the host of the first process, in the order in which
        Transformer has them; empty on the others, which have to call it too."""
        here = dist.get_rank() == 0
        parts = [part.full_tensor()[None] for part in self.held.values()]
        return torch.cat([part.cpu()[:, : None if here else 0] for part in parts], dim=1)

    def _ends(self, x: Tensor, embedding: Tensor) -> Tensor:
        """With a tied head one matrix is both ends of the model."""
        return self._logits(x, embedding) if x.is_floating_point() else self._first(x, embedding)

    def _block_of_part(self, x: Tensor, *matrices: Tensor, sequences: int) -> Tensor:
        return self._run_block(x, *matrices, sequences)


class _Part(nn.Module):
    """Some matrices as one flat tensor, and what is computed from them."""

    def __init__(self, weights: Tensor, layout: Layout, compute: Callable[..., Tensor]) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self._layout, self._compute = layout, compute

    def forward(self, x: Tensor, **further: int) -> Tensor:
        sizes = [rows * columns for rows, columns in self._layout.values()]
        matrices = [
            part.view(1, *size)
            for size, part in zip(self._layout.values(), self.weights.split(sizes), strict=True)
        ]
        return self._compute(x, *matrices, **further)


def part_layouts(shape: TransformerShape) -> dict[str, Layout]:
    """The matrices of each part, in the order of the flat weights."""
    parts: dict[str, Layout] = {}
    for name, size in matrix_layout(shape).items():
        parts.setdefault(name.partition(".")[0], {})[name] = size
    return parts


def share(part: DTensor) -> Tensor:
    """(1, parameters held here) What this process holds of a part; writing to it changes it."""
    with torch.no_grad():
        return part.to_local().detach().view(1, -1)
