"""Run in a process of its own with TRITON_INTERPRET=1: how far each kernel lies from its twin.

Prints JSON: by name, the largest difference over the largest value.
"""

import json
import sys

import torch

from scaling.shape import TransformerShape
from sweeps.data.batch import Batch
from sweeps.models.fused import ALL, PLAIN, runs_on_cpu
from sweeps.models.operations import (
    add_squared_relu_mlp,
    norm_project,
    project_heads,
    project_memory,
    project_queries,
    rms_norm,
)
from sweeps.models.transformer import Transformer
from sweeps.objectives.cross_entropy import token_losses, training_loss

GENERATOR = torch.Generator().manual_seed(0)


def drawn(*sizes, scale=1.0, dtype=torch.float32):
    drawn = scale * torch.randn(*sizes, generator=GENERATOR)
    return drawn.to(dtype).requires_grad_()


def angles(length, size):
    found = torch.rand(length, 1, 1, size // 2, generator=GENERATOR) * 6
    return torch.stack((found.cos(), found.sin()), dim=-1)


def gap(compute, inputs):
    """Results and gradients, by the kernels and by the twins."""
    sides = []
    for fused in (ALL, PLAIN):
        leaves = [one.detach().clone().requires_grad_() for one in inputs]
        results = compute(fused, *leaves)
        seed = torch.Generator().manual_seed(1)
        total = sum((one.float() * torch.randn(one.shape, generator=seed)).sum() for one in results)
        total.backward()
        sides.append([one.detach().float() for one in (*results, *(leaf.grad for leaf in leaves))])
    return max(
        float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-3))
        for ours, theirs in zip(*sides, strict=True)
    )


def of_model(**more):
    """Losses and gradients of a whole model."""
    shape = TransformerShape(width=48, depth=2, head_size=24, context=12, vocab_size=64, **more)
    model = Transformer(shape, [1, 2], used_vocab_size=50)
    tokens = torch.randint(50, (2, 3, 13), generator=GENERATOR)
    with torch.no_grad():
        model.weights += 0.05 * torch.randn(model.weights.shape, generator=GENERATOR)

    def compute(fused, weights):
        model.weights.data.copy_(weights.detach())
        model.weights.grad, model.fused = None, fused
        total, losses = training_loss(model, Batch.of_windows(tokens), 1e-4)
        total.backward()
        return [losses, model.weights.grad.clone()]

    ours, theirs = (compute(fused, model.weights.detach().clone()) for fused in (ALL, PLAIN))
    return max(
        float((mine - other).abs().max() / other.abs().max())
        for mine, other in zip(ours, theirs, strict=True)
    )


def gaps():
    found = {}
    for width in (8, 48, 64, 5000):
        x = drawn(2, 9, width)
        found[f"norm {width}"] = gap(lambda fused, x: [rms_norm(x, fused)], [x])
    low = drawn(2, 9, 64, dtype=torch.bfloat16)
    found["norm bf16"] = gap(lambda fused, x: [rms_norm(x, fused)], [low])
    x, matrix = drawn(2, 14, 32), drawn(2, 32, 96, scale=0.3)
    found["norm_project"] = gap(lambda f, x, m: norm_project(x, m, f), [x, matrix])
    for size in (2, 8, 16):
        turns, heads = angles(7, size), 32 // size
        found[f"heads {size}"] = gap(
            lambda f, x, m, t=turns, h=heads: project_heads(x, m, t, 2, h, f), [x, matrix]
        )
    turns = angles(7, 8)
    found["queries"] = gap(
        lambda f, x, m: project_queries(x, m, turns, 2, 4, f), [x, drawn(2, 32, 32, scale=0.3)]
    )
    found["memory"] = gap(
        lambda f, x, m: project_memory(x, m, turns, 2, 4, f), [x, drawn(2, 32, 64, scale=0.3)]
    )
    inner, outer = drawn(2, 32, 128, scale=0.3), drawn(2, 128, 32, scale=0.3)
    found["squared relu"] = gap(
        lambda f, x, i, o: [add_squared_relu_mlp(x, i, o, 0.3, f)], [x, inner, outer]
    )
    for symbols in (7, 256, 5001):
        targets = torch.randint(symbols, (2, 9), generator=GENERATOR)
        found[f"cross-entropy {symbols}"] = gap(
            lambda f, logits, t=targets: token_losses(logits * 1, t, fused=f.loss),
            [drawn(2, 9, symbols, scale=3)],
        )
    targets = torch.randint(50, (2, 9), generator=GENERATOR)
    found["cross-entropy, padded"] = gap(
        lambda f, logits: token_losses((logits * 1)[..., :50], targets, fused=f.loss),
        [drawn(2, 9, 64, scale=3)],
    )
    found["model"] = of_model()
    found["model, both sides"] = of_model(bidirectional=True)
    found["model, swiglu, tied"] = of_model(mlp="swiglu", tied_head=True)
    return found


if __name__ == "__main__":
    assert runs_on_cpu(), "set TRITON_INTERPRET=1"
    json.dump(gaps(), sys.stdout)
