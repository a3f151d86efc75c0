"""What transformers of every family here are made of: blocks on a residual stream.

Pre-norm without gains, rotary positions, normalised queries and keys, squared ReLU, untied head,
no biases. Options: a gated MLP (`swiglu`: silu(a) b with two matrices in), a tied head (logits =
a rms(x) Embedding^T / width, with a factor a of the recipe). Head and the last matrix of each
branch start at zero, so every model with an untied head starts at the loss ln(vocabulary) exactly,
and the initial noise does not depend on the size.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.shape import TransformerSizes
from sweeps.models.kernels.fused import here
from sweeps.models.kernels.operations import (
    add_product,
    add_squared_relu_mlp,
    embedded,
    norm_project,
    project_heads,
    rms_norm,
)
from sweeps.models.key_value_cache import LayerCache
from sweeps.models.stacked import Layout, StackModel

#: Over sqrt(head size): normalised queries and keys cannot grow to sharpen attention.
LOGIT_GAIN = 1.4


class Blocks(StackModel):
    """What a block computes from its matrices, wherever those lie."""

    def __init__(
        self,
        shape: TransformerSizes,
        *,
        residual_scale: float = 1.0,
        tied_logit_factor: float = 1.0,
        rotary_base: float = 10_000.0,
        compute_dtype: torch.dtype = torch.float32,
        used_vocab_size: int | None = None,
    ) -> None:
        """``used_vocab_size``: tokens beyond it pad the vocabulary and get no probability."""
        super().__init__()
        self.used_vocab_size = used_vocab_size or shape.vocab_size
        self.compute_dtype = compute_dtype
        self.context = shape.context
        self.heads, self.mlp = shape.heads, shape.mlp
        self.residual_scale = residual_scale
        self.tied_divisor = shape.width / tied_logit_factor if shape.tied_head else None
        self.attention_scale = LOGIT_GAIN / math.sqrt(shape.head_size)
        self.is_compiled = False
        self.turns: Tensor
        self.register_buffer("turns", _rotary_turns(shape, rotary_base), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.turns.device

    def _first(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """The residual stream before the first block, (replicas, positions, width)."""
        return rms_norm(embedded(embedding, tokens), self.fused)

    def _logits(self, x: Tensor, matrix: Tensor) -> Tensor:
        """Logits over the used vocabulary; the matrix is the head, or the embedding where tied."""
        if self.tied_divisor is not None:
            logits = norm_project(x, matrix.transpose(1, 2), self.fused)[1] / self.tied_divisor
        else:
            _, logits = norm_project(x, matrix, self.fused)
        return logits[..., : self.used_vocab_size]

    def _add_attention(
        self,
        x: Tensor,
        matrices: tuple[Tensor, Tensor],
        turns: Tensor,
        sequences: int,
        *,
        is_causal: bool,
        past: LayerCache | None = None,
        mask: Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """x, (replicas, positions, width), and what its positions see of each other, and of the
        past; the matrices into the branch and out of it. `mask`: what they see where not all;
        `scale`: of the branch, where that is not the model's."""
        x, query, key, value = project_heads(
            x, matrices[0], turns, sequences, self.heads, self.fused
        )
        if past is None:
            mixed = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask,
                is_causal=is_causal,
                scale=self.attention_scale,
            )
        else:
            mixed = past.attend(query, key, value, self.attention_scale)
        return self._add_mixed(x, mixed, matrices[1], scale)

    def _add_mixed(
        self, x: Tensor, mixed: Tensor, matrix: Tensor, scale: float | None = None
    ) -> Tensor:
        """x and what attention mixed for it, (all sequences, heads, length, head size)."""
        mixed = mixed.transpose(1, 2).reshape(x.shape)
        return add_product(x, mixed, matrix, scale or self.residual_scale)

    def _add_mlp(
        self, x: Tensor, mlp_in: Tensor, mlp_out: Tensor, scale: float | None = None
    ) -> Tensor:
        """x and its MLP branch."""
        scale = scale or self.residual_scale
        if self.mlp == "relu2":
            return add_squared_relu_mlp(x, mlp_in, mlp_out, scale, self.fused)
        x, hidden = norm_project(x, mlp_in, self.fused)
        gate, value = hidden.chunk(2, dim=-1)
        return add_product(x, F.silu(gate) * value, mlp_out, scale)

    def _turns(self, length: int, first: int = 0) -> Tensor:
        """The rotation of each position from `first` on, in the form that is fastest here."""
        turns = self.turns[first : first + length, None, None]
        if here(self.fused.heads, turns):
            return turns
        if turns.is_cpu and self.compute_dtype == torch.float32 and not self.is_compiled:
            return torch.view_as_complex(turns)  # a single pass; no other place has fast products
        return turns.to(self.compute_dtype)


def drawn_matrices(layout: Layout, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Name and flat weights of each matrix before the first step: a function of the seed alone, and
    they need not be in memory together."""
    generator = torch.Generator().manual_seed(seed)
    for name, (rows, columns) in layout.items():
        if name == "head" or name.endswith("_out"):
            yield name, torch.zeros(rows * columns)
        else:
            scale = 1.0 if name == "embedding" else 1 / math.sqrt(rows)
            yield name, torch.randn(rows * columns, generator=generator) * scale


def _rotary_turns(shape: TransformerSizes, base: float) -> Tensor:
    """(context, head size / 2, 2) Cosine and sine of each position's angles."""
    half = shape.head_size // 2
    frequencies = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(shape.context, dtype=torch.float64)[:, None] * frequencies
    return torch.stack((angles.cos(), angles.sin()), dim=-1).float()
