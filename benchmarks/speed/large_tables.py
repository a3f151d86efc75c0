"""What a long table of runs costs in each verb: CPU seconds and memory of the whole command.

    python -m benchmarks.speed.large_tables [ROWS ...] [--kinds KIND ...] [--verbs VERB ...]

Each table is drawn from one Chinchilla law with noise of .5% a run, in one of five kinds: no two
runs alike; 30 configurations with many seeds; checkpoints of runs that share their errors; runs of
which some failed or still run; losses by compute alone. Each verb reads it from CSV in a process of
its own, on one core. Prints a row a command as it ends, and writes all as JSON.

    python -m benchmarks.speed.large_tables --bias

tells what thinning does to a forecast instead: of so many tables, the forecast from the runs that
carry it against that from all runs, in percent of the loss and in half widths of its interval.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.forecasting import ladder
from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from analysis.intervals import LEVEL
from scaling.records import Records, records_from_table

NOISE = 0.005  # of ln loss, a run
CHECKPOINTS = 200  # of a run
LARGEST = 10**5  # rows up to which every verb is tried; of larger tables those of `AT_ANY_SIZE`
AT_ANY_SIZE = ("fit", "forecast", "allocate")


def _loss(n: np.ndarray, d: np.ndarray, error: np.ndarray) -> np.ndarray:
    return (1.7 + 400 / n**0.34 + 410 / d**0.28) * np.exp(error)


def distinct(rows: int, seed: int = 0) -> pd.DataFrame:
    """So many runs over three decades of size and two of tokens per parameter, no two alike."""
    rng = np.random.default_rng(seed)
    n = 10 ** rng.uniform(7, 10, rows)
    d = n * 10 ** rng.uniform(0.5, 2.5, rows)
    loss = _loss(n, d, rng.normal(0, NOISE, rows))
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss})


def seeds(rows: int, seed: int = 0) -> pd.DataFrame:
    """Six budgets of five sizes each, and as many seeds of each as fill the table."""
    rng = np.random.default_rng(seed)
    which = np.arange(rows) % 30
    flops = 10 ** (18 + 0.5 * (which // 5))
    n = np.sqrt(flops / 120) * 2.0 ** (which % 5 - 2)
    d = flops / 6 / n
    loss = _loss(n, d, rng.normal(0, NOISE, rows))
    return pd.DataFrame({"params": n, "tokens": d, "seed": np.arange(rows) // 30, "loss": loss})


def checkpoints(rows: int, seed: int = 0, each: int = CHECKPOINTS) -> pd.DataFrame:
    """Runs of so many checkpoints each; most of a checkpoint's error is its run's."""
    rng = np.random.default_rng(seed)
    run, step = np.divmod(np.arange(rows), each)
    runs = int(run[-1]) + 1
    n = (10 ** rng.uniform(7, 10, runs))[run]
    d = n * (10 ** rng.uniform(1, 2.5, runs))[run] * (step + 1) / each
    error = rng.normal(0, NOISE, runs)[run] + rng.normal(0, NOISE / 5, rows)
    names = [f"run-{number}" for number in run]
    shown = {"run_id": names, "step": 100 * (step + 1), "params": n, "tokens": d}
    return pd.DataFrame({**shown, "loss": _loss(n, d, error)})


def statuses(rows: int, seed: int = 0) -> pd.DataFrame:
    """Distinct runs, of which one in ten failed without a loss and one in fifty still runs."""
    table, chance = distinct(rows, seed), np.random.default_rng(seed + 1).random(rows)
    status = np.select([chance < 0.1, chance < 0.12], ["failed", "running"], "finished")
    names = [f"run-{number}" for number in range(rows)]
    loss = table["loss"].where(status != "failed")
    return table.assign(loss=loss, status=status, run_id=names)


def curve(rows: int, seed: int = 0) -> pd.DataFrame:
    """The best loss of each of so many budgets; nothing is said of sizes."""
    rng = np.random.default_rng(seed)
    flops = 10 ** rng.uniform(17, 22, rows)
    loss = (1.7 + 1100 * flops**-0.16) * np.exp(rng.normal(0, NOISE, rows))
    return pd.DataFrame({"train_flops": flops, "loss": loss})


KINDS: dict[str, Callable[..., pd.DataFrame]] = {
    kind.__name__: kind for kind in (distinct, seeds, checkpoints, statuses, curve)
}


def commands(kind: str, rows: int, folder: Path) -> list[list[str]]:
    """The verbs, with their flags, that are asked of a table of this kind and length."""
    laws = ["power_law"] if kind == "curve" else ["power_law", "chinchilla"]
    forms = [[], ["--json"], ["--card"], ["-o", str(folder / "fit.json")]]
    asked = [["fit", "--law", law, *form] for law in laws for form in forms]
    asked += [["forecast", "--flops", "1e23"]]
    if kind != "curve":
        asked += [["allocate", "--flops", "1e23"]]
    asked += [["backtest"], ["report", "-o", str(folder / "report.html")]]
    return [words for words in asked if rows <= LARGEST or words[0] in AT_ANY_SIZE]


def cost(words: list[str]) -> dict[str, float]:
    """CPU seconds, GB at most, and exit code of one `scaling` command."""
    child = subprocess.Popen(
        [sys.executable, "-m", "scaling", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "memory_gb": round(used.ru_maxrss / 1024**2, 2),
        "exit_code": child.returncode,
    }


def measure(sizes: list[int], kinds: list[str], verbs: list[str]) -> list[dict]:
    """The cost of each command on each table."""
    found = []
    print(f"{'rows':>9}  {'kind':<12}{'CPU s':>7}{'GB':>6}  exit  command")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows, kind in ((rows, kind) for rows in sizes for kind in kinds):
            path = folder / f"{kind}.csv"
            KINDS[kind](rows).to_csv(path, index=False, float_format="%.7g")
            for verb, *flags in commands(kind, rows, folder):
                if verbs and verb not in verbs:
                    continue
                asked = " ".join([verb, *flags]).replace(f"{folder}/", "")
                row = {"rows": rows, "kind": kind, "command": asked}
                row |= cost([verb, str(path), *flags])
                found.append(row)
                print(
                    f"{rows:>9,}  {kind:<12}{row['cpu_seconds']:>7}{row['memory_gb']:>6}"
                    f"{row['exit_code']:>6}  {asked}",
                    flush=True,
                )
    return found


def bias(rows: int, kinds: list[str], tables: int = 3) -> list[dict]:
    """The forecast from the runs that carry it beside that from all, one row a table."""
    found = []
    print(f"{'kind':<12}{'seed':>5}{'runs':>6}{'off %':>8}{'half widths':>13}{'width ratio':>13}")
    for kind, seed in ((kind, seed) for kind in kinds for seed in range(tables)):
        records = records_from_table(KINDS[kind](rows, seed))
        thinned, all_runs = (_forecast(records, most) for most in (ladder.MOST_RUNS, rows))
        part, whole = thinned.targets[0], all_runs.targets[0]
        half = (whole.intervals[LEVEL].high - whole.intervals[LEVEL].low) / 2
        ends = [one.intervals[LEVEL] for one in (part, whole)]
        row = {"rows": rows, "kind": kind, "seed": seed, "runs": thinned.runs}
        row |= {"off_percent": 100 * (part.centre / whole.centre - 1)}
        row |= {"half_widths": (part.centre - whole.centre) / half}
        row |= {"width_ratio": (ends[0].high - ends[0].low) / (ends[1].high - ends[1].low)}
        found.append(row)
        print(
            f"{kind:<12}{seed:>5}{row['runs']:>6}{row['off_percent']:>8.3f}"
            f"{row['half_widths']:>13.2f}{row['width_ratio']:>13.2f}",
            flush=True,
        )
    return found


def _forecast(records: Records, most: int) -> Forecast:
    """The forecast at ten times the largest budget, carried by so many runs at most."""
    usual, ladder.MOST_RUNS = ladder.MOST_RUNS, most
    try:
        target = Targets.flops(10 * float(records.column("train_flops").max()))
        return forecast(records, target, options=ForecastOptions(backtests=2))
    finally:
        ladder.MOST_RUNS = usual


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--verbs", nargs="+", default=[])
    parser.add_argument("--bias", action="store_true", help="of 2,000 rows, or as many as given")
    parser.add_argument("-o", "--output", default="results/large_tables.json")
    given = parser.parse_args()
    if given.bias:
        rows = 2000 if given.rows == parser.get_default("rows") else given.rows[0]
        measured = bias(rows, given.kinds)
    else:
        measured = measure(given.rows, given.kinds, given.verbs)
    Path(given.output).parent.mkdir(parents=True, exist_ok=True)
    Path(given.output).write_text(json.dumps(measured, indent=1))
