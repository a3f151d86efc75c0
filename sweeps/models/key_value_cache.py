"""Keys and values of positions that were computed, so that each token costs one position."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


class LayerCache:
    """Of one layer: room for all positions of its sequences."""

    def __init__(self, rows: int, heads: int, positions: int, head_size: int, like: Tensor) -> None:
        self.length = 0
        self._keys = like.new_empty(rows, heads, positions, head_size)
        self._values = torch.empty_like(self._keys)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """What new positions, (rows, heads, length, head size), see of themselves and of all those
        before them; they are kept."""
        first, last = self.length, self.length + query.shape[2]
        self._keys[:, :, first:last] = key
        self._values[:, :, first:last] = value
        self.length = last
        # One position sees all; several beginning at the start are causal among themselves.
        mask = None
        if first and last - first > 1:
            new = torch.arange(first, last, device=query.device)
            mask = new[:, None] >= torch.arange(last, device=query.device)
        return F.scaled_dot_product_attention(
            query,
            self._keys[:, :, :last],
            self._values[:, :, :last],
            attn_mask=mask,
            is_causal=not first,
            scale=scale,
        )


class KeyValueCache:
    """Of all layers of a stack of models, for sequences that grow together."""

    def __init__(
        self, layers: int, rows: int, heads: int, positions: int, head_size: int, like: Tensor
    ) -> None:
        self.layers = [LayerCache(rows, heads, positions, head_size, like) for _ in range(layers)]

    @property
    def length(self) -> int:
        """Positions that are kept."""
        return self.layers[0].length


@dataclass(frozen=True)
class ReadSource:
    """What the blocks of a decoder attend to of sources that were read, once for all positions."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values, (rows, heads, source tokens, head size), by block."""
    mask: Tensor | None
    """(rows, 1, 1, source tokens) bool. Where the sources are no padding; None: everywhere."""


class SourceCache(KeyValueCache):
    """Of targets that grow together, with the sources that they attend to."""

    def __init__(
        self, rows: int, heads: int, positions: int, head_size: int, source: ReadSource
    ) -> None:
        like = source.layers[0][0]
        super().__init__(len(source.layers), rows, heads, positions, head_size, like)
        self.source = source
