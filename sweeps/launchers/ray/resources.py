"""What a run asks of a Ray cluster, and the refusal of what the cluster will never have."""

import json
import time
from typing import Any

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig

#: How long an autoscaler has to begin with a node: it looks at what is asked for every 5 s.
_AUTOSCALER_SECONDS = 20.0


def resources(launch: LaunchConfig) -> dict[str, float]:
    """What Ray reserves for a task of a run: all of one of its nodes."""
    asked: dict[str, float] = {"num_cpus": launch.reserved_cpus, "num_gpus": launch.reserved_gpus}
    if launch.resources.memory_gb is not None:
        asked["memory"] = launch.resources.memory_gb * 1e9
    return asked


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

    Where no node is large enough, Ray is given a task that does nothing and asks for as much. An
    autoscaler that has a larger kind of node begins to launch one within seconds, and then the
    sweep waits for it, however long that takes. Raises ConfigError where nothing happens.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    asked = bundle(launch)
    fit = sum(all(node.get(name, 0) >= most for name, most in asked.items()) for node in nodes)
    if fit >= launch.resources.nodes:
        return
    if _is_brought(ray, launch):
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


def _is_brought(ray: Any, launch: LaunchConfig) -> bool:
    """Whether nodes of this size come when they are asked for."""
    if launch.resources.nodes > 1:
        from ray.util import placement_group, remove_placement_group

        group = placement_group([bundle(launch)] * launch.resources.nodes, strategy="STRICT_SPREAD")
        try:
            return _comes(ray, group.ready())
        finally:
            remove_placement_group(group)
    probe = ray.remote(_nothing).options(max_retries=0, **resources(launch)).remote()
    if _comes(ray, probe):
        return True
    ray.cancel(probe, force=True)
    return False


def _comes(ray: Any, probe: Any) -> bool:
    """Whether what was asked for is there, or on its way, before long."""
    deadline = time.monotonic() + _AUTOSCALER_SECONDS
    while time.monotonic() < deadline:
        done, _ = ray.wait([probe], timeout=0.5)
        if done or _nodes_are_coming(ray):
            return True
    return False


def _nothing() -> None:
    """Ask for resources."""


def _nodes_are_coming(ray: Any) -> bool:
    """Whether an autoscaler, of Ray's first or second kind, says that it is launching nodes."""
    from ray.autoscaler.v2.sdk import get_cluster_status
    from ray.experimental.internal_kv import _internal_kv_get

    said = json.loads(_internal_kv_get(b"__autoscaling_status") or b"{}")
    report = said.get("autoscaler_report") or {}
    if report.get("pending_launches") or report.get("pending_nodes"):
        return True
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    return bool(status.pending_launches or status.pending_nodes)
