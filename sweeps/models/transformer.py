"""The decoder-only family `slt-dec/1`, as a stack of replicas.

    x0 = rms(Embedding[t]);  per block: x += s Attention(rms(x));  x += s MLP(rms(x));
    logits = rms(x) Head

Pre-norm without gains, rotary positions, normalised queries and keys, squared ReLU, untied head,
no biases. Head and the last matrix of each branch start at zero, so every model starts at the loss
ln(vocabulary) exactly and the initial noise does not depend on the size.

All weights of all replicas are one tensor (replicas, parameters). The replicas share shape and step
and nothing else: each product is batched over them, so the gradient of the summed loss is each
replica's own. A single model is a stack of one.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scaling.shape import TransformerShape

#: Over sqrt(head size): normalised queries and keys cannot grow to sharpen attention.
LOGIT_GAIN = 1.4
NORM_EPSILON = 1e-6


class Transformer(nn.Module):
    """A stack of decoder-only transformers of one shape, one replica a seed."""

    def __init__(
        self,
        shape: TransformerShape,
        seeds: Sequence[int],
        *,
        residual_scale: float = 1.0,
        rotary_base: float = 10_000.0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.replicas = len(seeds)
        self.residual_scale = residual_scale
        self.layout = matrix_layout(shape)
        self.weights = nn.Parameter(
            torch.stack([initial_weights(shape, self.layout, seed) for seed in seeds])
        )
        cosine, sine = _rotary_tables(shape, rotary_base)
        self.cosine: Tensor
        self.sine: Tensor
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def matrices(self) -> dict[str, Tensor]:
        """Views of the weights by name, each (replicas, in, out)."""
        sizes = [rows * columns for rows, columns in self.layout.values()]
        parts = torch.split(self.weights, sizes, dim=1)
        return {
            name: part.view(self.replicas, *size)
            for (name, size), part in zip(self.layout.items(), parts, strict=True)
        }

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token.

        tokens: (replicas, sequences, length) -> (replicas, sequences * length, vocabulary)
        """
        replicas, sequences, length = tokens.shape
        weights = self.matrices()
        x = _rms(_embed(weights["embedding"], tokens))
        for layer in range(self.shape.depth):
            x = x + self.residual_scale * self._attention(
                torch.bmm(_rms(x), weights[f"block{layer}.attention_in"]),
                weights[f"block{layer}.attention_out"],
                sequences,
            )
            hidden = F.relu(torch.bmm(_rms(x), weights[f"block{layer}.mlp_in"])).square()
            x = x + self.residual_scale * torch.bmm(hidden, weights[f"block{layer}.mlp_out"])
        return torch.bmm(_rms(x), weights["head"])

    def _attention(self, projected: Tensor, output: Tensor, sequences: int) -> Tensor:
        """Causal self-attention of each sequence; projected: (replicas, positions, 3 width)."""
        replicas, positions, _ = projected.shape
        shape, length = self.shape, positions // sequences
        heads = projected.view(replicas * sequences, length, 3, shape.heads, shape.head_size)
        query_key = heads[:, :, :2].permute(2, 0, 3, 1, 4)
        query, key = _rms(self._rotate(query_key)).unbind()
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            heads[:, :, 2].transpose(1, 2),
            is_causal=True,
            scale=LOGIT_GAIN / math.sqrt(shape.head_size),
        )
        return torch.bmm(mixed.transpose(1, 2).reshape(replicas, positions, shape.width), output)

    def _rotate(self, x: Tensor) -> Tensor:
        """Rotary positions (Su et al. 2021, arXiv:2104.09864); x: (..., length, head size)."""
        length = x.shape[-2]
        first, second = x.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return x * self.cosine[:length] + turned * self.sine[:length]


def token_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each target in nats, and the log-partition behind it.

    logits: (replicas, positions, vocabulary), targets: (replicas, positions) -> both as targets.
    """
    log_partition = torch.logsumexp(logits, dim=-1)
    chosen = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return log_partition - chosen, log_partition


def matrix_layout(shape: TransformerShape) -> dict[str, tuple[int, int]]:
    """Every matrix in the order of the flat weights: name -> (in, out)."""
    width = shape.width
    layout = {"embedding": (shape.vocab_size, width)}
    for layer in range(shape.depth):
        layout[f"block{layer}.attention_in"] = (width, 3 * width)
        layout[f"block{layer}.attention_out"] = (width, width)
        layout[f"block{layer}.mlp_in"] = (width, shape.mlp_width)
        layout[f"block{layer}.mlp_out"] = (shape.mlp_width, width)
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


def initial_weights(
    shape: TransformerShape, layout: dict[str, tuple[int, int]], seed: int
) -> Tensor:
    """(parameters,) Weights before the first step: a function of the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    flat = []
    for name, (rows, columns) in layout.items():
        if name == "head" or name.endswith("_out"):
            flat.append(torch.zeros(rows * columns))
        else:
            scale = 1.0 if name == "embedding" else 1 / math.sqrt(rows)
            flat.append(torch.randn(rows * columns, generator=generator) * scale)
    return torch.cat(flat)


def _embed(embedding: Tensor, tokens: Tensor) -> Tensor:
    replicas, vocab_size, width = embedding.shape
    offsets = torch.arange(replicas, device=tokens.device).view(-1, 1, 1) * vocab_size
    rows = F.embedding(tokens + offsets, embedding.reshape(replicas * vocab_size, width))
    return rows.view(replicas, -1, width)


def _rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + NORM_EPSILON)


def _rotary_tables(shape: TransformerShape, base: float) -> tuple[Tensor, Tensor]:
    half = shape.head_size // 2
    frequencies = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(shape.context, dtype=torch.float64)[:, None] * frequencies
    both = torch.cat((angles, angles), dim=1)
    return both.cos().float(), both.sin().float()
