"""Does `cpt-adamw/1` keep its best learning rate from depth 2 to depth 8? Long enough to tell.

    python -m benchmarks.training.depth_rates [--train SEEDS] [--table CSV] [-o FILE]

Width 32 on the quick start's text, 8e5 tokens a run: five learning rates around the rule's, each
seed at both depths. `--train` adds seeds to the table, a row as each run ends; a call after a stop
trains what is missing. The best rate of a depth is the least of a parabola in ln rate through the
mean log losses, each weighted by how far runs scatter at its rate (pooled over the depths: runs
above the best rate scatter ten times as much as those below). Its error is that of drawing the
means anew within their scatter.
"""

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.forecasts.quickstart_ladders import ROOT, ladder
from scaling.arrays import FloatArray
from sweeps.config.launch import LaunchConfig
from sweeps.data.registry import load_corpus
from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.planning.run_plan import RunPlan
from sweeps.training.pack import settle_process, train_pack

TABLE = ROOT / "examples" / "depth_rates.csv"
RECIPE, WIDTH, DEPTHS, TOKENS = "cpt-adamw/1", 32, (2, 8), 8e5
FACTORS = (0.57, 0.85, 1.28, 1.92, 2.88)
MOST_APART = 0.2  # ln ratio of the best rates
DRAWS = 20_000


def runs_of(seeds: Sequence[int]) -> Iterator[tuple[float, RunPlan]]:
    """Factor and plan of every run of these seeds, seed by seed."""
    config = ladder(
        seeds,
        RECIPE,
        f"cells=[{{width: {WIDTH}, depth: [{', '.join(map(str, DEPTHS))}], tokens: {TOKENS:g}}}]",
        "held_out=[]",
        "launch.policy=null",
    )
    plans = sorted(plan_sweep(config).runs, key=lambda run: (run.seed, run.shape.depth))
    for run, factor in itertools.product(plans, FACTORS):
        settings = with_learning_rate_factor(run.settings, factor)
        yield factor, dataclasses.replace(run, settings=settings)


def train(table: Path, seeds: Sequence[int]) -> None:
    """Train what the table lacks, and append each run to it."""
    done = set(pd.read_csv(table)["run_id"]) if table.exists() else set()
    settle_process(threads=1)
    config, launch = ladder([1]), LaunchConfig(device="cpu", workers=1)
    corpus = load_corpus(config.data, config.model.context)
    for factor, run in runs_of(seeds):
        if run.run_id in done:
            continue
        (found,) = train_pack(Pack(replicas=((run,),)), corpus, launch).values()
        row = {"run_id": run.run_id, "recipe": run.recipe, "width": run.shape.width}
        row |= {"depth": run.shape.depth, "seed": run.seed, "tokens": run.tokens}
        row |= {"steps": run.settings.steps, "rate_factor": factor, "data": run.data.data_hash}
        row |= {"loss": round(float(found.record(run)["loss"]), 6)}
        pd.DataFrame([row]).to_csv(table, mode="a", header=not table.exists(), index=False)
        print(row, flush=True)


@dataclass(frozen=True, kw_only=True)
class BestRates:
    """ln of the best learning rate over the rule's, by depth, and of their ratio."""

    means: FloatArray  # (depths, factors) log losses
    scatter: FloatArray  # (factors,) standard deviation of a run
    seeds: FloatArray  # (depths, factors) how many
    drawn: FloatArray  # (1 + draws, depths) the fit, and what the scatter allows

    @property
    def ratio(self) -> float:
        """ln of the deepest model's best rate over the shallowest one's."""
        return float(self.drawn[0, -1] - self.drawn[0, 0])

    @property
    def stderr(self) -> float:
        """Of the ratio."""
        return float((self.drawn[1:, -1] - self.drawn[1:, 0]).std(ddof=1))

    @property
    def share_inside(self) -> float:
        """Of the draws, those whose ratio is less than MOST_APART."""
        return float((np.abs(self.drawn[1:, -1] - self.drawn[1:, 0]) < MOST_APART).mean())


def best_rates(table: pd.DataFrame) -> BestRates:
    """The best learning rate at every depth of the table."""
    logs = table.assign(loss=np.log(table.loss)).groupby(["depth", "rate_factor"])["loss"]
    means, counts = (logs.agg(how).unstack() for how in ("mean", "count"))
    variances = logs.var(ddof=1).unstack().to_numpy()
    scatter = np.sqrt(np.average(variances, axis=0, weights=counts - 1))
    errors = scatter / np.sqrt(counts.to_numpy())
    normal = np.random.default_rng(0).standard_normal((DRAWS, *means.shape))
    draws = np.concatenate([means.to_numpy()[None], means.to_numpy() + errors * normal])
    x = np.log(means.columns.to_numpy(float))
    best = np.empty((len(draws), len(means)))
    for depth, error in enumerate(errors):
        design = np.vander(x, 3) / error[:, None]
        half, slope, _ = np.linalg.lstsq(design, (draws[:, depth] / error).T, rcond=None)[0]
        best[:, depth] = np.clip(-slope / (2 * np.maximum(half, 1e-6)), x[0], x[-1])
    return BestRates(
        means=means.to_numpy(), scatter=scatter, seeds=counts.to_numpy(float), drawn=best
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is asked for, print the means, the best rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--train", type=int, default=0, metavar="SEEDS", help="seeds 1 to SEEDS")
    parser.add_argument("--table", type=Path, default=TABLE, help="of runs; what it lacks is added")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    if arguments.train:
        train(arguments.table, range(1, arguments.train + 1))
    table = pd.read_csv(arguments.table)
    print(table.groupby(["depth", "rate_factor"])["loss"].agg(["mean", "std", "count"]).round(4))
    found = best_rates(table)
    for depth, best, error in zip(DEPTHS, found.drawn[0], found.drawn[1:].std(axis=0), strict=True):
        print(f"depth {depth}: best rate over the rule's, ln {best:+.3f} +- {error:.3f}")
    print(
        f"ln ratio {found.ratio:+.3f} +- {found.stderr:.3f}; "
        f"{found.share_inside:.1%} of the draws within {MOST_APART}"
    )
    if arguments.output:
        document = {"ratio": found.ratio, "stderr": found.stderr, "inside": found.share_inside}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
