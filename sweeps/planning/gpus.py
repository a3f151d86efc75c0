"""What a launch makes of the GPUs of this machine, told without PyTorch."""

import os
from collections.abc import Sequence
from pathlib import Path

from scaling.words import counted
from sweeps.config.launch import LaunchConfig
from sweeps.config.sweep import SweepConfig
from sweeps.planning.run_plan import RunPlan

#: Estimated seconds of training from which compiling pays: it takes half a minute for each shape.
COMPILE_SECONDS = 300.0
#: FLOP a second of a GPU where `launch.speed.flops_per_second` says none. A guess, and a high one,
#: so that what is short is not compiled.
_GPU_FLOPS_PER_SECOND = 1e14
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg")  # of Linux, and of Linux inside Windows (WSL)
_LISTED = "/proc/driver/nvidia/gpus"  # a folder for each GPU
_MPS_FOLDER = "/tmp/nvidia-mps"  # noqa: S108 - NVIDIA's default


def uses_cuda(launch: LaunchConfig) -> bool:
    """Whether the runs go to an NVIDIA GPU."""
    return _sees_driver() if launch.device == "auto" else launch.device == "cuda"


def lacks_gpu(launch: LaunchConfig) -> bool:
    """Whether the runs want a GPU of this machine, and it shows none: `scaling run` is refused."""
    return launch.device == "cuda" and launch.on_one_machine and not _sees_driver()


def _sees_driver() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1") and any(
        Path(place).exists() for place in _DRIVERS
    )


def gpus_here() -> int | None:
    """GPUs of this machine that this process may use; None: the driver does not list them."""
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated:
        names = [name.strip() for name in stated.split(",")]
        return names.index("-1") if "-1" in names else len(names)
    listed = Path(_LISTED)
    return sum(1 for _ in listed.iterdir()) or None if listed.is_dir() else None


def has_mps() -> bool:
    """Whether an MPS server takes processes that share a GPU (nvidia-cuda-mps-control): their
    kernels then run side by side, where they would else take turns."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY", _MPS_FOLDER)
    return (Path(folder) / "control").exists()


def workers_for(launch: LaunchConfig) -> int:
    """Processes that train at the same time: `launch.workers`, but on GPUs of this machine no more
    than have one each, unless MPS lets them share. A pack fills a GPU as well, and without it."""
    have = gpus_here() if launch.engine == "local" and uses_cuda(launch) else None
    if have is None or has_mps():
        return launch.workers
    return max(1, min(launch.workers, have // launch.resources.devices))


def is_worth_compiling(runs: Sequence[RunPlan], launch: LaunchConfig) -> bool:
    """Whether runs that train as one do so for so long that compiling their shape pays."""
    rate = launch.speed.flops_per_second or _GPU_FLOPS_PER_SECOND
    return sum(run.train_flops for run in runs) / rate >= COMPILE_SECONDS


def gpu_document(
    config: SweepConfig, runs: Sequence[RunPlan]
) -> dict[str, int | str | bool | None] | None:
    """What a JSON document says of it; None of a plan for CPUs."""
    launch = config.launch
    if not uses_cuda(launch):
        return None
    return {
        "lacks_gpu": lacks_gpu(launch),
        "gpus_here": gpus_here(),
        "workers": workers_for(launch),
        "mps": has_mps(),
        "precision": config.model.precision,
        "kernels": launch.speed.kernels,
        "compile": launch.speed.compile,
        "runs_worth_compiling": _worth_compiling(runs, launch),
    }


def gpu_text(config: SweepConfig, runs: Sequence[RunPlan]) -> str:
    """The same in lines, each behind a line break; empty of a plan for CPUs."""
    launch = config.launch
    if not uses_cuda(launch):
        return ""
    speed = launch.speed
    lines = [f"GPU: {_KERNELS[speed.kernels]}{_compiling(runs, launch)}"]
    if lacks_gpu(launch):
        lines.append(
            "GPU: this machine shows none (no NVIDIA driver, or CUDA_VISIBLE_DEVICES hides it), so "
            "`scaling run` here is refused; launch.device is cuda"
        )
    if config.model.precision == "fp32":
        lines.append(
            "GPU: products in float32 leave its tensor cores idle, most of its speed; give "
            "model.precision bf16"
        )
    workers, have, each = workers_for(launch), gpus_here(), launch.resources.devices
    if launch.engine == "local" and have is None and workers > 1:
        lines.append(
            f"GPU: {workers} workers where there are {workers * each} GPUs; where fewer are, as "
            "many as have one each, unless an MPS server (nvidia-cuda-mps-control -d) lets them "
            "share"
        )
    elif workers < launch.workers:
        lines.append(
            f"GPU: {workers} of {counted(launch.workers, 'worker')} at a time, as this machine has "
            f"{counted(have or 0, 'GPU')} and no MPS server (nvidia-cuda-mps-control -d) lets "
            "processes share one; runs of one shape share it as a pack"
        )
    elif have is not None and launch.engine == "local" and workers * each > have:
        lines.append(f"GPU: {workers} workers share {counted(have, 'GPU')} by MPS")
    return "".join(f"\n{line}" for line in lines)


_KERNELS = {
    "auto": "kernels are fused where a measurement on it finds that faster (launch.speed.kernels)",
    "fused": "kernels are fused (launch.speed.kernels)",
    "plain": "kernels are PyTorch's own (launch.speed.kernels)",
}


def _worth_compiling(runs: Sequence[RunPlan], launch: LaunchConfig) -> int:
    return sum(is_worth_compiling([run], launch) for run in runs)


def _compiling(runs: Sequence[RunPlan], launch: LaunchConfig) -> str:
    speed = launch.speed
    if speed.compile is True:
        return "; every shape is compiled first (launch.speed.compile)"
    if speed.compile is False or speed.kernels == "fused":
        return ""
    return (
        f"; where none can be, blocks are compiled of the {_worth_compiling(runs, launch)} of "
        f"{counted(len(runs), 'run')} that take {COMPILE_SECONDS / 60:.0f} min and more by "
        "launch.speed.flops_per_second (launch.speed.compile)"
    )
