"""What a run takes of its device's memory, and whether a plan fits the device that it is for."""

import os

from scaling.compute import STATE_BYTES_PER_PARAM
from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.models.registry import find_family
from sweeps.planning.gpus import uses_cuda
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan

#: What `scaling allocate` counts with, too.
BYTES_PER_PARAM = STATE_BYTES_PER_PARAM


def state_bytes(run: RunPlan, launch: LaunchConfig) -> int:
    """What a device holds of one run at least: weights, gradients and moments, shared among the
    devices where they can be. Activations come on top; a batch is cut until they fit."""
    resources = launch.resources
    shared = resources.strategy == "fsdp" or (
        resources.strategy == "auto" and "shard" in find_family(run.family).can
    )
    return BYTES_PER_PARAM * run.shape.params // (resources.world_size if shared else 1)


def weights_bytes(plan: SweepPlan) -> int:
    """What the kept weights of all runs take of a disk: float32, and headers of a kilobyte."""
    return sum(4 * run.shape.params for run in plan.runs)


def device_bytes(launch: LaunchConfig) -> int | None:
    """The memory of one device, where the config or this machine says it; else None."""
    resources = launch.resources
    if uses_cuda(launch):
        stated = resources.device_memory_gb
    elif launch.on_one_machine:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return whole // resources.devices
    else:
        stated = resources.memory_gb
    return None if stated is None else int(stated * 1e9)


def memory_document(plan: SweepPlan) -> dict[str, float | None]:
    """What a JSON document says of it: GB of the largest run's state, of a device, and of the disk
    where weights are kept."""
    launch, have = plan.config.launch, device_bytes(plan.config.launch)
    most = max(state_bytes(run, launch) for run in plan.runs)
    disk = {"weights_gb": weights_bytes(plan) / 1e9} if launch.keep_weights else {}
    return {"state_gb": most / 1e9, "device_gb": None if have is None else have / 1e9, **disk}


def check_memory(plan: SweepPlan) -> None:
    """Raise ConfigError for the first run that cannot fit its device, where that is known."""
    have = device_bytes(plan.config.launch)
    if have is None:
        return
    for run in plan.runs:
        needed = state_bytes(run, plan.config.launch)
        if needed > have:
            raise ConfigError(
                f"{run.name}: its weights, gradients and moments alone take {needed / 1e9:.3g} GB, "
                f"and a device has {have / 1e9:.3g}; drop it, or share it among more "
                "launch.resources.devices"
            )
