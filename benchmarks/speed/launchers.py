"""What a launcher costs: overhead of a task, and one sweep by local processes and by Ray.

    PYTHONPATH=. python benchmarks/speed/launchers.py -o launchers.json

Overhead: tasks that sleep, more of them than workers; workers x wall time less the time asleep, by
task, once every worker has begun. The sweep: the same twelve cells by local processes and on a
two-node Ray cluster of this machine, one after the other in one process; `busy` is the time from
the first cell's start to the last one's end.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.ray_cluster import RayCluster
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.config.launch import LaunchConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.launchers.base import TaskEnded, TaskLost
from sweeps.launchers.registry import find_launcher
from sweeps.planning.plan import plan_sweep
from sweeps.running.events import EventKind, RunEvent
from sweeps.running.runner import run_sweep

WORKERS = 2
SLEEP_SECONDS = 0.05
WARMING = 4 * WORKERS  # tasks at the start that do not count


def sleep(task: int, send: Any) -> None:
    """The work of a task."""
    time.sleep(SLEEP_SECONDS)


def overhead_seconds(launch: LaunchConfig, tasks: int) -> float:
    """Seconds of a worker that a task costs beside its work."""
    ends = []
    do = find_launcher(launch.engine)
    for happening in do(list(range(tasks + WARMING)), sleep, launch, lambda lost: None):
        assert not isinstance(happening, TaskLost), happening.reason
        if isinstance(happening, TaskEnded):
            ends.append(time.perf_counter())
    counted = ends[WARMING:]
    return WORKERS * (counted[-1] - ends[WARMING - 1]) / len(counted) - SLEEP_SECONDS


def sweep_seconds(folder: Path, cells: int, **launch: Any) -> dict[str, float]:
    """Times of one sweep."""
    text = folder / "text.txt"
    text.write_text("".join(f"{n} apples cost {n * n} coins.\n" for n in range(4000)))
    mapping = {
        "name": str(launch["engine"]),
        "grid": {"width": [16, 32], "tokens": 240_000, "seed": list(range(cells // 2))},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [str(text)], "validation_windows": 16, "max_epochs": 1000},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"workers": WORKERS, "device": "cpu", "speed": {"pack": 1}, **launch},
    }
    mapping["launch"]["checkpoints"] = {"folder": str(folder / "checkpoints")}
    plan = plan_sweep(config_from_mapping(mapping))
    store = RunStore.open(plan.name, f"sqlite:///{folder}/mlflow.db")
    begun, ended = [], []

    def note(event: RunEvent) -> None:
        if event.kind is EventKind.STARTED:
            begun.append(time.perf_counter())
        elif event.kind is EventKind.FINISHED:
            ended.append(time.perf_counter())

    start = time.perf_counter()
    outcome = run_sweep(plan, store, on_event=note)
    assert outcome.count(RunState.FINISHED) == cells, outcome.reasons
    trained = sum(facts["wall_seconds"] for facts in store.facts().values())
    busy = ended[-1] - begun[0]
    return {
        "whole_seconds": time.perf_counter() - start,
        "start_up_seconds": begun[0] - start,
        "busy_seconds": busy,
        "training_seconds": trained,
        "other_seconds_a_cell": (WORKERS * busy - trained) / cells,
    }


def main() -> None:
    """Print all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("-o", "--output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with RayCluster(folder, 1, 1) as cluster:
            os.environ |= cluster.environment | {"SCALING_STATE_DIR": f"{folder}/state"}
            ray = {"engine": "ray", "address": cluster.address}
            result: dict[str, Any] = {
                "overhead_seconds_a_task": {
                    str(launch["engine"]): overhead_seconds(
                        LaunchConfig(workers=WORKERS, device="cpu", **launch), arguments.tasks
                    )
                    for launch in ({"engine": "local"}, ray)
                },
                "sweep": {
                    str(launch["engine"]): sweep_seconds(folder, arguments.cells, **launch)
                    for launch in ({"engine": "local"}, ray)
                },
            }
    local, other = result["sweep"]["local"], result["sweep"]["ray"]
    result["ray_to_local_whole"] = other["whole_seconds"] / local["whole_seconds"]
    result["ray_to_local_busy"] = other["busy_seconds"] / local["busy_seconds"]
    document = json.dumps(result, indent=2)
    print(document)
    if arguments.output:
        Path(arguments.output).write_text(document + "\n")


if __name__ == "__main__":
    main()
