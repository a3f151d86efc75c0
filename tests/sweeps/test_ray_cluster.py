"""Facts about a sweep on a real Ray cluster of two nodes, of which one is killed in mid-run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scaling.store import RunState, RunStore

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
CELLS = 12


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster(tmp_path):
    """The address of a head and a second node of one CPU each, their processes, the environment."""
    pytest.importorskip("ray")
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a" * 32,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    address = f"127.0.0.1:{free_port()}"
    ray = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1"]
    memory = ["--object-store-memory=80000000"]
    head = [*ray, *memory, "--head", f"--port={address.split(':')[1]}", "--include-dashboard=false"]
    nodes = []
    try:
        for command in (head, [*ray, *memory, f"--address={address}"]):
            nodes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
            time.sleep(15)  # until the node has joined
        yield address, nodes, environment
    finally:
        for node in nodes:
            kill(node)


def kill(node):
    """End a node with all its processes, which ray puts into one session."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == node.pid:
                    os.kill(int(entry.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
    node.wait()


def write_config(folder, text_files, name, **launch):
    config = {
        "name": name,
        "grid": {"width": [16, 32], "tokens": 120_000, "seed": list(range(CELLS // 2))},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [f"{text_files}/*.txt"], "validation_windows": 16, "max_epochs": 100},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"workers": 2, "device": "cpu", "pack": 1, "checkpoints": str(folder), **launch},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


def drive(config, environment):
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", "run", str(config)], cwd=ROOT, env=environment
    )


def losses(name, environment):
    facts = RunStore.find(name, environment["MLFLOW_TRACKING_URI"]).facts()
    assert {one["status"] for one in facts.values()} == {RunState.FINISHED}
    return {run_id: one["loss"] for run_id, one in facts.items()}


def test_a_sweep_survives_the_loss_of_a_node_with_the_same_losses(cluster, tmp_path, text_files):
    address, nodes, environment = cluster
    local = write_config(tmp_path, text_files, "local")
    start = time.monotonic()
    assert drive(local, environment).wait(timeout=300) == 0
    local_seconds = time.monotonic() - start

    ray = write_config(tmp_path, text_files, "ray", engine="ray", address=address)
    start = time.monotonic()
    assert drive(ray, environment).wait(timeout=300) == 0
    print(f"local {local_seconds:.1f} s, ray {time.monotonic() - start:.1f} s")
    assert losses("ray", environment) == losses("local", environment)

    stormy = write_config(tmp_path, text_files, "stormy", engine="ray", address=address)
    driver = drive(stormy, environment)
    wait_for_a_finished_run("stormy", environment)
    kill(nodes[1])
    assert driver.wait(timeout=400) == 0
    assert losses("stormy", environment) == losses("local", environment)


def wait_for_a_finished_run(name, environment):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            states = RunStore.find(name, environment["MLFLOW_TRACKING_URI"]).states()
        except Exception:
            states = {}
        if RunState.FINISHED in states.values():
            return
        time.sleep(0.3)
    raise TimeoutError("no run has finished")
