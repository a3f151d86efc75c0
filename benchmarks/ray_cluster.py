"""A Ray cluster of several nodes on this machine, for tests and benchmarks that need a real one."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 120
#: Ray's own imitation of a cloud: it launches nodes as processes of this machine.
_AUTOSCALER: dict[str, Any] = {
    "cluster_name": "imitation",
    "max_workers": 1,
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 10,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "head_node_type": "ray.head.default",
    "auth": {},
    "head_node": {},
    "worker_nodes": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


class RayCluster:
    """Nodes of so many CPUs each, the head first, until the context is left."""

    def __init__(self, folder: Path, *cpus: int, autoscaled_cpus: int = 0) -> None:
        """With `autoscaled_cpus` an autoscaler may launch one further node of so many CPUs."""
        self._folder, self._cpus, self._autoscaled_cpus = folder, cpus, autoscaled_cpus
        self._nodes: list[subprocess.Popen[bytes]] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.environment = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
            # a node that answers late, since the machine is busy, is not lost
            "RAY_health_check_timeout_ms": "300000",
            "PYTHONPATH": str(ROOT),
        }
        if autoscaled_cpus:
            self.environment |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}

    def __enter__(self) -> "RayCluster":
        """Start all nodes, one after the other."""
        head = ["--head", f"--port={self.address.split(':')[1]}", "--include-dashboard=false"]
        if self._autoscaled_cpus:
            head.append(f"--autoscaling-config={self._autoscaling()}")
        try:
            for number, cpus in enumerate(self._cpus):
                self._start(cpus, [f"--address={self.address}"] if number else head)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """End every process of every node."""
        for number in range(len(self._nodes)):
            self.kill(number)

    def kill(self, number: int) -> None:
        """End a node with all its processes, as a lost machine does."""
        for process in self.processes(number):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._nodes[number].wait()

    @property
    def nodes(self) -> int:
        """How many nodes were started, lost ones among them."""
        return len(self._nodes)

    @property
    def sessions(self) -> list[int]:
        """The session of each node, which all its processes share."""
        return [node.pid for node in self._nodes]

    def replace(self, number: int) -> None:
        """Lose a node, and start another of as many CPUs."""
        self.kill(number)
        self._start(self._cpus[min(number, len(self._cpus) - 1)], [f"--address={self.address}"])

    def processes(self, number: int) -> dict[int, str]:
        """The processes of a node, which share one session, by id, with their command lines."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(ProcessLookupError, FileNotFoundError):
                if entry.name.isdigit() and os.getsid(int(entry.name)) == self.sessions[number]:
                    line = (entry / "cmdline").read_bytes()
                    found[int(entry.name)] = line.replace(b"\0", b" ").decode()
        return found

    def _start(self, cpus: int, arguments: list[str]) -> None:
        log = self._folder / f"node{len(self._nodes)}.log"
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block"]
        command += [f"--num-cpus={cpus}", "--object-store-memory=80000000", *arguments]
        command += ["--node-ip-address=127.0.0.1"]
        with log.open("wb") as output:
            self._nodes.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        deadline = time.monotonic() + _START_SECONDS
        while "Ray runtime started" not in log.read_text():
            if time.monotonic() > deadline or self._nodes[-1].poll() is not None:
                raise RuntimeError(f"a Ray node does not start: {log.read_text()[-500:]}")
            time.sleep(0.2)

    def _autoscaling(self) -> Path:
        path = self._folder / "autoscaling.yaml"
        kinds = {
            "ray.head.default": {
                "resources": {"CPU": self._cpus[0]},
                "node_config": {},
                "max_workers": 0,
            },
            "larger": {
                "resources": {"CPU": self._autoscaled_cpus, "object_store_memory": 80_000_000},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 1,
            },
        }
        provider = _AUTOSCALER["provider"] | {"gcs_address": self.address}
        config = _AUTOSCALER | {"provider": provider, "available_node_types": kinds}
        path.write_text(json.dumps(config))  # JSON is YAML
        return path
