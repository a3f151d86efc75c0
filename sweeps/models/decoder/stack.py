"""The decoder-only family `slt-dec/1`, as a stack of replicas.

    x0 = rms(Embedding[t]);  per block: x += s Attention(rms(x));  x += s MLP(rms(x));
    logits = rms(x) Head

All weights of all replicas are one tensor (replicas, parameters). The replicas share shape and step
and nothing else: each product is batched over them, so the gradient of the summed loss is each
replica's own. A single model is a stack of one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from scaling.shape import TransformerShape
from sweeps.models.blocks import Blocks, drawn_matrices
from sweeps.models.kernels.operations import rms_norm
from sweeps.models.key_value_cache import KeyValueCache, LayerCache
from sweeps.models.stacked import Layout, StackedWeights


class Decoder(Blocks):
    """What the family computes from its matrices, wherever those lie."""

    def __init__(self, shape: TransformerShape, **options: Any) -> None:
        """``options``: those of Blocks."""
        super().__init__(shape, **options)
        self.shape = shape
        self.is_causal = not shape.bidirectional
        if shape.bidirectional:
            self.continues_nothing = "its positions see both sides (objective: masked)"
        self._run_block: Callable[..., Tensor] = self._block
        self.layout = matrix_layout(shape)

    def compile_blocks(self, **options: Any) -> None:
        """Have torch.compile fuse the blocks: one compilation, as all layers have one shape."""
        torch.compiler.reset()  # else a process gives up after a few shapes of one function
        self._run_block = torch.compile(self._block, dynamic=False, **options)
        self.is_compiled = True

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
        turns = self._turns(x.shape[1] // sequences, past.length if past else 0)
        matrices = attention_in, attention_out
        x = self._add_attention(x, matrices, turns, sequences, is_causal=self.is_causal, past=past)
        return self._add_mlp(x, mlp_in, mlp_out)


class Transformer(StackedWeights, Decoder):
    """A stack of decoder-only transformers of one shape, one replica a seed."""

    def __init__(self, shape: TransformerShape, seeds: Sequence[int], **options: Any) -> None:
        """``options``: those of Blocks."""
        super().__init__(shape, **options)
        self.start(torch.stack([initial_weights(shape, seed) for seed in seeds]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, over the used part of the vocabulary.

        tokens: (replicas, sequences, length) -> (replicas, sequences * length, used vocabulary)
        """
        return self._computed(tokens, [()] * self.shape.depth)

    def new_cache(self, sequences: int, *source: Tensor) -> KeyValueCache:
        """See StackModel."""
        shape, like = self.shape, self.turns.to(self.compute_dtype)
        rows = self.replicas * sequences
        return KeyValueCache(shape.depth, rows, shape.heads, shape.context, shape.head_size, like)

    def logits_onward(self, tokens: Tensor, past: KeyValueCache) -> Tensor:
        """See StackModel."""
        return self._computed(tokens, [(layer,) for layer in past.layers])

    def states(self, tokens: Tensor) -> Tensor:
        """What the head reads: tokens (replicas, sequences, length) -> (replicas,
        sequences * length, width); the logits are states times `head`."""
        return rms_norm(self._stream(tokens, self.matrices(), [()] * self.shape.depth), self.fused)

    @property
    def head(self) -> Tensor:
        """The matrix of the logits, (replicas, width, used vocabulary)."""
        weights = self.matrices()
        if self.tied_divisor is not None:
            matrix = weights["embedding"].transpose(1, 2) / self.tied_divisor
        else:
            matrix = weights["head"]
        return matrix[..., : self.used_vocab_size]

    def _computed(self, tokens: Tensor, pasts: Sequence[tuple[LayerCache, ...]]) -> Tensor:
        weights = self.matrices()
        matrix = weights["embedding" if self.shape.tied_head else "head"]
        return self._logits(self._stream(tokens, weights, pasts), matrix)

    def _stream(
        self, tokens: Tensor, weights: dict[str, Tensor], pasts: Sequence[tuple[LayerCache, ...]]
    ) -> Tensor:
        """The residual stream behind the last block, (replicas, positions, width)."""
        x = self._first(tokens, weights["embedding"])
        # Compiled are the sizes of a step; a measurement has others, and compiling takes longer.
        plain: Callable[..., Tensor] = self._block
        run_block = self._run_block if torch.is_grad_enabled() else plain
        for layer, past in enumerate(pasts):
            names = ("attention_in", "attention_out", "mlp_in", "mlp_out")
            matrices = (weights[f"block{layer}.{name}"] for name in names)
            x = run_block(x, *matrices, tokens.shape[1], *past)
        return x


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
    for name, matrix in drawn_matrices(matrix_layout(shape), seed):
        yield _paired(matrix, shape) if name.endswith("attention_in") else matrix


def _paired(attention_in: Tensor, shape: TransformerShape) -> Tensor:
    """The columns drawn half a head apart made neighbours, as rotation wants them.

    Columns are exchangeable; but as they were once drawn and turned the other way, a seed still
    stands for the same model.
    """
    heads = attention_in.view(-1, 3, shape.heads, 2, shape.head_size // 2)
    pairs = heads[:, :2].transpose(-1, -2).reshape_as(heads[:, :2])
    return torch.cat((pairs, heads[:, 2:]), dim=1).flatten()
