"""The linear language model `linear_lm/1`, as a stack of replicas.

    h[t] = mean of Embedding[token] over the tokens up to t;  logits = h Head

No norm and no other nonlinearity: the loss is convex in the product Embedding Head, whose rank the
width bounds. With sequences of one token it is a bigram table. The head starts at zero, so the
first loss is ln(vocabulary) exactly.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sweeps.models.family import ModelOptions
from sweeps.models.kernels.operations import embedded
from sweeps.models.linear_lm.shape import LinearShape
from sweeps.models.stacked import Layout, StackedWeights


class LinearStack(StackedWeights):
    """See StackModel."""

    def __init__(self, shape: LinearShape, seeds: Sequence[int], options: ModelOptions) -> None:
        super().__init__()
        self.layout: Layout = {
            "embedding": (shape.vocab_size, shape.width),
            "head": (shape.width, shape.vocab_size),
        }
        self.compute_dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
        self.context = shape.context
        self.used_vocab_size = options.used_vocab_size or shape.vocab_size
        seen = torch.ones(shape.context, shape.context).tril()
        self.shares: Tensor
        self.register_buffer("shares", seen / seen.sum(dim=1, keepdim=True), persistent=False)
        self.start(torch.stack([_initial_weights(shape, seed) for seed in seeds]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, over the used part of the vocabulary.

        tokens: (replicas, sequences, length) -> (replicas, sequences * length, used vocabulary)
        """
        weights, length = self.matrices(), tokens.shape[-1]
        vectors = embedded(weights["embedding"], tokens)
        sequences = vectors.reshape(-1, length, vectors.shape[-1])
        shares = self.shares[:length, :length].to(vectors.dtype).expand(len(sequences), -1, -1)
        means = torch.bmm(shares, sequences).view_as(vectors)
        return torch.bmm(means, weights["head"])[..., : self.used_vocab_size]


def _initial_weights(shape: LinearShape, seed: int) -> Tensor:
    """(parameters,) A function of the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(shape.params_embedding, generator=generator)
    return torch.cat([embedding, torch.zeros(shape.params_head)])
