"""A sweep under fire: workers killed every few seconds, the driver killed twice, losses compared.

    python -m benchmarks.faults.kills --cells 200 --every 3 -o faults.json

Trains the same tiny cells twice, disturbed and undisturbed, each into a database of its own, and
counts how often each cell finished and whether its loss is the same to the last bit.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from scaling.store.run_store import RunStore

ROOT = Path(__file__).resolve().parent.parent.parent


def write_sweep(folder: Path, cells: int, workers: int) -> Path:
    """A config of tiny cells of two widths, and the text that they train on."""
    text = folder / "text"
    text.mkdir()
    for number in range(60):
        lines = (f"{number * line} apples cost {number + line} coins.\n" for line in range(40))
        (text / f"{number:02}.txt").write_text("".join(lines))
    config = {
        "name": "storm",
        "grid": {"width": [16, 32], "tokens": 20_000, "seed": list(range(cells // 2))},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [f"{text}/*.txt"], "validation_windows": 16, "max_epochs": 100},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {
            "workers": workers,
            "device": "cpu",
            "policy": {"tries": 50},
            "checkpoints": {"seconds": 0.5},
        },
    }
    path = folder / "storm.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


def drive(config: Path, home: Path) -> subprocess.Popen[bytes]:
    """Start `scaling run` on a database and a state folder of its own."""
    home.mkdir(exist_ok=True)
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "SCALING_STATE_DIR": str(home / "state"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", "run", str(config)]
        + ["--set", f"launch.checkpoints.folder={home}/checkpoints"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=(home / "stderr.txt").open("ab"),
    )


def children(driver: int) -> list[int]:
    """The driver's worker processes: children of the process that they are forked from."""
    servers = [
        child for child in _children(driver) if "multiprocessing.forkserver" in _command(child)
    ]
    return [worker for server in servers for worker in _children(server)]


def _children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def storm(config: Path, home: Path, every: float, driver_kills: list[float]) -> dict[str, float]:
    """Drive the sweep to its end while its processes are killed; what was done to it."""
    dice = random.Random(1)
    start = time.monotonic()
    driver, kills, orphans_gone = drive(config, home), 0, 0.0
    next_kill = start + every
    while driver.poll() is None:
        time.sleep(0.1)
        now = time.monotonic()
        if driver_kills and now - start > driver_kills[0]:
            driver_kills.pop(0)
            workers = children(driver.pid)
            driver.kill()
            driver.wait()
            died = time.monotonic()
            while any("forkserver" in _command(pid) for pid in workers):
                time.sleep(0.02)
            orphans_gone = max(orphans_gone, time.monotonic() - died)
            driver = drive(config, home)
        elif now > next_kill:
            next_kill = now + every * dice.uniform(0.5, 1.5)
            workers = children(driver.pid)
            if workers:
                os.kill(dice.choice(workers), signal.SIGKILL)
                kills += 1
    seconds = time.monotonic() - start
    return {"seconds": seconds, "worker_kills": kills, "orphans_gone_seconds": orphans_gone}


def outcome(home: Path) -> tuple[Counter[str], dict[str, float]]:
    """How many finished tries each cell has, and its loss."""
    os.environ["SCALING_STATE_DIR"] = str(home / "state")
    store = RunStore.find("storm", f"sqlite:///{home}/mlflow.db")
    finished = Counter(
        one.tags["scaling.run_id"]
        for one in store.tries()
        if one.tags.get("scaling.state") == "finished"
    )
    return finished, {run_id: facts["loss"] for run_id, facts in store.facts().items()}


def main() -> None:
    """Run both sweeps and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    parser.add_argument("--driver-kills", type=float, nargs="*", default=[25.0, 60.0])
    parser.add_argument("-o", "--output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = write_sweep(Path(folder), arguments.cells, arguments.workers)
        disturbed, calm = Path(folder, "disturbed"), Path(folder, "calm")
        result = storm(config, disturbed, arguments.every, list(arguments.driver_kills))
        start = time.monotonic()
        drive(config, calm).wait()
        finished, losses = outcome(disturbed)
        _, expected = outcome(calm)
        result |= {
            "cells": arguments.cells,
            "driver_kills": len(arguments.driver_kills),
            "undisturbed_seconds": time.monotonic() - start,
            "finished_exactly_once": sum(count == 1 for count in finished.values()),
            "losses_equal_bit_for_bit": sum(
                losses.get(run_id) == loss for run_id, loss in expected.items()
            ),
        }
    document = json.dumps(result, indent=2)
    print(document)
    if arguments.output:
        Path(arguments.output).write_text(document + "\n")


if __name__ == "__main__":
    main()
