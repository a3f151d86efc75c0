"""How fast bootstrap refits are, side by side with a plain scipy loop, in one process and thread.

    python benchmarks/speed/fit_speed.py [-o fit_speed.json]

The data are 240 runs like those behind the Chinchilla refit (the published table where it is
found, else simulated), the objective is the Huber penalty (delta 1e-3) of log loss. The loop is
what a careful person writes: scipy's BFGS with an exact hand-written gradient, one resample after
the other, started at the published constants of Hoffmann et al. 2022 as the published script
does, and also, to be fair to it, at the full-data optimum.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # before numpy is imported: one thread for both sides

import argparse  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from analysis.fitting.fit import fit_as_asked  # noqa: E402
from analysis.fitting.minimising.law_on_runs import model_of  # noqa: E402
from analysis.fitting.minimising.penalties import penalty_named  # noqa: E402
from analysis.fitting.refits.bootstrap import bootstrap, cluster_counts  # noqa: E402
from scaling.laws.surfaces import Chinchilla  # noqa: E402
from scaling.records import Records, read_records  # noqa: E402
from scaling.simulate import simulate_records  # noqa: E402

DELTA = 1e-3
DRAWS = 4_000
#: a, alpha, b, beta, e as published by Besiroglu et al. 2024 for Hoffmann et al. 2022
PUBLISHED_START = np.array([6.0073404, 0.33917084, 6.0179186, 0.2849083, 0.5267228])


def main() -> None:
    """Run every measurement, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=None, help="write JSON here")
    parser.add_argument("--loop-refits", type=int, default=100, help="refits of the scipy loop")
    arguments = parser.parse_args()
    records, what = chinchilla_runs()
    result = {"data": what, "draws": DRAWS, **side_by_side(records, arguments.loop_refits)}
    result["growth"] = growth()
    result["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show(result)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


def chinchilla_runs() -> tuple[Records, str]:
    """The 240 published runs, or as many simulated ones."""
    folder = os.environ.get("SCALING_PUBLISHED_DATA", str(ROOT.parent / "shared/data/published"))
    path = Path(folder) / "hoffmann2022_epoch.csv"
    if path.is_file():
        return read_records(path, where=["excluded_in_published_fit == 0"]), path.name
    return simulated(240), "240 simulated runs"


def simulated(runs: int) -> Records:
    """Runs over the ranges of the published table, with its scatter."""
    rng = np.random.default_rng(0)
    law = Chinchilla(E=1.817, A=478.0, B=2143.0, alpha=0.3473, beta=0.3672)
    table = {
        "params": np.exp(rng.uniform(np.log(6e7), np.log(1.6e10), runs)),
        "tokens": np.exp(rng.uniform(np.log(1e9), np.log(3e11), runs)),
    }
    return simulate_records(law, table, relative_noise=0.006, seed=1)


def side_by_side(records: Records, loop_refits: int) -> dict:
    """Seconds a refit of the batch and of the loop, and how good the batch's objectives are."""
    fit = fit_as_asked(records, "chinchilla", bootstrap=0, card=False)
    inputs = (records.column("params"), records.column("tokens"))
    log_loss = np.log(records.column("loss"))
    model = model_of(Chinchilla, inputs, {})
    theta = model.to_coordinates(fit.law.constants())
    runs = len(log_loss)
    labels = np.arange(runs)
    settings = {"weights": np.ones(runs), "log_loss": log_loss, "labels": labels}

    def batch() -> tuple[float, np.ndarray]:
        started = time.perf_counter()
        draws = bootstrap(
            model,
            penalty_named("huber", huber_delta=DELTA),
            theta,
            **settings,
            draws=DRAWS,
            rng=np.random.default_rng(0),
            resampling="pairs",
        )
        return (time.perf_counter() - started) / DRAWS, draws.theta

    batch()  # once to warm caches
    loop = Loop(np.log(inputs[0]), np.log(inputs[1]), log_loss)
    counts = replayed_counts(labels, runs, np.random.default_rng(0))
    full = np.array([theta[1], theta[3], theta[2], theta[4], theta[0]])
    batch_seconds, published, fair = [], [], []
    thetas = None
    for start in np.array_split(np.arange(loop_refits), 5):  # alternate, so load hits both alike
        seconds, thetas = batch()
        batch_seconds.append(seconds)
        for i in start:
            published.append(loop.refit(counts[i], PUBLISHED_START))
            fair.append(loop.refit(counts[i], full))
    assert thetas is not None
    gaps = []
    for i in range(loop_refits):
        ours = loop.value(thetas[i][[1, 3, 2, 4, 0]], counts[i])
        starts = (PUBLISHED_START, full, full + np.array([0.5, 0.02, -0.5, -0.02, 0.02]))
        best = min([ours, *(loop.best(counts[i], start) for start in starts)])
        gaps.append(ours / best - 1)
    per_batch = statistics.median(batch_seconds)
    return {
        "batch_ms_a_refit": 1e3 * per_batch,
        "loop_ms_a_refit": 1e3 * statistics.median(published),
        "loop_from_optimum_ms_a_refit": 1e3 * statistics.median(fair),
        "times_faster": statistics.mean(published) / per_batch,
        "times_faster_than_loop_from_optimum": statistics.mean(fair) / per_batch,
        "largest_relative_objective_gap": max(gaps),
        "median_relative_objective_gap": statistics.median(gaps),
        "full_data_objective": fit.objective_value,
    }


def replayed_counts(labels: np.ndarray, runs: int, rng: np.random.Generator) -> np.ndarray:
    """The counts of the batch's first draws: the bootstrap draws them chunk by chunk."""
    from analysis.fitting.refits import bootstrap

    chunk = max(1, bootstrap._CHUNK_ELEMENTS // runs)
    return cluster_counts(labels, runs, chunk, rng)


class Loop:
    """The plain script: one resample at a time through scipy.optimize.minimize."""

    def __init__(self, log_n: np.ndarray, log_d: np.ndarray, log_loss: np.ndarray) -> None:
        self.n, self.d, self.y = log_n, log_d, log_loss

    def objective(self, theta, n, d, y):
        """Sum of Huber penalties of a resampled table, and its exact gradient."""
        a, alpha, b, beta, e = theta
        first, second = a - alpha * n, b - beta * d
        top = np.maximum(np.maximum(first, second), e)
        p, q, r = np.exp(first - top), np.exp(second - top), np.exp(e - top)
        total = p + q + r
        residual = np.log(total) + top - y
        slope = np.clip(residual, -DELTA, DELTA)
        value = (slope * (residual - 0.5 * slope)).sum()
        slope = slope / total
        sp, sq = slope * p, slope * q
        return value, np.array([sp.sum(), -(sp @ n), sq.sum(), -(sq @ d), (slope * r).sum()])

    def rows(self, counts):
        """The resampled table itself, as the script would hold it."""
        rows = np.repeat(np.arange(len(counts)), counts.astype(int))
        return self.n[rows], self.d[rows], self.y[rows]

    def refit(self, counts, start) -> float:
        """Seconds of one BFGS run on a resampled table."""
        table = self.rows(counts)
        started = time.perf_counter()
        minimize(self.objective, start, args=table, jac=True, method="BFGS")
        return time.perf_counter() - started

    def value(self, theta, counts) -> float:
        """The objective of a resampled table."""
        return float(self.objective(theta, *self.rows(counts))[0])

    def best(self, counts, start) -> float:
        """The lowest objective of BFGS, polished by L-BFGS-B with tight tolerances."""
        table = self.rows(counts)
        end = minimize(
            self.objective, start, args=table, jac=True, method="BFGS", options={"gtol": 1e-12}
        )
        tight = {"ftol": 1e-16, "gtol": 1e-14, "maxiter": 5000}
        again = minimize(
            self.objective, end.x, args=table, jac=True, method="L-BFGS-B", options=tight
        )
        return float(min(end.fun, again.fun))


def growth() -> list[dict]:
    """Seconds of a whole bootstrap as draws and runs grow, up to 10,000 runs and 1,000 draws."""
    rows = []
    for runs, draws in ((240, 500), (240, 1000), (1000, 1000), (3000, 1000), (10_000, 1000)):
        records = simulated(runs)
        started = time.perf_counter()
        fit = fit_as_asked(records, "chinchilla", bootstrap=draws, resampling="pairs", card=False)
        seconds = time.perf_counter() - started
        rows.append(
            {
                "runs": runs,
                "draws": draws,
                "seconds": seconds,
                "microseconds_a_run_and_draw": 1e6 * seconds / (runs * draws),
                "converged": fit.n_draws_converged,
            }
        )
    return rows


def show(result: dict) -> None:
    """Print the measurements."""
    print(f"data: {result['data']}; {result['draws']} refits, one process, one thread")
    for name in (
        "batch_ms_a_refit",
        "loop_ms_a_refit",
        "loop_from_optimum_ms_a_refit",
        "times_faster",
        "times_faster_than_loop_from_optimum",
        "largest_relative_objective_gap",
        "median_relative_objective_gap",
        "full_data_objective",
        "peak_memory_mb",
    ):
        print(f"  {name:40s} {result[name]:.6g}")
    print("  runs   draws  seconds  us a run and draw  converged")
    for row in result["growth"]:
        print(
            f"  {row['runs']:6d} {row['draws']:5d} {row['seconds']:8.2f} "
            f"{row['microseconds_a_run_and_draw']:12.3f} {row['converged']:14d}"
        )


if __name__ == "__main__":
    main()
