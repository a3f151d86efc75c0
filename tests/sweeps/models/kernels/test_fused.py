"""Facts about operations of one kernel: what they compute, where, and that they compile."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks.speed.kernels_beside_twins import cases
from scaling.shape import TransformerShape
from sweeps.data.batch import Batch
from sweeps.models.decoder.stack import Transformer
from sweeps.models.kernels.fused import ALL, PLAIN
from sweeps.models.kernels.operations import add_product
from sweeps.objectives.cross_entropy import training_loss

ROOT = Path(__file__).parents[4]
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def drawn(*sizes, seed=0):
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


#: What the kernels are compared with, and the one operation that has none.
TWINS = cases() | {
    "product that is added": (
        lambda _, x, y, m: [add_product(x, y, m, 0.3)],
        [drawn(2, 5, 8), drawn(2, 5, 4), drawn(2, 4, 8)],
    )
}


@pytest.mark.parametrize("name", TWINS)
def test_a_twins_gradient_is_that_of_finite_differences(name):
    """In float64, along three directions; a norm over a pair near zero bends most, and central
    differences are right to 1e-8 there."""
    compute, given = TWINS[name]
    inputs = [one.double().requires_grad_() for one in given]

    def total(leaves):
        results = compute(PLAIN, *leaves)
        return sum((one * drawn(*one.shape, seed=7)).sum() for one in results)

    total(inputs).backward()
    for seed in (11, 12, 13):
        way = [drawn(*one.shape, seed=seed + place) for place, one in enumerate(inputs)]
        with torch.no_grad():
            above, below = (
                total([one + step * move for one, move in zip(inputs, way, strict=True)])
                for step in (1e-6, -1e-6)
            )
        slope = sum((one.grad * move).sum() for one, move in zip(inputs, way, strict=True))
        assert float(slope) == pytest.approx(float(above - below) / 2e-6, rel=1e-6, abs=1e-6)


def test_a_cpu_runs_the_twins_whatever_is_wanted():
    shape = TransformerShape(width=32, depth=1, head_size=8, context=8, vocab_size=16)
    tokens = torch.arange(18).view(1, 2, 9) % 16
    found = []
    for fused in (PLAIN, ALL):
        model = Transformer(shape, [1])
        model.fused = fused
        loss, _ = training_loss(model, Batch.of_windows(tokens), 1e-4)
        loss.backward()
        found.append((loss.detach(), model.weights.grad))
    assert all(torch.equal(*sides) for sides in zip(*found, strict=True))


def in_a_process(*program, **variables):
    done = subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@needs_triton
def test_the_kernels_compute_what_their_twins_do():
    """In Triton's interpreter: the kernels' own text, on a CPU."""
    program = ("-m", "benchmarks.speed.kernels_beside_twins")
    gaps = in_a_process(*program, TRITON_INTERPRET="1")
    assert len(gaps) > 15
    for name, gap in gaps.items():
        # float32 sums in another order; in bfloat16 roundings of 2^-8, of which the twin has more
        assert gap < (2e-2 if "bf16" in name else 1e-5), name


_COMPILE = """
import json, sys
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from sweeps.models.kernels import triton_kernels as kernels

bf, f, i = "*bf16", "*fp32", "i32"
rows = {"rows": i, "width": i, "length": i, "symbols": i, "step": i, "entries": i}
tensors = {name: bf for name in "x y of_stream of_y found heads pairs hidden slope logits".split()}
floats = "scale turns loss partition of_loss of_partition".split()
types = rows | tensors | {name: f for name in floats} | {"targets": "*i64", "epsilon": "fp32"}
for part in range(3):
    types |= {f"of_{part}": bf} | {f"{axis}_{part}": i for axis in ("sequence", "head", "place")}
constants = {
    "_norm": {"ROWS": 2, "WIDTH": 2048},
    "_norm_back": {"STREAM": True, "ROWS": 64, "WIDTH": 64},
    "_heads": {"RUN": 4, "STEP": 192, "SIZE": 32, "ROWS": 128, "WIDTH": 32},
    "_heads_back": {"HEADS": 2, "PARTS": 3, "TURNED": 2, "SIZE": 24, "ROWS": 128, "WIDTH": 32},
    "_square": {"BLOCK": 1024},
    "_square_back": {"BLOCK": 1024},
    "_losses": {"ROWS": 1, "BLOCK": 4096},
    "_losses_back": {"ROWS": 16, "BLOCK": 256},
}
found = {}
for name, fixed in constants.items():
    kernel = getattr(kernels, name)
    signature = {one: "constexpr" if one in fixed else types[one] for one in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=fixed)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    found[name] = [len(made.asm["cubin"]), made.metadata.shared, ".local" in made.asm["ptx"]]
json.dump(found, sys.stdout)
"""


@pytest.mark.slow
@needs_triton
def test_the_kernels_compile_for_a_hopper_gpu(tmp_path):
    """Triton writes machine code for a device that is not here; nothing spills or overflows."""
    made = in_a_process("-c", _COMPILE, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert len(made) == 8
    for name, (size, shared, spills) in made.items():
        assert size > 1000, name
        assert shared <= 48 * 1024, name  # what every CUDA device gives a program
        assert not spills, name
