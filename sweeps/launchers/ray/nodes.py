"""A run on several nodes of a Ray cluster: a placement group of one bundle a node.

The group comes whole or not at all, so that runs do not wait for each other's nodes. The run's own
task takes the first bundle; it starts a task in each further one, which runs that node's ranks.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sweeps.config.launch import LaunchConfig
from sweeps.launchers.ray.resources import bundle, resources
from sweeps.launchers.versions import require_versions
from sweeps.multi_device.rendezvous import Allocation, MeetingPoint, allocated, serve_node


@dataclass(frozen=True)
class NodeGroup:
    """The nodes that are reserved for one run."""

    group: Any
    launch: LaunchConfig


def reserve_nodes(launch: LaunchConfig) -> NodeGroup | None:
    """Ask for the nodes of one run, without waiting for them; None where a run has one only."""
    if launch.resources.nodes == 1:
        return None
    from ray.util import placement_group

    bundles = [bundle(launch)] * launch.resources.nodes
    return NodeGroup(placement_group(bundles, strategy="STRICT_SPREAD"), launch)


def release_nodes(nodes: NodeGroup | None) -> None:
    """Give the nodes back, which ends whatever still runs there."""
    if nodes is None:
        return
    from ray.util import remove_placement_group

    with suppress(Exception):  # the cluster may be gone
        remove_placement_group(nodes.group)


def placed(nodes: NodeGroup | None, node: int) -> dict[str, Any]:
    """What places a task on this node of a run, as options of Ray."""
    if nodes is None:
        return {}
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    strategy = PlacementGroupSchedulingStrategy(nodes.group, placement_group_bundle_index=node)
    return {"scheduling_strategy": strategy}


@contextlib.contextmanager
def further_nodes(
    ray: Any, nodes: NodeGroup | None, folder: str, expected: Mapping[str, str]
) -> Iterator[None]:
    """Have the other nodes of a run ready while the body trains on the first.

    Raises the ScalingError of a node that cannot take part, or RayError where one is lost.
    """
    if nodes is None:
        yield
        return
    launch = nodes.launch
    host = ray.util.get_node_ip_address()
    with allocated(Allocation(launch.resources.nodes, host, secrets.token_bytes(32))) as allocation:
        serve = ray.remote(_serve).options
        tasks = [
            serve(max_retries=0, **resources(launch), **placed(nodes, node)).remote(
                allocation.meeting_point, node, launch.resources.devices, folder, expected
            )
            for node in range(1, launch.resources.nodes)
        ]

        def still_coming() -> None:
            ended, _ = ray.wait(tasks, timeout=0)
            ray.get(ended)  # raises what has ended them

        allocation.meet(still_coming)
        yield


def _serve(
    meeting_point: MeetingPoint,
    node: int,
    devices: int,
    folder: str,
    expected: Mapping[str, str],
) -> None:
    """A further node's part, in a Ray worker of its own."""
    with suppress(OSError):  # a node with other folders has absolute paths in the config
        os.chdir(folder)
    serve_node(meeting_point, node, devices, check=lambda: require_versions(expected))
