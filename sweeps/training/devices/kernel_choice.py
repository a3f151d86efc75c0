"""Which operations of a model run as one kernel on its device: by a measurement there."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sweeps.config.launch import LaunchConfig
from sweeps.models.kernels.fused import PLAIN, Fused
from sweeps.models.kernels.operations import add_squared_relu_mlp, project_heads, rms_norm
from sweeps.models.registry import find_family
from sweeps.objectives.cross_entropy import token_losses
from sweeps.planning.gpus import is_worth_compiling
from sweeps.planning.run_plan import RunPlan
from sweeps.training.devices.memory import free_memory

_ENTRIES = 1 << 25  # of the residual stream that is tried: enough that kernels hide their launches
_LOGITS = 1 << 27
_LENGTH = 64  # of a sequence in what is tried
_ROUNDS = 5
_TOLERANCE = {torch.bfloat16: 2e-2, torch.float32: 1e-3}  # of the largest value

#: An operation forward and backward, some of it fused: results and gradients.
Work = Callable[[Fused], Sequence[Tensor]]


class Sizes(NamedTuple):
    """What of a model's shape its operations depend on."""

    width: int
    head_size: int
    vocab_size: int
    squares: bool
    """Whether its MLP is a squared ReLU."""


class KernelChoice(NamedTuple):
    """What was chosen."""

    fused: Fused = PLAIN
    notes: tuple[str, ...] = ()
    """Which kernels could not be used, and why."""
    ratios: tuple[tuple[str, float], ...] = ()
    """By operation: how many times as fast the kernel was."""


def choose_kernels(run: RunPlan, launch: LaunchConfig, device: torch.device) -> KernelChoice:
    """The kernels for a run's model, as `launch.speed.kernels` wants them; none on a CPU."""
    if device.type == "cpu" or launch.speed.kernels == "plain":
        return KernelChoice()
    shape = run.shape
    head_size = int(getattr(shape, "head_size", 0))
    squares = getattr(shape, "mlp", "") == "relu2"
    dtype = torch.bfloat16 if run.precision == "bf16" else torch.float32
    sizes = Sizes(shape.width, head_size, shape.vocab_size, squares)
    choice = chosen(sizes, device, dtype, measured=launch.speed.kernels == "auto")
    free_memory()
    return choice


@functools.lru_cache(maxsize=64)  # a worker trains many packs of few shapes
def chosen(
    sizes: Sizes,
    device: torch.device,
    dtype: torch.dtype,
    *,
    measured: bool,
    seconds: Callable[[Work, Fused], float] | None = None,
) -> KernelChoice:
    """Each operation of such a model as one kernel where that gives what its twin gives and, where
    it is `measured`, is faster; `seconds` times it."""
    timed = seconds or _seconds
    fused, notes, ratios = PLAIN, [], []
    for name, work in works(sizes, device, dtype).items():
        alone = PLAIN._replace(**{name: True})
        try:
            gap = _gap(work(alone), work(PLAIN))
            if not gap <= _TOLERANCE[dtype]:
                notes.append(f"the fused kernel {name} is off by {gap:.2g}: not used")
                continue
            if measured:
                ratios.append((name, timed(work, PLAIN) / timed(work, alone)))
        except Exception as error:  # whatever a compiler for another machine says
            said = next(iter(str(error).splitlines()), "")
            notes.append(f"no fused kernel {name} ({type(error).__name__}: {said[:120]})")
            continue
        if not measured or ratios[-1][1] > 1:
            fused = fused._replace(**{name: True})
    return KernelChoice(fused, tuple(notes), tuple(ratios))


def compiles(runs: Sequence[RunPlan], launch: LaunchConfig, fused: Fused, on_gpu: bool) -> bool:
    """Whether the blocks are compiled: as `launch.speed.compile` says. `auto`: on a GPU where they
    run without fused kernels, and for so long that it pays, each shape by itself."""
    wanted = launch.speed.compile
    if isinstance(wanted, bool):
        return wanted
    if not on_gpu or fused.mlp or "compile" not in find_family(runs[0].family).can:
        return False
    return is_worth_compiling(runs, launch)


def works(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> dict[str, Work]:
    """What there is to fuse in such a model, by its name in `Fused`, on tensors of some size."""
    width, head_size, symbols, squares = sizes
    sequences = max(1, min(65536, _ENTRIES // width) // _LENGTH)
    if device.type == "cpu":
        sequences = 2  # Triton's interpreter
    positions = sequences * _LENGTH
    generator = torch.Generator(device).manual_seed(0)

    def drawn(*size: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(*size, generator=generator, device=device, dtype=dtype) * scale
        return values.requires_grad_()

    x, of_x = drawn(1, positions, width), drawn(1, positions, width)
    found: dict[str, Work] = {}
    if head_size:
        found["norm"] = lambda fused: _both_ways([rms_norm(x, fused)], [x], [of_x])
        into = drawn(1, width, 3 * width, scale=width**-0.5)
        angles = torch.arange(_LENGTH * head_size // 2, device=device).view(_LENGTH, 1, 1, -1)
        turns = torch.stack((angles.cos(), angles.sin()), dim=-1).float()

        def heads(fused: Fused) -> Sequence[Tensor]:
            turned = turns if fused.heads else turns.to(dtype)
            parts = project_heads(x, into, turned, sequences, width // head_size, fused)
            shaped = of_x.view(sequences, _LENGTH, -1, head_size).transpose(1, 2)
            return _both_ways(parts, [x, into], [of_x, shaped, shaped, shaped])

        found["heads"] = heads
    if squares:
        inner, outer = (drawn(1, *size, scale=width**-0.5) for size in _mlp(width))
        found["mlp"] = lambda fused: _both_ways(
            [add_squared_relu_mlp(x, inner, outer, 0.5, fused)], [x, inner, outer], [of_x]
        )
    rows = max(1, min(positions, _LOGITS // symbols))
    logits = drawn(1, rows, symbols, scale=2.0)
    targets = torch.randint(symbols, (1, rows), generator=generator, device=device)
    ones = torch.ones(1, rows, device=device)

    def losses(fused: Fused) -> Sequence[Tensor]:
        own = logits.detach().clone().requires_grad_()  # the backward overwrites them
        results = token_losses(own, targets, fused=fused.loss)
        return _both_ways(results, [own], [ones, 0.1 * ones])

    found["loss"] = losses
    return found


def _mlp(width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (width, 4 * width), (4 * width, width)


def _both_ways(
    results: Sequence[Tensor], leaves: Sequence[Tensor], slopes: Sequence[Tensor]
) -> list[Tensor]:
    """Results and gradients."""
    gradients = torch.autograd.grad(list(results), list(leaves), [one.detach() for one in slopes])
    return [*(one.detach() for one in results), *gradients]


def _gap(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference over the largest value."""
    pairs = zip(ours, theirs, strict=True)
    return max(float((a.float() - b.float()).abs().max() / b.float().abs().max()) for a, b in pairs)


def _seconds(work: Work, fused: Fused) -> float:
    """Of one call on a CUDA device that has been made before."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(_ROUNDS):
        work(fused)
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / _ROUNDS
