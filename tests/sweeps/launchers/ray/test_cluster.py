"""Facts about a sweep on a real Ray cluster of two nodes: what kills its workers, and bad input."""

import json
import signal
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
CELLS = 12


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head of one CPU and a second node of two, for all tests; the last one kills the second."""
    pytest.importorskip("ray")
    with RayCluster(tmp_path_factory.mktemp("ray"), 1, 2) as cluster:
        cluster.environment["MLFLOW_TRACKING_URI"] = (
            f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
        )
        yield cluster


def write_config(folder, text_files, name, *, cells=CELLS, tokens=120_000, **launch):
    config = {
        "name": name,
        "grid": {"width": [16, 32], "tokens": tokens, "seed": list(range(cells // 2))},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [f"{text_files}/*.txt"], "validation_windows": 16, "max_epochs": 1000},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {
            "workers": 2,
            "device": "cpu",
            "speed": {"pack": 1},
            "checkpoints": {"folder": str(folder)},
            **launch,
        },
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


def drive(config, cluster, **pipes):
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", "run", str(config)],
        cwd=ROOT,
        env=cluster.environment,
        text=True,
        **pipes,
    )


def losses(name, cluster):
    facts = RunStore.find(name, cluster.environment["MLFLOW_TRACKING_URI"]).facts()
    assert {one["status"] for one in facts.values()} == {RunState.FINISHED}
    return {run_id: one["loss"] for run_id, one in facts.items()}


def wait_for(state, name, cluster):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            store = RunStore.find(name, cluster.environment["MLFLOW_TRACKING_URI"])
            states = store.states().values()
        except Exception:
            states = ()
        if state in states:
            return
        time.sleep(0.3)
    raise TimeoutError(f"no run is {state}")


FAULTS = """
import json, os, signal, sys, time
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import TaskEnded, TaskLost
from sweeps.training.stop import Stopped
from sweeps.launchers.ray import launch_ray

def work(task, send):
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "terminated":
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            send("asked to stop")
        except Stopped:
            open(sys.argv[2], "w").write("saved")
            raise
    if task == "hung":
        time.sleep(300)
    send(task)

launch = LaunchConfig(engine="ray", address=sys.argv[1], workers=2)
launch = launch.changed(policy={"hang_seconds": 15.0})
tasks = ["hung", "killed", "terminated", "well"]

for happening in launch_ray(tasks, work, launch, lambda lost: None):
    reason = getattr(happening, "reason", None)
    if isinstance(happening, TaskLost | TaskEnded):
        print(json.dumps([happening.task, reason]), flush=True)
"""


def test_a_worker_that_is_killed_stopped_or_hung_takes_only_its_task_with_it(cluster, tmp_path):
    saved = tmp_path / "state"
    script = FAULTS.replace("sys.argv[2], ", f"{str(saved)!r}, ")
    done = subprocess.run(
        [sys.executable, "-c", script, cluster.address, "-"],
        env=cluster.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    ours = [line for line in done.stdout.splitlines() if line.startswith("[")]  # Ray prints too
    ends = dict(json.loads(line) for line in ours)
    assert ends.pop("well") is None, done.stderr
    assert ends.pop("hung") == "hung: no sign of life for 15 s"
    assert ends.pop("terminated") == "worker was asked to stop"
    assert "WorkerCrashedError" in ends.pop("killed")
    assert saved.read_text() == "saved"
    assert not ends


BAD_INPUT = """
import sys
from scaling.errors import ScalingError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers import ray, ray_resources

def work(task, send):
    send(task)

def says(**launch):
    launch = LaunchConfig(engine="ray", address=sys.argv[1]).changed(resources=launch)
    try:
        list(ray.launch_ray([1], work, launch, lambda lost: None))
    except ScalingError as error:
        print(type(error).__name__, error, flush=True)

ray_resources._AUTOSCALER_SECONDS = 8.0
says(memory_gb=1e5)
says(threads=1, devices=64)
here = ray.versions()
ray.versions = lambda: here | {"torch": "0.1"}
says()
"""


def test_impossible_resources_and_other_versions_are_one_line_each(cluster):
    done = subprocess.run(
        [sys.executable, "-c", BAD_INPUT, cluster.address],
        env=cluster.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    memory, devices, torch = done.stdout.splitlines()
    assert memory.startswith(
        "ConfigError a run asks for 1 CPUs, 0 GPUs, 100000 GB, which none of 2"
    )
    assert devices.startswith("ConfigError a run asks for 64 CPUs, 0 GPUs, 0 GB, which none of 2")
    assert "the driver 0.1; install the same constraints.txt on both" in torch


TEXT_IS_GONE = """
import sys
from pathlib import Path
from scaling.errors import ScalingError
from scaling.store import RunStore
from sweeps.config.yaml_file import load_config
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep

plan = plan_sweep(load_config(sys.argv[1]))
for path in Path(sys.argv[2]).glob("*.txt"):
    path.rename(path.with_suffix(".moved"))
try:
    run_sweep(plan, RunStore.open(plan.name))
except ScalingError as error:
    print(type(error).__name__, error, flush=True)
finally:
    for path in Path(sys.argv[2]).glob("*.moved"):
        path.rename(path.with_suffix(".txt"))
"""


def test_a_node_without_the_text_ends_the_sweep_by_name_and_it_goes_on_when_mended(
    cluster, tmp_path, text_files
):
    config = write_config(
        tmp_path, text_files, "mended", cells=2, tokens=8000, engine="ray", address=cluster.address
    )
    done = subprocess.run(
        [sys.executable, "-c", TEXT_IS_GONE, str(config), str(text_files)],
        env=cluster.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("CorpusError worker on "), done.stderr
    assert "no file" in line or "matches" in line or "text" in line
    assert drive(config, cluster).wait(timeout=200) == 0
    assert len(losses("mended", cluster)) == 2


def test_a_run_of_two_devices_gets_one_allocation_and_the_same_loss(cluster, tmp_path, text_files):
    small = {"cells": 2, "tokens": 16_000}
    alone = write_config(tmp_path, text_files, "alone", **small)
    shared = write_config(
        tmp_path,
        text_files,
        "shared",
        **small,
        engine="ray",
        address=cluster.address,
        resources={"devices": 2},
    )
    assert drive(alone, cluster).wait(timeout=200) == 0
    assert drive(shared, cluster).wait(timeout=300) == 0
    expected = losses("alone", cluster)
    # float32 sums in another order
    assert losses("shared", cluster) == pytest.approx(expected, rel=1e-3)


def test_a_sweep_whose_driver_is_killed_goes_on_with_the_next_to_the_same_losses(
    cluster, tmp_path, text_files
):
    local = write_config(tmp_path, text_files, "local")
    assert drive(local, cluster).wait(timeout=300) == 0
    config = write_config(tmp_path, text_files, "orphaned", engine="ray", address=cluster.address)
    driver = drive(config, cluster)
    wait_for(RunState.FINISHED, "orphaned", cluster)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert drive(config, cluster).wait(timeout=300) == 0
    assert losses("orphaned", cluster) == losses("local", cluster)


def test_a_sweep_survives_the_loss_of_a_node_with_the_same_losses(cluster, tmp_path, text_files):
    """The last test of the module: the node does not come back."""
    local = write_config(tmp_path, text_files, "local")
    assert drive(local, cluster).wait(timeout=300) == 0
    stormy = write_config(tmp_path, text_files, "stormy", engine="ray", address=cluster.address)
    driver = drive(stormy, cluster)
    wait_for(RunState.FINISHED, "stormy", cluster)
    cluster.kill(1)
    assert driver.wait(timeout=400) == 0
    assert losses("stormy", cluster) == losses("local", cluster)


WAITS = """
import sys
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import TaskMessage
from sweeps.launchers.ray import launch_ray

def work(task, send):
    send(task)

launch = LaunchConfig(engine="ray", address=sys.argv[1]).changed(resources={"threads": 3})
happenings = launch_ray([1, 2], work, launch, lambda lost: None)
print([one.message for one in happenings if isinstance(one, TaskMessage)])
"""


def test_a_larger_node_that_an_autoscaler_brings_is_waited_for(tmp_path):
    pytest.importorskip("ray")
    with RayCluster(tmp_path, 1, autoscaled_cpus=3) as cluster:
        done = subprocess.run(
            [sys.executable, "-c", WAITS, cluster.address],
            env=cluster.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert done.stdout == "[1, 2]\n", done.stderr
