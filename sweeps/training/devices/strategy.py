"""How one run is spread over several devices: whole on each (DDP), or a share on each (FSDP)."""

import os
from datetime import timedelta
from typing import Any

import torch

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.models.registry import find_family
from sweeps.planning.costs.memory import BYTES_PER_PARAM
from sweeps.planning.packing import Pack
from sweeps.training.devices.device import choose_device

_SHARE_OF_MEMORY = 0.75  # the rest is for activations

#: Whoever waits longest waits for the first device to store results; a hang is seen by the driver.
PATIENCE = timedelta(days=7)


def resolve_strategy(
    launch: LaunchConfig, pack: Pack, memory_bytes: int | None = None
) -> LaunchConfig:
    """The same settings with a strategy in place of auto; `memory_bytes`: of one device.

    Raises ConfigError for a pack of several replicas that is to be sharded.
    """
    if launch.world_size == 1:
        return launch
    params, replicas = pack.runs[0].shape.params, len(pack.replicas)
    if launch.resources.strategy == "fsdp" and replicas > 1:
        raise ConfigError(
            f"{pack.runs[0].name}: launch.resources.strategy fsdp trains one run at a time, not a "
            f"pack of {replicas}; set launch.speed.pack to 1"
        )
    if launch.resources.strategy != "auto":
        return launch
    memory = memory_bytes or device_memory(launch)
    shards = "shard" in find_family(pack.runs[0].family).can
    fits = replicas * params * BYTES_PER_PARAM <= _SHARE_OF_MEMORY * memory
    strategy = "ddp" if fits or replicas > 1 or not shards else "fsdp"
    return launch.changed(resources={"strategy": strategy})


def is_sharded(launch: LaunchConfig) -> bool:
    """Whether each device holds a share of the model; the strategy has to be resolved."""
    return launch.world_size > 1 and launch.resources.strategy == "fsdp"


def device_memory(launch: LaunchConfig) -> int:
    """Bytes of one device; processes on a CPU share what there is."""
    if choose_device(launch.device).type == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // launch.resources.devices


def lightning_strategy(launch: LaunchConfig) -> Any:
    """What the Trainer takes as its strategy."""
    if launch.world_size == 1:
        return "auto"
    from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy

    if is_sharded(launch):
        return ModelParallelStrategy(
            data_parallel_size=launch.world_size, tensor_parallel_size=1, timeout=PATIENCE
        )
    # The gradient is a view of what is summed: DDP would else hold all of it twice.
    return DDPStrategy(timeout=PATIENCE, gradient_as_bucket_view=True)
