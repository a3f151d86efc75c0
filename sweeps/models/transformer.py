"""The decoder-only family `slt-dec/1`, as a stack of replicas.

    x0 = rms(Embedding[t]);  per block: x += s Attention(rms(x));  x += s MLP(rms(x));
    logits = rms(x) Head

Pre-norm without gains, rotary positions, normalised queries and keys, squared ReLU, untied head,
no biases. Options: a gated MLP (`swiglu`: silu(a) b with two matrices in), a tied head (logits =
rms(x) Embedding^T / width). Head and the last matrix of each branch start at zero, so every model
with an untied head starts at the loss ln(vocabulary) exactly, and the initial noise does not depend
on the size.

All weights of all replicas are one tensor (replicas, parameters). The replicas share shape and step
and nothing else: each product is batched over them, so the gradient of the summed loss is each
replica's own. A single model is a stack of one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.shape import TransformerShape
from sweeps.models.key_value_cache import KeyValueCache, LayerCache
from sweeps.models.operations import (
    add_product,
    add_squared_relu_mlp,
    embedded,
    norm_project,
    project_heads,
    rms_norm,
)
from sweeps.models.stacked import Layout, StackedWeights, StackModel

#: Over sqrt(head size): normalised queries and keys cannot grow to sharpen attention.
LOGIT_GAIN = 1.4


class Decoder(StackModel):
    """What the family computes from its matrices, wherever those lie."""

    def __init__(
        self,
        shape: TransformerShape,
        *,
        residual_scale: float = 1.0,
        rotary_base: float = 10_000.0,
        compute_dtype: torch.dtype = torch.float32,
        used_vocab_size: int | None = None,
    ) -> None:
        """``used_vocab_size``: tokens beyond it pad the vocabulary and get no probability."""
        super().__init__()
        self.used_vocab_size = used_vocab_size or shape.vocab_size
        self.compute_dtype = compute_dtype
        self.shape = shape
        self.context = shape.context
        self.is_causal = not shape.bidirectional
        self.residual_scale = residual_scale
        self._run_block: Callable[..., Tensor] = self._block
        self.is_compiled = False
        self.layout = matrix_layout(shape)
        self.turns: Tensor
        self.register_buffer("turns", _rotary_turns(shape, rotary_base), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.turns.device

    def compile_blocks(self, **options: Any) -> None:
        """Have torch.compile fuse the blocks: one compilation, as all layers have one shape."""
        torch.compiler.reset()  # else a process gives up after a few shapes of one function
        self._run_block = torch.compile(self._block, dynamic=False, **options)
        self.is_compiled = True

    def _first(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """The residual stream before the first block, (replicas, positions, width)."""
        return rms_norm(embedded(embedding, tokens))

    def _logits(self, x: Tensor, matrix: Tensor) -> Tensor:
        """Logits over the used vocabulary; the matrix is the head, or the embedding where tied."""
        if self.shape.tied_head:
            logits = norm_project(x, matrix.transpose(1, 2))[1] / self.shape.width
        else:
            _, logits = norm_project(x, matrix)
        return logits[..., : self.used_vocab_size]

    def _block(
        self,
        x: Tensor,
        attention_in: Tensor,
        attention_out: Tensor,
        mlp_in: Tensor,
        mlp_out: Tensor,
        sequences: int,
        past: LayerCache | None = None,
    ) -> Tensor:
        """Attention and MLP of one layer; x: (replicas, positions, width), of positions that follow
        those of the past."""
        shape, length = self.shape, x.shape[1] // sequences
        turns = self._turns(length, past.length if past else 0)
        x, query, key, value = project_heads(x, attention_in, turns, sequences, shape.heads)
        scale = LOGIT_GAIN / math.sqrt(shape.head_size)
        if past is None:
            mixed = F.scaled_dot_product_attention(
                query, key, value, is_causal=self.is_causal, scale=scale
            )
        else:
            mixed = past.attend(query, key, value, scale)
        mixed = mixed.transpose(1, 2).reshape(x.shape)
        x = add_product(x, mixed, attention_out, self.residual_scale)
        if self.shape.mlp == "relu2":
            return add_squared_relu_mlp(x, mlp_in, mlp_out, self.residual_scale)
        x, hidden = norm_project(x, mlp_in)
        gate, value = hidden.chunk(2, dim=-1)
        return add_product(x, F.silu(gate) * value, mlp_out, self.residual_scale)

    def _turns(self, length: int, first: int = 0) -> Tensor:
        """The rotation of each position from `first` on, in the form that is fastest here."""
        turns = self.turns[first : first + length, None, None]
        if turns.is_cpu and self.compute_dtype == torch.float32 and not self.is_compiled:
            return torch.view_as_complex(turns)  # a single pass; no other place has fast products
        return turns.to(self.compute_dtype)


class Transformer(StackedWeights, Decoder):
    """A stack of decoder-only transformers of one shape, one replica a seed."""

    def __init__(self, shape: TransformerShape, seeds: Sequence[int], **options: Any) -> None:
        """``options``: those of Decoder."""
        super().__init__(shape, **options)
        self.start(torch.stack([initial_weights(shape, seed) for seed in seeds]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, over the used part of the vocabulary.

        tokens: (replicas, sequences, length) -> (replicas, sequences * length, used vocabulary)
        """
        return self._computed(tokens, [()] * self.shape.depth)

    def new_cache(self, sequences: int) -> KeyValueCache:
        """See StackModel."""
        shape, like = self.shape, self.turns.to(self.compute_dtype)
        rows = self.replicas * sequences
        return KeyValueCache(shape.depth, rows, shape.heads, shape.context, shape.head_size, like)

    def logits_onward(self, tokens: Tensor, past: KeyValueCache) -> Tensor:
        """See StackModel."""
        return self._computed(tokens, [(layer,) for layer in past.layers])

    def _computed(self, tokens: Tensor, pasts: Sequence[tuple[LayerCache, ...]]) -> Tensor:
        weights = self.matrices()
        x = self._first(tokens, weights["embedding"])
        for layer, past in enumerate(pasts):
            names = ("attention_in", "attention_out", "mlp_in", "mlp_out")
            matrices = (weights[f"block{layer}.{name}"] for name in names)
            x = self._run_block(x, *matrices, tokens.shape[1], *past)
        return self._logits(x, weights["embedding" if self.shape.tied_head else "head"])


def matrix_layout(shape: TransformerShape) -> Layout:
    """Every matrix in the order of the flat weights: name -> (in, out)."""
    width = shape.width
    layout: Layout = {"embedding": (shape.vocab_size, width)}
    for layer in range(shape.depth):
        layout[f"block{layer}.attention_in"] = (width, 3 * width)
        layout[f"block{layer}.attention_out"] = (width, width)
        layout[f"block{layer}.mlp_in"] = (width, shape.mlp_inputs * shape.mlp_width)
        layout[f"block{layer}.mlp_out"] = (shape.mlp_width, width)
    if not shape.tied_head:
        layout["head"] = (width, shape.vocab_size)
    return layout


def initial_weights(shape: TransformerShape, seed: int) -> Tensor:
    """(parameters,) Weights before the first step: a function of the seed alone."""
    return torch.cat(list(initial_matrices(shape, seed)))


def initial_matrices(shape: TransformerShape, seed: int) -> Iterator[Tensor]:
    """The same, flat matrix by flat matrix: they need not be in memory together."""
    generator = torch.Generator().manual_seed(seed)
    for name, (rows, columns) in matrix_layout(shape).items():
        if name == "head" or name.endswith("_out"):
            yield torch.zeros(rows * columns)
        else:
            scale = 1.0 if name == "embedding" else 1 / math.sqrt(rows)
            matrix = torch.randn(rows * columns, generator=generator) * scale
            if name.endswith("attention_in"):
                matrix = _paired(matrix, shape)
            yield matrix


def _paired(attention_in: Tensor, shape: TransformerShape) -> Tensor:
    """The columns drawn half a head apart made neighbours, as rotation wants them.

    Columns are exchangeable; but as they were once drawn and turned the other way, a seed still
    stands for the same model.
    """
    heads = attention_in.view(-1, 3, shape.heads, 2, shape.head_size // 2)
    pairs = heads[:, :2].transpose(-1, -2).reshape_as(heads[:, :2])
    return torch.cat((pairs, heads[:, 2:]), dim=1).flatten()


def _rotary_turns(shape: TransformerShape, base: float) -> Tensor:
    """(context, head size / 2, 2) Cosine and sine of each position's angles."""
    half = shape.head_size // 2
    frequencies = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(shape.context, dtype=torch.float64)[:, None] * frequencies
    return torch.stack((angles.cos(), angles.sin()), dim=-1).float()
