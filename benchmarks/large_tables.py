"""What a long table of runs costs to read and fit: CPU seconds and memory of the whole command.

    python -m benchmarks.large_tables [ROWS ...]

Each table is drawn from one Chinchilla law with noise of .5% a run, no two runs alike. `scaling
fit` reads it from CSV in a process of its own, once for each law. Prints a table and writes it as
JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

LAWS = ("chinchilla", "power_law")


def table_of(rows: int, seed: int = 0) -> pd.DataFrame:
    """So many runs over three decades of size and two of tokens per parameter."""
    rng = np.random.default_rng(seed)
    n = 10 ** rng.uniform(7, 10, rows)
    d = n * 10 ** rng.uniform(0.5, 2.5, rows)
    loss = (1.7 + 400 / n**0.34 + 410 / d**0.28) * np.exp(rng.normal(0, 0.005, rows))
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss})


def cost(words: list[str]) -> dict[str, float]:
    """CPU seconds, GB at most, and exit code of one `scaling` command."""
    child = subprocess.Popen(
        [sys.executable, "-m", "scaling", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "memory_gb": round(used.ru_maxrss / 1024**2, 2),
        "exit_code": child.returncode,
    }


def measure(sizes: list[int]) -> pd.DataFrame:
    """The cost of `scaling fit`, one row for each number of rows and law."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.csv"
            table_of(rows).to_csv(path, index=False, float_format="%.7g")
            for law in LAWS:
                found.append({"rows": rows, "law": law, **cost(["fit", str(path), "--law", law])})
    return pd.DataFrame(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("-o", "--output", default="results/large_tables.json")
    given = parser.parse_args()
    measured = measure(given.rows)
    Path(given.output).parent.mkdir(parents=True, exist_ok=True)
    Path(given.output).write_text(json.dumps(measured.to_dict("records"), indent=1))
    print(measured.to_string(index=False))
