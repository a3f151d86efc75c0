"""Facts about runs on two nodes each of a real Ray cluster: the same runs, whatever is killed."""

import time

import pytest

pytestmark = pytest.mark.slow
NODES = 3
RANK = "sweeps.multi_device.shared_training"


@pytest.fixture(scope="module")
def cluster(start_cluster):
    """Three nodes of one CPU, the head first; the last test kills one of the others."""
    with start_cluster(*[1] * NODES) as cluster:
        yield cluster


@pytest.fixture
def over_nodes(cluster):
    """A function: strategy -> what makes a launch one of two nodes of this cluster."""
    engine = {"engine": "ray", "address": cluster.address}
    return lambda strategy: engine | {"resources": {"nodes": 2, "strategy": strategy}}


def nodes_of(what, cluster, alive=range(NODES)):
    """The nodes on which a process with such a command line runs."""
    return [
        node for node in alive if any(what in line for line in cluster.processes(node).values())
    ]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_nodes_of_one_device_train_what_two_devices_of_one_node_do(
    cluster, write_config, over_nodes, strategy
):
    one, two = f"one-{strategy}", f"two-{strategy}"
    grid = {"tokens": 16_000}
    config = write_config(one, grid, resources={"devices": 2, "strategy": strategy})
    assert cluster.run(config) == 0
    config = write_config(two, grid, **over_nodes(strategy))
    assert cluster.run(config) == 0
    assert len(cluster.losses(two)) == 2
    assert cluster.losses(two) == cluster.losses(one)  # the same sums in the same order
    assert not nodes_of(RANK, cluster)


REFUSED = """
import sys
from scaling.errors import ScalingError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.ray import resources
from sweeps.launchers.ray.tasks import launch_ray

def work(task, send):
    send(task)

resources._AUTOSCALER_SECONDS = 8.0
for more in ({"nodes": 4}, {"nodes": 2, "devices": 2}):
    launch = LaunchConfig(engine="ray", address=sys.argv[1]).changed(resources=more)
    try:
        list(launch_ray([1], work, launch, lambda lost: None))
    except ScalingError as error:
        print(type(error).__name__, error, flush=True)
"""


def test_nodes_that_the_cluster_has_not_are_one_line(cluster):
    done = cluster.script(REFUSED)
    many, large = done.stdout.splitlines()
    start = (
        "ConfigError a run asks for {} CPUs, 0 GPUs, 0 GB on each of {} nodes, which {} of 3 Ray"
    )
    assert many.startswith(start.format(1, 4, 3)), done.stderr
    assert large.startswith(start.format(2, 2, "none"))


def test_runs_whose_driver_and_then_a_node_are_killed_reach_the_same_losses(
    cluster, tmp_path, write_config, over_nodes, wait_until
):
    """The last test of the module: the node does not come back."""
    grid = {"tokens": 400_000}
    config = write_config("calm", grid, resources={"devices": 2, "strategy": "ddp"})
    assert cluster.run(config) == 0
    config = write_config("stormy", grid, **over_nodes("ddp"))
    states = tmp_path / "stormy"
    driver = cluster.drive(config)
    assert wait_until(lambda: list(states.glob("*.trunk*")), 90)
    assert nodes_of(RANK, cluster)
    driver.kill()
    driver.wait()
    assert wait_until(lambda: not nodes_of(RANK, cluster), 60)

    driver = cluster.drive(config)
    assert wait_until(lambda: nodes_of(RANK, cluster), 90)
    time.sleep(2)  # in the middle of it
    used = set(nodes_of("ray::_do_task", cluster) + nodes_of("ray::_serve_node", cluster)) - {0}
    lost = used.pop()
    cluster.kill(lost)
    assert cluster.exit_code(driver) == 0
    assert cluster.losses("stormy") == cluster.losses("calm")
    assert not nodes_of(RANK, cluster, set(range(NODES)) - {lost})
