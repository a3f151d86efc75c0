"""What a GPU itself gives: its ceilings, each kernel, where the time of a step goes, memory."""

import contextlib
import functools
import sys
from collections.abc import Iterator

import torch

from benchmarks.speed.gpu.stage import Stage
from benchmarks.speed.gpu.steps import gpu_stepper, has_kernels, median_seconds, trained
from benchmarks.speed.steps.sizes import GPU_MODELS, GPU_STEP_TOKENS
from benchmarks.speed.steps.stepper import shape_of
from sweeps.models.kernels.fused import ALL, PLAIN
from sweeps.objectives.registry import CAUSAL
from sweeps.training.devices.device import device_name
from sweeps.training.devices.kernel_choice import Sizes, works
from sweeps.training.evaluation import sequences_at_once


def facts(stage: Stage) -> None:
    """What the machine is, and its ceilings for a copy and a product."""
    device = torch.device(stage.device)
    stage.row(
        "machine",
        name=device_name(device),
        torch=torch.__version__,
        python=sys.version.split()[0],
        cudnn=torch.backends.cudnn.version(),
        bytes=torch.cuda.get_device_properties(0).total_memory if stage.on_gpu else None,
        kernels_run=has_kernels(stage),
    )
    size = 1 << (30 if stage.on_gpu else 16)
    with stage.case("copy"):
        one = torch.zeros(size, dtype=torch.uint8, device=device)
        other = torch.empty_like(one)
        seconds = median_seconds(lambda: other.copy_(one), 5)
        stage.row("copy", bytes_per_second=2 * size / seconds)
    side = 8192 if stage.on_gpu else 64
    with stage.case("product"):
        square = torch.randn(side, side, device=device, dtype=torch.bfloat16)
        stage.row(
            "product", flops_per_second=2 * side**3 / median_seconds(lambda: square @ square, 5)
        )
    if stage.on_gpu:
        for head_size in (8, 16, 32, 64, 128):
            with stage.case(f"attention of heads of {head_size}"):
                query = torch.randn(8, 4, 512, head_size, device=device, dtype=torch.bfloat16)
                chosen = torch._fused_sdp_choice(query, query, query, is_causal=True)
                stage.row(f"attention of heads of {head_size}", backend=int(chosen))


def kernels(stage: Stage) -> None:
    """Each fused kernel beside its twin; and where the time of a step goes."""
    device = torch.device(stage.device)
    if has_kernels(stage):
        sizes = Sizes(32 if stage.tiny else 256, 16, 64 if stage.tiny else 32768, squares=True)
        for name, work in works(sizes, device, torch.bfloat16).items():
            with stage.case(f"seam {name}"):
                sides = [median_seconds(functools.partial(work, side), 5) for side in (ALL, PLAIN)]
                stage.row(f"seam {name}", fused_ms=sides[0] * 1e3, plain_ms=sides[1] * 1e3)
    if not stage.on_gpu:
        stage.row("profile", left_out="on a GPU alone")
        return
    from torch.profiler import ProfilerActivity, profile

    for name in ("0.1M", "10M", "125M"):
        if not stage.has_time(f"profile of {name}"):
            return
        with stage.case(f"profile of {name}"):
            sizes = GPU_MODELS[name][0]
            form = "fused" if has_kernels(stage) else "plain"
            stepper = gpu_stepper(stage, shape_of(*sizes), 1, GPU_STEP_TOKENS // sizes[3], form)
            with profile(activities=[ProfilerActivity.CUDA]) as profiled:
                stepper.take(3)
            events = sorted(profiled.key_averages(), key=lambda one: -one.device_time_total)
            stage.row(
                f"profile of {name}",
                kernels_a_step=sum(one.count for one in events) / 3,
                top=[
                    (one.key[:60], one.count / 3, one.device_time_total / 3) for one in events[:20]
                ],
            )


def memory(stage: Stage) -> None:
    """Training beside measuring, and a device that is too small."""
    if not stage.on_gpu:
        stage.row("memory", left_out="on a GPU alone")
        return
    shape = shape_of(256, 4, 8192, 1024, 32) if stage.tiny else shape_of(256, 8, 32768, 1024, 32)
    form = "fused" if has_kernels(stage) else "plain"
    with stage.case("training, 4 of 256 x 8"):
        stepper = gpu_stepper(stage, shape, 4, 16, form)
        stage.row("training, 4 of 256 x 8", peak_bytes=torch.cuda.max_memory_allocated())
        batch, model = stepper.batch, stepper.model
        at_once = sequences_at_once(torch.device("cuda"), stepper.micro_sequences)
        del stepper
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        with torch.no_grad():
            CAUSAL.sequence_losses(model, batch.split(at_once)[0])
        stage.row("measuring the same", peak_bytes=torch.cuda.max_memory_allocated())
        del model, batch
    with stage.case("out of memory"), _device_of(6e9):
        small = shape_of(256, 4, 256, 1024, 32)
        losses, step = trained(
            small,
            1,
            6,
            device=torch.device("cuda"),
            dtype=torch.bfloat16,
            sequences=256,
            graph=True,
        )
        fine = bool(step.notes) and bool(losses.isfinite().all())
        stage.row("out of memory", notes=step.notes, micro=step.micro_sequences, ok=fine)


@contextlib.contextmanager
def _device_of(size: float) -> Iterator[None]:
    """A device of so many bytes, as far as PyTorch's allocator goes."""
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, size / whole))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
