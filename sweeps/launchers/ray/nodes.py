"""A run on several nodes of a Ray cluster: a placement group of one bundle per node.

The group comes whole or not at all, so that runs do not wait for each other's nodes. The run's own
task takes the first bundle; it starts a task in each further one, which runs that node's ranks.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sweeps.config.launch import LaunchConfig
from sweeps.launchers.ray.resources import bundle, remote, resources
from sweeps.launchers.versions import require_versions
from sweeps.multi_device.rendezvous import Allocation, MeetingPoint, serve_node


@dataclass(frozen=True)
class Place:
    """Where one run trains: on any node that has what it takes, or on nodes reserved for it."""

    launch: LaunchConfig
    group: Any | None
    """The placement group of a run on several nodes."""

    @classmethod
    def reserve(cls, launch: LaunchConfig) -> "Place":
        """Ask for the nodes of one run, without waiting for them."""
        if launch.resources.nodes == 1:
            return cls(launch, None)
        from ray.util import placement_group

        bundles = [bundle(launch)] * launch.resources.nodes
        return cls(launch, placement_group(bundles, strategy="STRICT_SPREAD"))

    def options(self, node: int) -> dict[str, Any]:
        """What Ray is told of the task of this node of the run."""
        options: dict[str, Any] = {"max_retries": 0, **resources(self.launch)}
        if self.group is None:
            return options
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        strategy = PlacementGroupSchedulingStrategy(self.group, placement_group_bundle_index=node)
        return {**options, "scheduling_strategy": strategy}

    def release(self) -> None:
        """Give reserved nodes back, which ends whatever still runs there."""
        if self.group is None:
            return
        from ray.util import remove_placement_group

        with contextlib.suppress(Exception):  # the cluster may be gone
            remove_placement_group(self.group)


@contextlib.contextmanager
def task_with_nodes(
    ray: Any, task: Any, place: Place, folder: str, versions: Mapping[str, str]
) -> Iterator[Any]:
    """The task, and the other nodes of its run ready while the body trains on the first.

    Raises the ScalingError of a node that cannot take part, or RayError where one is lost.
    """
    if place.group is None:
        yield task
        return
    asked = place.launch.resources
    host = ray.util.get_node_ip_address()
    with Allocation(asked.nodes, host, secrets.token_bytes(32)) as allocation:
        serve = remote(ray, place.launch, _serve_node)
        others = [
            serve.options(**place.options(node)).remote(
                allocation.meeting_point, node, asked.devices, folder, versions
            )
            for node in range(1, asked.nodes)
        ]

        def still_coming() -> None:
            ended, _ = ray.wait(others, timeout=0)
            ray.get(ended)  # raises what has ended them

        allocation.meet(still_coming)
        yield replace(task, allocation=allocation)


def _serve_node(
    meeting_point: MeetingPoint,
    node: int,
    devices: int,
    folder: str,
    versions: Mapping[str, str],
) -> None:
    """A further node's part, in a Ray worker of its own."""
    enter(folder)
    serve_node(meeting_point, node, devices, check=lambda: require_versions(versions))


def enter(folder: str) -> None:
    """Work in the driver's folder; a node without it has absolute paths in the config."""
    with contextlib.suppress(OSError):
        os.chdir(folder)
