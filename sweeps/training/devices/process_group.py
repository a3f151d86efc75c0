"""The processes that train one run together: joining them, agreeing, telling each other."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from sweeps.config.launch import LaunchConfig


def hosted_store(host: str) -> Any:
    """Where ranks meet, hosted by this process on a port that is its own; `host` names this node.

    As rank 0, this process shares the server when it joins.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(host, 0, is_master=True, wait_for_workers=False, multi_tenant=True)


@contextlib.contextmanager
def joined(launch: LaunchConfig) -> Iterator[None]:
    """Be one of the processes that train a run, as the environment says which."""
    import torch
    import torch.distributed as dist

    from sweeps.training.devices.device import choose_device
    from sweeps.training.devices.strategy import PATIENCE

    backend = "gloo"
    if choose_device(launch.device).type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def agreed(value: Any) -> Any:
    """What rank 0 says, on every rank; the value itself where there is one rank only."""
    import torch.distributed as dist

    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def gathered(value: Any) -> list[Any]:
    """What each rank says, on every rank, by rank."""
    import torch.distributed as dist

    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def rank() -> int:
    """Which of the processes of a run this is; 0 where there is one only."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_initialized() else 0
