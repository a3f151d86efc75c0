"""What a run asks of a Ray cluster, and the refusal of what the cluster will never have."""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from scaling.errors import ConfigError
from scaling.words import counted
from sweeps.config.launch import LaunchConfig

#: How long an autoscaler has to begin with a node: it looks at what is asked for every 5 s.
_AUTOSCALER_SECONDS = 20.0


def resources(launch: LaunchConfig) -> dict[str, float]:
    """What Ray reserves for a task of a run: all of one of its nodes."""
    asked: dict[str, float] = {"num_cpus": launch.reserved_cpus, "num_gpus": launch.reserved_gpus}
    if launch.resources.memory_gb is not None:
        asked["memory"] = launch.resources.memory_gb * 1e9
    return asked


def remote(ray: Any, launch: LaunchConfig, function: Callable[..., Any]) -> Any:
    """The function as a Ray task.

    Where it is given GPUs, in a process of its own: Ray tells a process anew with each task which
    GPUs it has, and CUDA listens once. (Ray does so by itself where the GPUs stand in the
    decorator, and ours come with each call.)
    """
    return ray.remote(max_calls=1)(function) if launch.reserved_gpus else ray.remote(function)


def bundle(launch: LaunchConfig) -> dict[str, float]:
    """The same, as a placement group names it: what every node of a run has to have."""
    asked = {
        "CPU": launch.reserved_cpus,
        "GPU": launch.reserved_gpus,
        "memory": (launch.resources.memory_gb or 0) * 1e9,
    }
    return {name: least for name, least in asked.items() if least}


def require_resources(ray: Any, launch: LaunchConfig) -> None:
    """Refuse what no node has and no autoscaler brings; Ray itself would wait for ever.

    Where no node is large enough, Ray is asked for a placement group. An autoscaler that has a
    larger kind of node begins to launch one within seconds, and then the sweep waits for it,
    however long that takes. Raises ConfigError where nothing happens.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(node.get("GPU", 0) for node in nodes)
    if gpus and launch.device == "auto":
        raise ConfigError(
            f"launch.device is auto, and the Ray cluster has {counted(int(gpus), 'GPU')}: nobody "
            "would reserve them, and all runs of a node would take its first; give launch.device "
            "cuda, which reserves launch.resources.devices for each run, or cpu"
        )
    asked = bundle(launch)
    fit = sum(all(node.get(name, 0) >= most for name, most in asked.items()) for node in nodes)
    if fit >= launch.resources.nodes:
        return
    if _are_brought(ray, launch):
        return
    most: dict[str, float] = max(
        nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), default={}
    )
    each, have = "", "none"
    if launch.resources.nodes > 1:
        each, have = f" on each of {launch.resources.nodes} nodes", f"{fit}" if fit else "none"
    raise ConfigError(
        f"a run asks for {launch.reserved_cpus} CPUs, {launch.reserved_gpus} GPUs, "
        f"{launch.resources.memory_gb or 0:g} GB{each}, which {have} of {len(nodes)} Ray nodes "
        f"has (the largest: "
        f"{most.get('CPU', 0):g} CPUs, {most.get('GPU', 0):g} GPUs, "
        f"{most.get('memory', 0) / 1e9:.1f} GB) and no autoscaler brings; lower threads, devices, "
        "nodes or memory_gb of launch.resources"
    )


def _are_brought(ray: Any, launch: LaunchConfig) -> bool:
    """Whether nodes of this size are there, or on their way, before long."""
    from ray.util import placement_group, remove_placement_group

    group = placement_group([bundle(launch)] * launch.resources.nodes, strategy="STRICT_SPREAD")
    deadline = time.monotonic() + _AUTOSCALER_SECONDS
    try:
        while time.monotonic() < deadline:
            if group.wait(timeout_seconds=1) or pending_nodes(_status(ray)):
                return True
        return False
    finally:
        remove_placement_group(group)


def _status(ray: Any) -> str:
    """What `ray status` prints: no other public part of Ray knows of nodes that do not run yet."""
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", f"--address={address}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def pending_nodes(status: str) -> list[str]:
    """The nodes that an autoscaler is launching, a line each, by what `ray status` prints.

    Raises ConfigError where it prints something else.
    """
    _, found, rest = status.partition("\nPending:\n")
    if not found and "No cluster status" not in status:
        said = " ".join(status.split())[-200:] or "nothing"
        raise ConfigError(
            f"`ray status` does not tell which nodes are coming (it says: {said}); start nodes "
            "that a run fits on before the sweep, or install the Ray of constraints.txt"
        )
    lines = takewhile(lambda line: line.startswith(" "), rest.splitlines())
    return [line.strip() for line in lines if line.strip() != "(no pending nodes)"]
