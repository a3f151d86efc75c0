"""Facts about runs on two nodes each of a real Ray cluster: the same runs, whatever is killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.ray_cluster import RayCluster
from scaling.store.run_state import RunState
from scaling.store.run_store import RunStore

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]
NODES = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three nodes of one CPU, the head first; the last test kills one of the others."""
    pytest.importorskip("ray")
    with RayCluster(tmp_path_factory.mktemp("ray"), *[1] * NODES) as cluster:
        cluster.environment["MLFLOW_TRACKING_URI"] = (
            f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
        )
        yield cluster


def write_config(folder, text_files, name, *, tokens, **launch):
    settings = {"workers": 1, "device": "cpu", "speed": {"pack": 1}}
    settings["checkpoints"] = {"folder": str(folder / name), "seconds": 0.5}
    config = {
        "name": name,
        "grid": {"width": [16, 32], "tokens": tokens},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [f"{text_files}/*.txt"], "validation_windows": 16, "max_epochs": 1000},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": settings | launch,
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


def over_nodes(cluster, **resources):
    resources = {"nodes": 2, **resources}
    return {"engine": "ray", "address": cluster.address, "resources": resources}


def drive(config, cluster):
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", "run", str(config)], cwd=ROOT, env=cluster.environment
    )


def losses(name, cluster):
    facts = RunStore.find(name, cluster.environment["MLFLOW_TRACKING_URI"]).facts()
    assert {one["status"] for one in facts.values()} == {RunState.FINISHED}
    assert len(facts) == 2
    return {run_id: one["loss"] for run_id, one in facts.items()}


def nodes_of(what, cluster, alive=range(NODES)):
    """The nodes on which a process with such a command line runs."""
    return [
        node for node in alive if any(what in line for line in cluster.processes(node).values())
    ]


def wait_until(true, seconds):
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_nodes_of_one_device_train_what_two_devices_of_one_node_do(
    cluster, tmp_path, text_files, strategy
):
    one, two = f"one-{strategy}", f"two-{strategy}"
    devices = {"devices": 2, "strategy": strategy}
    config = write_config(tmp_path, text_files, one, tokens=16_000, resources=devices)
    assert drive(config, cluster).wait(timeout=200) == 0
    nodes = over_nodes(cluster, strategy=strategy)
    config = write_config(tmp_path, text_files, two, tokens=16_000, **nodes)
    assert drive(config, cluster).wait(timeout=200) == 0
    assert losses(two, cluster) == losses(one, cluster)  # the same sums in the same order
    assert not nodes_of("sweeps.multi_device.shared_training", cluster)


REFUSED = """
import sys
from scaling.errors import ScalingError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers import ray, ray_resources

def work(task, send):
    send(task)

ray_resources._AUTOSCALER_SECONDS = 8.0
for more in ({"nodes": 4}, {"nodes": 2, "devices": 2}):
    launch = LaunchConfig(engine="ray", address=sys.argv[1]).changed(resources=more)
    try:
        list(ray.launch_ray([1], work, launch, lambda lost: None))
    except ScalingError as error:
        print(type(error).__name__, error, flush=True)
"""


def test_nodes_that_the_cluster_has_not_are_one_line(cluster):
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, cluster.address],
        env=cluster.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    many, large = done.stdout.splitlines()
    said = "ConfigError a run asks for {} CPUs, 0 GPUs, 0 GB on each of {} nodes, which {} of 3 Ray"
    assert many.startswith(said.format(1, 4, 3)), done.stderr
    assert large.startswith(said.format(2, 2, "none"))


def test_runs_whose_driver_and_then_a_node_are_killed_reach_the_same_losses(
    cluster, tmp_path, text_files
):
    """The last test of the module: the node does not come back."""
    devices = {"devices": 2, "strategy": "ddp"}
    config = write_config(tmp_path, text_files, "calm", tokens=400_000, resources=devices)
    assert drive(config, cluster).wait(timeout=300) == 0
    nodes = over_nodes(cluster, strategy="ddp")
    config = write_config(tmp_path, text_files, "stormy", tokens=400_000, **nodes)
    states = tmp_path / "stormy"
    driver = drive(config, cluster)
    assert wait_until(lambda: list(states.glob("*.trunk*")), 90)
    assert nodes_of("sweeps.multi_device.shared_training", cluster)
    driver.kill()
    driver.wait()
    assert wait_until(lambda: not nodes_of("sweeps.multi_device.shared_training", cluster), 60)

    driver = drive(config, cluster)
    assert wait_until(lambda: nodes_of("sweeps.multi_device.shared_training", cluster), 90)
    time.sleep(2)  # in the middle of it
    used = set(nodes_of("ray::_do", cluster) + nodes_of("ray::_serve", cluster)) - {0}
    lost = used.pop()
    cluster.kill(lost)
    assert driver.wait(timeout=300) == 0
    assert losses("stormy", cluster) == losses("calm", cluster)
    assert not nodes_of("sweeps.multi_device.shared_training", cluster, set(range(NODES)) - {lost})
