"""A real Ray cluster on this machine, with a run store beside it, for the tests of this folder."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.ray_cluster import RayCluster
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore

ROOT = Path(__file__).parents[4]
LONGEST = 600  # seconds of one command on a busy machine; it takes 20 to 60 on an idle one


class SweepCluster(RayCluster):
    """A Ray cluster, the sweeps that run on it, and their store."""

    def __init__(self, folder, *cpus, autoscaled_cpus=0):
        super().__init__(folder, *cpus, autoscaled_cpus=autoscaled_cpus)
        self.store = f"sqlite:///{folder}/mlflow.db"
        self.environment["MLFLOW_TRACKING_URI"] = self.store

    def drive(self, config):
        """The process of `scaling run` on a config file."""
        return subprocess.Popen(
            [sys.executable, "-m", "scaling", "run", str(config)], cwd=ROOT, env=self.environment
        )

    def run(self, config):
        """The exit code of `scaling run` on a config file."""
        return self.exit_code(self.drive(config))

    def exit_code(self, driver):
        """How a driver ends, which is waited for."""
        return driver.wait(timeout=LONGEST)

    def script(self, text, *arguments):
        """A Python program that has ended, given this cluster's address and these arguments."""
        return subprocess.run(
            [sys.executable, "-c", text, self.address, *map(str, arguments)],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )

    def losses(self, name):
        """The loss of each run of a sweep, all of which have finished."""
        facts = RunStore.find(name, self.store).facts()
        assert {one["status"] for one in facts.values()} == {RunState.FINISHED}
        return {run_id: one["loss"] for run_id, one in facts.items()}

    def has_finished_one(self, name):
        """Whether a run of this sweep has finished; also before there is such a sweep."""
        try:
            return RunState.FINISHED in RunStore.find(name, self.store).states().values()
        except Exception:
            return False


@pytest.fixture(scope="session")
def start_cluster(tmp_path_factory):
    """A function: CPUs of each node, the head first -> a cluster that runs while it is entered."""
    pytest.importorskip("ray", reason="the ray extra is not installed")
    return lambda *cpus, **more: SweepCluster(tmp_path_factory.mktemp("ray"), *cpus, **more)


@pytest.fixture
def write_config(tmp_path, text_files):
    """A function: name, changes of the grid, of the launch -> a config file of small runs."""

    def write(name, grid, **launch):
        settings = {"workers": 1, "device": "cpu", "speed": {"pack": 1}}
        settings["checkpoints"] = {"folder": str(tmp_path / name), "seconds": 0.5}
        config = {
            "name": name,
            "grid": {"width": [16, 32]} | grid,
            "model": {"context": 32, "head_size": 16},
            "data": {
                "files": [f"{text_files}/*.txt"],
                "validation_windows": 16,
                "max_epochs": 1000,
            },
            "recipe": {"name": "cpt-adamw-tiny/1"},
            "launch": settings | launch,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        return path

    return write


@pytest.fixture
def wait_until():
    """A function: a question, seconds -> its first answer that is true, or the last one."""

    def wait(question, seconds):
        deadline = time.monotonic() + seconds
        while not (answer := question()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return answer

    return wait
