"""How far each fused kernel lies from its twin, forward and backward.

    TRITON_INTERPRET=1 python -m benchmarks.speed.kernels_beside_twins      # on a CPU, slowly
    python -m benchmarks.speed.kernels_beside_twins --device cuda

Prints JSON: by name, the largest difference over the largest value.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from scaling.shape import TransformerShape
from sweeps.data.batch import Batch
from sweeps.models.decoder.stack import Transformer
from sweeps.models.kernels.fused import ALL, PLAIN, runs_on_cpu
from sweeps.models.kernels.operations import (
    add_squared_relu_mlp,
    norm_project,
    project_heads,
    project_memory,
    project_queries,
    rms_norm,
)
from sweeps.objectives.cross_entropy import token_losses, training_loss

Compute = Callable[..., Sequence[Tensor]]


def gaps(device: torch.device) -> dict[str, float]:
    """By name, of results and gradients, the largest difference over the largest value; and 1 where
    gradients that overwrite what they are made from would be given twice, or what is no number
    would be hidden."""
    found = {name: _gap(compute, inputs, device) for name, (compute, inputs) in cases().items()}
    for name, options in {
        "model": {},
        "model, both sides": {"bidirectional": True},
        "model, swiglu, tied": {"mlp": "swiglu", "tied_head": True},
    }.items():
        found[name] = _gap_of_model(device, **options)
    for name in ("squared relu", "cross-entropy 7 of 7"):
        found[f"{name}, asked twice"] = float(_answers_twice(*cases()[name], device))
    for name in ("norm 64", "heads of 8", "squared relu", "cross-entropy 7 of 7"):
        found[f"{name}, of no number"] = float(_hides(*cases()[name], device))
    return found


def _hides(compute: Compute, inputs: Sequence[Tensor], device: torch.device) -> bool:
    """Whether results are numbers where an input is none: a run that diverges would not be seen."""
    spoilt = [one.to(device, copy=True) for one in inputs]
    spoilt[min(1, len(spoilt) - 1)][..., 0] = math.nan  # a matrix: the stream would go past it
    return all(bool(one.isfinite().all()) for one in compute(ALL, *spoilt))


def _answers_twice(compute: Compute, inputs: Sequence[Tensor], device: torch.device) -> bool:
    """Whether PyTorch would go backward a second time, over what the first has overwritten."""
    leaves = [one.to(device, copy=True).requires_grad_() for one in inputs]
    total = sum(one.float().sum() for one in compute(ALL, *leaves))
    assert isinstance(total, Tensor), "there are results"
    total.backward(retain_graph=True)
    try:
        total.backward()
    except RuntimeError:
        return False
    return True


def cases() -> dict[str, tuple[Compute, list[Tensor]]]:
    """What is computed, given which operations are fused, and from what, by name."""
    found: dict[str, tuple[Compute, list[Tensor]]] = {}
    for width in (8, 48, 64, 5000):
        found[f"norm {width}"] = (lambda f, x: [rms_norm(x, f)], [_drawn(2, 9, width)])
    low = _drawn(2, 9, 64).to(torch.bfloat16)
    found["norm bf16"] = (lambda f, x: [rms_norm(x, f)], [low])
    x, matrix = _drawn(2, 14, 32), _drawn(2, 32, 96, scale=0.3)
    found["norm and product"] = (lambda f, x, m: norm_project(x, m, f), [x, matrix])
    for size in (2, 8, 16):
        found[f"heads of {size}"] = (_heads(size), [x, matrix])
    for name, project, parts in (("queries", project_queries, 1), ("memory", project_memory, 2)):
        one = _drawn(2, 32, 32 * parts, scale=0.3)
        found[name] = (_part(project), [x, one])
    inner, outer = _drawn(2, 32, 128, scale=0.3), _drawn(2, 128, 32, scale=0.3)
    found["squared relu"] = (
        lambda f, x, i, o: [add_squared_relu_mlp(x, i, o, 0.3, f)],
        [x, inner, outer],
    )
    for symbols, used in ((7, 7), (256, 256), (5001, 5001), (64, 50)):
        logits = _drawn(2, 9, symbols, scale=3)
        found[f"cross-entropy {used} of {symbols}"] = (_losses(used), [logits])
    return found


def _heads(size: int) -> Compute:
    turns, heads = _angles(7, size), 32 // size
    return lambda f, x, m: project_heads(x, m, turns.to(x), 2, heads, f)


def _part(project: Any) -> Compute:
    turns = _angles(7, 8)
    return lambda f, x, m: project(x, m, turns.to(x), 2, 4, f)


def _losses(used: int) -> Compute:
    targets = torch.randint(used, (2, 9), generator=torch.Generator().manual_seed(used))
    # times 1: the backward overwrites the logits
    return lambda f, logits: token_losses(
        (logits * 1)[..., :used], targets.to(logits.device), fused=f.loss
    )


def _drawn(*sizes: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(*sizes, generator=torch.Generator().manual_seed(seed + sum(sizes)))


def _angles(length: int, size: int) -> Tensor:
    found = 6 * _drawn(length, 1, 1, size // 2)
    return torch.stack((found.cos(), found.sin()), dim=-1)


def _gap(compute: Compute, inputs: Sequence[Tensor], device: torch.device) -> float:
    """Results and gradients, by the kernels and by the twins."""
    sides = []
    for fused in (ALL, PLAIN):
        leaves = [one.to(device, copy=True).requires_grad_() for one in inputs]
        results = compute(fused, *leaves)
        # not what the inputs are: along itself the gradient of a norm is zero
        slopes = [_drawn(*one.shape, seed=1000).to(device) for one in results]
        total = sum((one.float() * way).sum() for one, way in zip(results, slopes, strict=True))
        assert isinstance(total, Tensor), "there are results"
        total.backward()
        gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
        sides.append([one.detach().float() for one in (*results, *gradients)])
    return max(_largest(*pair) for pair in zip(*sides, strict=True))


def _gap_of_model(device: torch.device, **more: Any) -> float:
    """Losses and gradients of a whole model."""
    shape = TransformerShape(width=48, depth=2, head_size=24, context=12, vocab_size=64, **more)
    tokens = torch.randint(50, (2, 3, 13), generator=torch.Generator().manual_seed(0)).to(device)
    sides = []
    for fused in (ALL, PLAIN):
        model = Transformer(shape, [1, 2], used_vocab_size=50)
        with torch.no_grad():
            model.weights += 0.05 * _drawn(*model.weights.shape)
        model = model.to(device)
        model.fused = fused
        total, losses = training_loss(model, Batch.of_windows(tokens), 1e-4)
        total.backward()
        assert model.weights.grad is not None, "backward leaves a gradient"
        sides.append((losses, model.weights.grad))
    return max(_largest(*pair) for pair in zip(*sides, strict=True))


def _largest(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-3))


def main() -> None:
    """Print the gaps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    device = torch.device(parser.parse_args().device)
    if device.type == "cpu" and not runs_on_cpu():
        parser.error("a CPU runs the kernels in Triton's interpreter alone: TRITON_INTERPRET=1")
    json.dump(gaps(device), sys.stdout)


if __name__ == "__main__":
    main()
