"""The family `encoder_decoder/1`, as a stack of replicas: Q(target | source).

Vaswani et al. 2017 (arXiv:1706.03762), in the decoder family's blocks:

    e = rms(Embedding[source]);  per block: e += s Attention(rms(e));  e += s MLP(rms(e));
    x = rms(Embedding[start, target]);  per block: x += s CausalAttention(rms(x));
    x += s Attention(rms(x) on rms(e));  x += s MLP(rms(x));  logits = rms(x) Head

One embedding for both. Unlike there: pre-norm and the rest that `blocks` says, and positions are
those of the block that source and target are parts of (rotary, in all three attentions); the start
token stands at the place of the source's last.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sweeps.models.blocks import Blocks, drawn_matrices
from sweeps.models.encoder_decoder_shape import EncoderDecoderShape
from sweeps.models.family import ModelOptions
from sweeps.models.operations import project_memory, project_queries
from sweeps.models.stacked import Layout, StackedWeights

_ENCODER = ("attention_in", "attention_out", "mlp_in", "mlp_out")
_DECODER = (*_ENCODER[:2], "query_in", "memory_in", "cross_out", *_ENCODER[2:])


class EncoderDecoder(StackedWeights, Blocks):
    """See StackModel."""

    continues_nothing = "it reads a source and its target, not one text"

    def __init__(
        self, shape: EncoderDecoderShape, seeds: Sequence[int], options: ModelOptions
    ) -> None:
        super().__init__(
            shape,
            residual_scale=options.residual_scale,
            rotary_base=options.rotary_base,
            compute_dtype=torch.bfloat16 if options.precision == "bf16" else torch.float32,
            used_vocab_size=options.used_vocab_size,
        )
        self.shape = shape
        self.layout = _layout(shape)
        drawn = ([matrix for _, matrix in drawn_matrices(self.layout, seed)] for seed in seeds)
        self.start(torch.stack([torch.cat(matrices) for matrices in drawn]))

    def forward(self, tokens: Tensor, source: Tensor) -> Tensor:
        """Logits of the target's tokens, over the used part of the vocabulary.

        tokens: (replicas, sequences, targets), the start and all but the last of the target;
        source: (replicas, sequences, source tokens) -> (replicas, sequences * targets, used
        vocabulary)
        """
        weights, sequences = self.matrices(), tokens.shape[1]
        heres = self._turns(source.shape[-1])
        theres = self._turns(tokens.shape[-1], source.shape[-1] - 1)
        memory = self._first(source, weights["embedding"])
        for attention_in, attention_out, mlp_in, mlp_out in self._layers(weights, "encoder"):
            matrices = attention_in, attention_out
            memory = self._add_attention(memory, matrices, heres, sequences, is_causal=False)
            memory = self._add_mlp(memory, mlp_in, mlp_out)
        x = self._first(tokens, weights["embedding"])
        for into, out, query_in, memory_in, cross_out, *mlp in self._layers(weights, "decoder"):
            x = self._add_attention(x, (into, out), theres, sequences, is_causal=True)
            x, query = project_queries(x, query_in, theres, sequences, self.heads)
            memory, key, value = project_memory(memory, memory_in, heres, sequences, self.heads)
            mixed = F.scaled_dot_product_attention(query, key, value, scale=self.attention_scale)
            x = self._add_mlp(self._add_mixed(x, mixed, cross_out), *mlp)
        return self._logits(x, weights["embedding" if self.shape.tied_head else "head"])

    def _layers(self, weights: dict[str, Tensor], stack: str) -> Iterator[list[Tensor]]:
        """The matrices of each block of a stack."""
        names = _ENCODER if stack == "encoder" else _DECODER
        for layer in range(self.shape.depth):
            yield [weights[f"{stack}{layer}.{name}"] for name in names]


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
    for stack, names in (("encoder", _ENCODER), ("decoder", _DECODER)):
        for layer in range(shape.depth):
            layout |= {f"{stack}{layer}.{name}": sizes[name] for name in names}
    if not shape.tied_head:
        layout["head"] = (width, shape.vocab_size)
    return layout
