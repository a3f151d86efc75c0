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
from torch import Tensor, nn

from scaling.shape import TransformerShape
from sweeps.models.operations import relu_squared, rms_norm, rotate, token_losses

__all__ = ["Transformer", "initial_weights", "matrix_layout", "parameter_groups", "token_losses"]

#: Over sqrt(head size): normalised queries and keys cannot grow to sharpen attention.
LOGIT_GAIN = 1.4


class Decoder(nn.Module):
    """What the family computes from its matrices, wherever those lie."""

    replicas: int

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
        self.residual_scale = residual_scale
        self._run_block: Callable[..., Tensor] = self._block
        self.layout = matrix_layout(shape)
        cosine, sine = _rotary_tables(shape, rotary_base)
        self.cosine: Tensor
        self.sine: Tensor
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.cosine.device

    def compile_blocks(self, **options: Any) -> None:
        """Have torch.compile fuse the blocks: one compilation, as all layers have one shape."""
        self._run_block = torch.compile(self._block, dynamic=False, **options)

    def _first(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """The residual stream before the first block, (replicas, positions, width)."""
        return rms_norm(_embed(embedding, tokens))

    def _logits(self, x: Tensor, matrix: Tensor) -> Tensor:
        """Logits over the used vocabulary; the matrix is the head, or the embedding where tied."""
        if self.shape.tied_head:
            logits = torch.bmm(rms_norm(x), matrix.transpose(1, 2)) / self.shape.width
        else:
            logits = torch.bmm(rms_norm(x), matrix)
        return logits[..., : self.used_vocab_size]

    def _block(
        self,
        x: Tensor,
        attention_in: Tensor,
        attention_out: Tensor,
        mlp_in: Tensor,
        mlp_out: Tensor,
        sequences: int,
    ) -> Tensor:
        """Attention and MLP of one layer; x: (replicas, positions, width)."""
        mixed = self._attention(torch.bmm(rms_norm(x), attention_in), sequences)
        # The scale goes to the matrices: they are smaller than the activations.
        x = torch.baddbmm(x, mixed, attention_out * self.residual_scale)
        hidden = torch.bmm(rms_norm(x), mlp_in)
        if self.shape.mlp == "swiglu":
            gate, value = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * value
        else:
            hidden = relu_squared(hidden)
        return torch.baddbmm(x, hidden, mlp_out * self.residual_scale)

    def _attention(self, projected: Tensor, sequences: int) -> Tensor:
        """Causal self-attention of each sequence; projected: (replicas, positions, 3 width)."""
        replicas, positions, _ = projected.shape
        shape, length = self.shape, positions // sequences
        heads = projected.view(replicas * sequences, length, 3, shape.heads, shape.head_size)
        query_key = heads[:, :, :2].permute(2, 0, 3, 1, 4)
        query, key = rms_norm(self._rotate(query_key)).unbind()
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            heads[:, :, 2].transpose(1, 2),
            is_causal=True,
            scale=LOGIT_GAIN / math.sqrt(shape.head_size),
        )
        return mixed.transpose(1, 2).reshape(replicas, positions, shape.width)

    def _rotate(self, x: Tensor) -> Tensor:
        """Rotary positions (Su et al. 2021, arXiv:2104.09864); x: (..., length, head size)."""
        length = x.shape[-2]
        return rotate(x, self.cosine[:length].to(x.dtype), self.sine[:length].to(x.dtype))


class Transformer(Decoder):
    """A stack of decoder-only transformers of one shape, one replica a seed."""

    def __init__(self, shape: TransformerShape, seeds: Sequence[int], **options: Any) -> None:
        """``options``: those of Decoder."""
        super().__init__(shape, **options)
        self.replicas = len(seeds)
        self.weights = nn.Parameter(
            torch.stack([initial_weights(self.layout, seed) for seed in seeds])
        )

    def held_weights(self) -> Tensor:
        """(replicas, parameters) All of them; of a sharded model, what this process holds."""
        return self.weights.detach()

    @torch.no_grad()
    def hold(self, weights: Tensor) -> None:
        """Take these as the weights held here."""
        self.weights.copy_(weights)

    def whole_weights(self) -> Tensor:
        """(replicas, parameters) A copy on the host."""
        return self.weights.detach().to("cpu", copy=True)

    def matrices(self) -> dict[str, Tensor]:
        """Views of the weights by name, each (replicas, in, out), in the precision of computing."""
        sizes = [rows * columns for rows, columns in self.layout.values()]
        parts = torch.split(self.weights.to(self.compute_dtype), sizes, dim=1)
        return {
            name: part.view(self.replicas, *size)
            for (name, size), part in zip(self.layout.items(), parts, strict=True)
        }

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, over the used part of the vocabulary.

        tokens: (replicas, sequences, length) -> (replicas, sequences * length, used vocabulary)
        """
        weights = self.matrices()
        x = self._first(tokens, weights["embedding"])
        for layer in range(self.shape.depth):
            names = ("attention_in", "attention_out", "mlp_in", "mlp_out")
            x = self._run_block(
                x, *(weights[f"block{layer}.{name}"] for name in names), tokens.shape[1]
            )
        return self._logits(x, weights["embedding" if self.shape.tied_head else "head"])


def matrix_layout(shape: TransformerShape) -> dict[str, tuple[int, int]]:
    """Every matrix in the order of the flat weights: name -> (in, out)."""
    width = shape.width
    layout = {"embedding": (shape.vocab_size, width)}
    for layer in range(shape.depth):
        layout[f"block{layer}.attention_in"] = (width, 3 * width)
        layout[f"block{layer}.attention_out"] = (width, width)
        layout[f"block{layer}.mlp_in"] = (width, shape.mlp_inputs * shape.mlp_width)
        layout[f"block{layer}.mlp_out"] = (shape.mlp_width, width)
    if not shape.tied_head:
        layout["head"] = (width, shape.vocab_size)
    return layout


def parameter_groups(shape: TransformerShape) -> dict[str, slice]:
    """The columns of the flat weights that each optimizer group owns."""
    first, last = shape.params_embedding, shape.params - shape.params_head
    return {
        "embedding": slice(0, first),
        "hidden": slice(first, last),
        "head": slice(last, shape.params),
    }


def initial_weights(layout: dict[str, tuple[int, int]], seed: int) -> Tensor:
    """(parameters,) Weights before the first step: a function of the seed alone."""
    return torch.cat(list(initial_matrices(layout, seed)))


def initial_matrices(layout: dict[str, tuple[int, int]], seed: int) -> Iterator[Tensor]:
    """The same, flat matrix by flat matrix: they need not be in memory together."""
    generator = torch.Generator().manual_seed(seed)
    for name, (rows, columns) in layout.items():
        if name == "head" or name.endswith("_out"):
            yield torch.zeros(rows * columns)
        else:
            scale = 1.0 if name == "embedding" else 1 / math.sqrt(rows)
            yield torch.randn(rows * columns, generator=generator) * scale


def _embed(embedding: Tensor, tokens: Tensor) -> Tensor:
    replicas, vocab_size, width = embedding.shape
    offsets = torch.arange(replicas, device=tokens.device).view(-1, 1, 1) * vocab_size
    rows = F.embedding(tokens + offsets, embedding.reshape(replicas * vocab_size, width))
    return rows.view(replicas, -1, width)


def _rotary_tables(shape: TransformerShape, base: float) -> tuple[Tensor, Tensor]:
    half = shape.head_size // 2
    frequencies = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(shape.context, dtype=torch.float64)[:, None] * frequencies
    both = torch.cat((angles, angles), dim=1)
    return both.cos().float(), both.sin().float()
