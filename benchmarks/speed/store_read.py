"""The run store under load: many processes that log at once, and 10,000 finished runs read back.

    PYTHONPATH=. python benchmarks/speed/store_read.py -o store_read.json

Runs are multiplied inside the database, from one that was logged in the usual way, into the runs of
a plan. Cold is a new process without a cache; MLflow's own calls are timed in the same run, those
for one run at a time on a sample. `scaling status` is timed as a whole command.
"""

import argparse
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import load_config
from sweeps.planning.plan import plan_sweep

POINTS = 100
FACTS = {f"fact_{number}": number / 7 for number in range(30)}
RECORD = {"loss": 2.5, "params": 12_345, "tokens": 1e6, "train_flops": 7.5e10, "wall_seconds": 3.0}
READ = """
import sys, time
import pandas
from scaling.store.run_store import RunStore
start = time.perf_counter()
store = RunStore.find("bench", sys.argv[1])
assert len(store.read_records()) == int(sys.argv[2]) + 1
print(time.perf_counter() - start)
"""


def curve(points: int) -> list[dict[str, float]]:
    """A falling loss."""
    return [{"step": step, "train_loss": 3 / (step + 1)} for step in range(points)]


def write_run(store: RunStore, name: str) -> None:
    """One run, whose curve comes in ten parts."""
    writer = store.start_run(name, name, FACTS)
    whole = curve(POINTS)
    for first in range(0, POINTS, 10):
        writer.log_curve(whole[first : first + 10])
        time.sleep(0.02)
    writer.finish(RECORD)


def log_at_once(uri: str, processes: int, runs_each: int) -> dict[str, float]:
    """What the store holds after all processes have logged their runs at the same time."""
    store = RunStore.open("at-once", uri)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sweeps.launchers.warm"])
    start = time.perf_counter()
    workers = [
        context.Process(target=_write_runs, args=(store, number, runs_each))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    store.replay()
    states = list(store.states().values())
    return {
        "processes": processes,
        "runs": processes * runs_each,
        "seconds_with_start_up": seconds,
        "finished": states.count(RunState.FINISHED),
        "curve_points_written": processes * runs_each * POINTS,
        "curve_points_found": len(store.curves()),
    }


def _write_runs(store: RunStore, number: int, runs: int) -> None:
    for run in range(runs):
        write_run(store, f"{number}-{run}")


def write_sweep(folder: Path, runs: int) -> Path:
    """The config of a sweep of so many runs of two sizes, and its text."""
    text = folder / "text.txt"
    text.write_text("".join(f"{n} apples cost {n * n} coins.\n" for n in range(4000)))
    config = {
        "name": "bench",
        "grid": {"width": [16, 32], "tokens": 20_000, "seed": list(range(runs // 2))},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [str(text)], "validation_windows": 16, "max_epochs": 100},
        "recipe": {"name": "cpt-adamw-tiny/1"},
    }
    path = folder / "bench.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


def planned_run_ids(config: Path) -> list[str]:
    """The ids of the runs that the config plans."""
    return [run.run_id for run in plan_sweep(load_config(config)).runs]


def status(config: Path, uri: str) -> float:
    """Seconds that `scaling status` takes, with the start of Python and the plan."""
    start = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-m", "scaling", "status", str(config)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
    ).stdout
    seconds = time.perf_counter() - start
    assert " finished" in told
    return seconds


def multiply(uri: str, run_ids: list[str]) -> None:
    """Copy the one run of the experiment inside the database, under other ids."""
    store = RunStore.open("bench", uri)
    write_run(store, "template")
    template = next(one.store_run_id for one in store.tries() if "scaling.record" in one.tags)
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as base:
        base.execute("CREATE TEMP TABLE copies (id TEXT)")
        base.executemany("INSERT INTO copies VALUES (?)", ((run_id,) for run_id in run_ids))
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            columns = [row[1] for row in base.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(_copied(table, column) for column in columns)
            base.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} "
                f"FROM {table} t, copies c WHERE t.run_uuid = ?",
                (template,),
            )
        base.commit()


def _copied(table: str, column: str) -> str:
    if column == "run_uuid":
        return "c.id"
    if table == "tags" and column == "value":
        return "replace(t.value, 'template', c.id)"
    return f"t.{column}"


def read(uri: str, copies: int) -> float:
    """Seconds that a new process takes to read all records."""
    command = [sys.executable, "-c", READ, uri, str(copies)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read_by_mlflow(uri: str, copies: int, sample: int) -> dict[str, float]:
    """Seconds of MLflow's own search, and of a call per run for its curve."""
    import mlflow
    from mlflow.tracking import MlflowClient

    mlflow.set_tracking_uri(uri)
    start = time.perf_counter()
    found = mlflow.search_runs(experiment_names=["bench"], max_results=2 * copies)
    searched = time.perf_counter()
    client = MlflowClient(tracking_uri=uri)
    for run in found["run_id"][:sample]:
        assert client.get_run(run) and client.get_metric_history(run, "train_loss")
    each = (time.perf_counter() - searched) / sample
    return {
        "mlflow_search_seconds": searched - start,
        "mlflow_seconds_a_call_per_run": each * copies,
        "calls_per_run_sampled": sample,
    }


def main() -> None:
    """Print all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--runs-each", type=int, default=2)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("-o", "--output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCALING_STATE_DIR"] = f"{folder}/state"
        uri = f"sqlite:///{folder}/mlflow.db"
        at_once = log_at_once(uri, arguments.processes, arguments.runs_each)
        config = write_sweep(Path(folder), arguments.runs)
        multiply(uri, planned_run_ids(config))
        for cached in Path(folder, "state", "cache").glob("*.json"):
            cached.unlink()
        cold, warm = read(uri, arguments.runs), read(uri, arguments.runs)
        start = time.perf_counter()
        points = len(RunStore.find("bench", uri).curves())
        result = {
            "at_once": at_once,
            "runs": arguments.runs + 1,
            "read_cold_seconds": cold,
            "read_from_cache_seconds": warm,
            "curve_points": points,
            "read_curves_seconds": time.perf_counter() - start,
            "status_seconds": [status(config, uri) for _ in range(3)],
            **read_by_mlflow(uri, arguments.runs, arguments.sample),
        }
    document = json.dumps(result, indent=2)
    print(document)
    if arguments.output:
        Path(arguments.output).write_text(document + "\n")


if __name__ == "__main__":
    main()
