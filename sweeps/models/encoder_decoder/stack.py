"""The family `encoder_decoder/1`, as a stack of replicas: Q(target | source).

Vaswani et al. 2017 (arXiv:1706.03762), in the decoder family's blocks:

    e = rms(Embedding[source]);  per block: e += s Attention(rms(e));  e += s MLP(rms(e));
    x = rms(Embedding[start, target]);  per block: x += s CausalAttention(rms(x));
    x += s Attention(rms(x) on rms(e));  x += s MLP(rms(x));  logits = rms(x) Head

One embedding for both. Unlike there: pre-norm and the rest that `blocks` says, and positions are
those of the block that source and target are parts of (rotary, in all three attentions); the start
token stands at the place of the source's last. A source that is shorter than the model's stands at
the beginning, as one that is padded to its length.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sweeps.models.blocks import Blocks, drawn_matrices
from sweeps.models.encoder_decoder.shape import EncoderDecoderShape
from sweeps.models.family import ModelOptions
from sweeps.models.kernels.operations import project_memory, project_queries
from sweeps.models.key_value_cache import KeyValueCache, LayerCache, ReadSource, SourceCache
from sweeps.models.stacked import Layout, StackedWeights

_MLP = ("mlp_in", "mlp_out")
#: The matrices of a block, as it computes; what it needs of the source is computed apart.
_BLOCKS = {
    "encoder": ("attention_in", "attention_out", *_MLP),
    "decoder": ("attention_in", "attention_out", "query_in", "cross_out", *_MLP),
}
#: All of a decoder's block in the order of the weights.
_DECODER = ("attention_in", "attention_out", "query_in", "memory_in", "cross_out", *_MLP)


class EncoderDecoder(StackedWeights, Blocks):
    """See StackModel."""

    def __init__(
        self, shape: EncoderDecoderShape, seeds: Sequence[int], options: ModelOptions
    ) -> None:
        super().__init__(
            shape,
            residual_scale=options.residual_scale,
            tied_logit_factor=options.tied_logit_factor,
            rotary_base=options.rotary_base,
            compute_dtype=torch.bfloat16 if options.precision == "bf16" else torch.float32,
            used_vocab_size=options.used_vocab_size,
        )
        self.shape = shape
        self.source_tokens = shape.source_tokens
        self._depths = {"encoder": shape.encoder_depth, "decoder": shape.depth}
        # Branches of a stack weigh as one over its blocks, as the recipe has it for the decoder's.
        self.encoder_scale = options.residual_scale * shape.depth / shape.encoder_depth
        self._run_encoder: Callable[..., Tensor] = self._encoder_block
        self._run_decoder: Callable[..., Tensor] = self._decoder_block
        if self.used_vocab_size < shape.vocab_size:
            self.start_token = self.used_vocab_size  # the objective's own, behind the corpus'
        self.layout = _layout(shape)
        drawn = ([matrix for _, matrix in drawn_matrices(self.layout, seed)] for seed in seeds)
        self.start(torch.stack([torch.cat(matrices) for matrices in drawn]))

    @property
    def most_inputs(self) -> int:
        """See StackModel."""
        return self.shape.targets

    def forward(self, tokens: Tensor, source: Tensor, is_source: Tensor | None = None) -> Tensor:
        """Logits of the target's tokens, over the used part of the vocabulary.

        tokens: (replicas, sequences, targets), the start and all but the last of the target;
        source: (replicas, sequences, source tokens); is_source: of the same size, where it is no
        padding, which nothing attends to; None: everywhere. -> (replicas, sequences * targets,
        used vocabulary)
        """
        weights = self.matrices()
        read = self._read(weights, source, is_source)
        return self._written(weights, tokens, read, [None] * self.shape.depth)

    def new_cache(self, sequences: int, *source: Tensor) -> SourceCache:
        """See StackModel."""
        read, shape = self._read(self.matrices(), *source), self.shape
        rows = self.replicas * sequences
        return SourceCache(rows, shape.heads, shape.targets, shape.head_size, read)

    def logits_onward(self, tokens: Tensor, past: KeyValueCache) -> Tensor:
        """See StackModel."""
        assert isinstance(past, SourceCache), "a cache of this model"
        return self._written(self.matrices(), tokens, past.source, past.layers)

    def compile_blocks(self, **options: Any) -> None:
        """Have torch.compile fuse the blocks: one compilation for each of the two stacks."""
        torch.compiler.reset()  # else a process gives up after a few shapes of one function
        self._run_encoder = torch.compile(self._encoder_block, dynamic=False, **options)
        self._run_decoder = torch.compile(self._decoder_block, dynamic=False, **options)
        self.is_compiled = True

    def _read(
        self, weights: dict[str, Tensor], source: Tensor, is_source: Tensor | None = None
    ) -> ReadSource:
        """The encoder's blocks, and keys and values of what comes out for each of the decoder's."""
        sequences, turns = source.shape[1], self._turns(source.shape[-1])
        mask = None if is_source is None else is_source.flatten(0, 1)[:, None, None]
        x = self._first(source, weights["embedding"])
        plain: Callable[..., Tensor] = self._encoder_block
        run_block = self._run_encoder if torch.is_grad_enabled() else plain
        for matrices in self._layers(weights, "encoder"):
            x = run_block(x, *matrices, sequences, mask)
        found = []
        for layer in range(self.shape.depth):
            memory_in = weights[f"decoder{layer}.memory_in"]
            x, key, value = project_memory(x, memory_in, turns, sequences, self.heads, self.fused)
            found.append((key, value))
        return ReadSource(tuple(found), mask)

    def _encoder_block(
        self,
        x: Tensor,
        attention_in: Tensor,
        attention_out: Tensor,
        mlp_in: Tensor,
        mlp_out: Tensor,
        sequences: int,
        mask: Tensor | None,
    ) -> Tensor:
        """x: (replicas, positions of the source, width)."""
        turns, scale = self._turns(x.shape[1] // sequences), self.encoder_scale
        matrices = attention_in, attention_out
        x = self._add_attention(
            x, matrices, turns, sequences, is_causal=False, mask=mask, scale=scale
        )
        return self._add_mlp(x, mlp_in, mlp_out, scale)

    def _written(
        self,
        weights: dict[str, Tensor],
        tokens: Tensor,
        source: ReadSource,
        pasts: Sequence[LayerCache | None],
    ) -> Tensor:
        """The decoder's blocks and the head; the tokens follow those of the past."""
        x = self._first(tokens, weights["embedding"])
        layers = self._layers(weights, "decoder")
        plain: Callable[..., Tensor] = self._decoder_block
        run_block = self._run_decoder if torch.is_grad_enabled() else plain
        for matrices, past, memory in zip(layers, pasts, source.layers, strict=True):
            x = run_block(x, *matrices, *memory, tokens.shape[1], source.mask, past)
        return self._logits(x, weights["embedding" if self.shape.tied_head else "head"])

    def _decoder_block(
        self,
        x: Tensor,
        attention_in: Tensor,
        attention_out: Tensor,
        query_in: Tensor,
        cross_out: Tensor,
        mlp_in: Tensor,
        mlp_out: Tensor,
        key: Tensor,
        value: Tensor,
        sequences: int,
        mask: Tensor | None,
        past: LayerCache | None,
    ) -> Tensor:
        """x: (replicas, positions of the target, width), which follow those of the past; keys and
        values of the source."""
        first = self.source_tokens - 1 + (past.length if past else 0)
        turns, matrices = self._turns(x.shape[1] // sequences, first), (attention_in, attention_out)
        x = self._add_attention(x, matrices, turns, sequences, is_causal=True, past=past)
        x, query = project_queries(x, query_in, turns, sequences, self.heads, self.fused)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=self.attention_scale
        )
        return self._add_mlp(self._add_mixed(x, mixed, cross_out), mlp_in, mlp_out)

    def _layers(self, weights: dict[str, Tensor], stack: str) -> Iterator[list[Tensor]]:
        """The matrices of each block of a stack."""
        for layer in range(self._depths[stack]):
            yield [weights[f"{stack}{layer}.{name}"] for name in _BLOCKS[stack]]


def _layout(shape: EncoderDecoderShape) -> Layout:
    """Every matrix in the order of the flat weights: name -> (in, out)."""
    width = shape.width
    sizes = {
        "attention_in": (width, 3 * width),
        "attention_out": (width, width),
        "query_in": (width, width),
        "memory_in": (width, 2 * width),
        "cross_out": (width, width),
        "mlp_in": (width, shape.mlp_inputs * shape.mlp_width),
        "mlp_out": (shape.mlp_width, width),
    }
    layout: Layout = {"embedding": (shape.vocab_size, width)}
    for stack, names, depth in (
        ("encoder", _BLOCKS["encoder"], shape.encoder_depth),
        ("decoder", _DECODER, shape.depth),
    ):
        for layer in range(depth):
            layout |= {f"{stack}{layer}.{name}": sizes[name] for name in names}
    if not shape.tied_head:
        layout["head"] = (width, shape.vocab_size)
    return layout
