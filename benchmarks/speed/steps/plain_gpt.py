"""A GPT as one writes it first, to hold our step against."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scaling.shape import TransformerShape


class PlainGPT(nn.Module):
    """LayerNorm, GELU, learned positions, one module a matrix."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.token = nn.Embedding(shape.vocab_size, shape.width)
        self.position = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, shape.vocab_size, bias=False)
        self.token.weight = self.head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits; tokens: (sequences, length)."""
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class PlainBlock(nn.Module):
    """Attention and MLP with residual connections."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm1 = nn.LayerNorm(shape.width, bias=False)
        self.norm2 = nn.LayerNorm(shape.width, bias=False)
        self.attention = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.projection = nn.Linear(shape.width, shape.width, bias=False)
        self.expand = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.contract = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (sequences, length, width)"""
        sequences, length, width = x.shape
        parts = self.attention(self.norm1(x)).split(width, dim=2)
        query, key, value = (
            part.view(sequences, length, self.heads, -1).transpose(1, 2) for part in parts
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(mixed.transpose(1, 2).reshape(sequences, length, width))
        return x + self.contract(F.gelu(self.expand(self.norm2(x))))
