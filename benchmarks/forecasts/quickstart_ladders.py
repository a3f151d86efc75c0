"""How good are the quick start's forecasts? Its ladder again and again, with fresh seeds.

    python -m benchmarks.forecasts.quickstart_ladders [--train PAIRS --from SEED] [--far SEEDS]
                                            [--recipe "NAME [CONSTANT=VALUE ...]"]
                                            [--table CSV] [-o FILE]

A ladder is the shipped config with a pair of seeds of its own, as `scaling study quickstart --set
grid.seed=[a,b]` plans it: its fitted runs, and the held-out one. `--train` adds pairs to the table,
packed across pairs, a row as each run ends; a call after a stop trains what is missing. `--far`
trains runs at ten times the largest fitted budget, which no ladder's fit sees. Then every whole
ladder forecasts its held-out run, and one far run in turn, as the study does; errors are in percent
of the measured loss, above zero where the forecast is too high. Only runs of one text are one
ladder: another Python has another standard library.
"""

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.evaluation.held_out import check_held_out
from scaling.records import records_from_table
from scaling.tables.reading import Reading
from sweeps.config.launch import LaunchConfig
from sweeps.config.sweep import SweepConfig
from sweeps.config.yaml_file import load_config
from sweeps.data.registry import load_corpus
from sweeps.planning.packing import pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.planning.run_plan import RunPlan
from sweeps.training.pack import settle_process, train_pack

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "examples" / "quickstart_ladders.csv"
CONFIG = ROOT / "configs" / "quickstart.yaml"
FAR = "{width: 96, flops: 2.4e12}"  # ten times the largest fitted budget
FAR_FLOPS = 1.6e12  # from here on a run is a far one
TOGETHER = 4  # pairs that are trained before the next ones are begun
COLUMNS = (
    *("run_id", "recipe", "width", "seed", "params", "tokens", "train_flops", "loss"),
    *("loss_stderr", "batch_tokens", "learning_rate", "clipped_share", "held_out", "data"),
)
DIGITS = {"loss": 6, "loss_stderr": 5, "learning_rate": 6, "clipped_share": 4}


def ladder(seeds: Sequence[int], recipe: str | None = None, *further: str) -> SweepConfig:
    """The quick start with these seeds, and with another recipe: its name, and the constants that
    replace its own, as the table's column has it."""
    named = [f"recipe={_as_yaml(recipe)}"] if recipe else []
    return load_config(CONFIG, [f"grid.seed=[{','.join(map(str, seeds))}]", *named, *further])


def _as_yaml(recipe: str) -> str:
    name, *constants = recipe.split()
    overrides = ", ".join(constant.replace("=", ": ") for constant in constants)
    return f"{{name: {name}, overrides: {{{overrides}}}}}"


def planned(pairs: Iterable[Sequence[int]], recipe: str | None = None) -> list[RunPlan]:
    """The runs of these ladders."""
    return [run for pair in pairs for run in plan_sweep(ladder(pair, recipe)).runs]


def far_runs(seeds: Iterable[int], recipe: str | None = None) -> list[RunPlan]:
    """The runs far beyond every ladder."""
    plans = [plan_sweep(ladder([seed], recipe, f"held_out=[{FAR}]")) for seed in seeds]
    return [run for plan in plans for run in plan.runs if run.held_out]


def train(table: Path, runs: Sequence[RunPlan], recipe: str | None = None) -> None:
    """Train what the table lacks, pack by pack, and append each pack's runs to it, under this name
    of their recipe."""
    done = set(pd.read_csv(table)["run_id"]) if table.exists() else set()
    missing = [run for run in runs if run.run_id not in done]
    if not missing:
        return
    settle_process(threads=1)
    config, launch = ladder([1]), LaunchConfig(device="cpu", workers=1)
    corpus = load_corpus(config.data, config.model.context)
    for pack in pack_runs(missing, launch):
        trained = train_pack(pack, corpus, launch)
        rows = [
            {"run_id": run.run_id, **run.facts(), **found.record(run)}
            | ({"recipe": recipe} if recipe else {})
            for run, found in trained.items()
        ]
        kept = pd.DataFrame(rows)[list(COLUMNS)].round(DIGITS)
        kept.to_csv(table, mode="a", header=not table.exists(), index=False)
        print(f"trained {', '.join(run.name for run in pack.runs)}", flush=True)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A ladder's forecast of one run, beside what was measured."""

    seeds: tuple[int, int]
    held_out_seed: int
    decades: float
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def error(self) -> float:
        """Percent of the loss by which the forecast is too high."""
        return 100 * (self.predicted / self.measured - 1)

    @property
    def width(self) -> float:
        """Percent of the forecast that the 90% interval is wide."""
        return 100 * (self.high - self.low) / self.predicted

    @property
    def is_inside(self) -> bool:
        """Whether the interval holds the loss."""
        return self.low <= self.measured <= self.high

    @property
    def line(self) -> str:
        """The forecast in a line."""
        return (
            f"seeds {self.seeds[0]}, {self.seeds[1]}: {self.predicted:.4f} [{self.low:.4f}, "
            f"{self.high:.4f}], measured {self.measured:.4f} (seed {self.held_out_seed}), error "
            f"{self.error:+.2f}%, width {self.width:.1f}%{'' if self.is_inside else ', outside'}"
        )


def whole_ladders(table: pd.DataFrame) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
    """The pairs of seeds of whose ladder no run is missing, with its runs."""
    near = table[table.train_flops < FAR_FLOPS]
    cells = near[~near.held_out].groupby("seed").size()
    seeds = sorted(int(seed) for seed, size in cells.items() if size == cells.max())
    for first in seeds:
        runs = near[near.seed.isin([first, first + 1])]
        if first % 2 and first + 1 in seeds and runs.held_out.any():
            yield (first, first + 1), runs


def scored(table: pd.DataFrame) -> tuple[list[Scored], list[Scored]]:
    """The forecasts of the held-out runs, and of the far ones, of one recipe's ladders."""
    far = [run for _, run in table[table.train_flops >= FAR_FLOPS].groupby("run_id")]
    near_rows, far_rows = [], []
    for (pair, runs), beyond in zip(whole_ladders(table), itertools.cycle(far or [None])):
        near_rows.append(_scored(pair, runs))
        if beyond is not None:
            far_rows.append(_scored(pair, pd.concat([runs[~runs.held_out], beyond])))
    return near_rows, far_rows


def _scored(pair: tuple[int, int], runs: pd.DataFrame) -> Scored:
    """The forecast of the one run of a ladder that is held out."""
    records = records_from_table(
        runs.reset_index(drop=True), source="ladder", reading=Reading(units={"params": "1"})
    )
    (found,) = check_held_out(records).runs
    assert found.predicted is not None, "a ladder of sixteen runs forecasts a decade"
    return Scored(
        seeds=pair,
        held_out_seed=int(runs.loc[runs.held_out, "seed"].iloc[0]),
        decades=found.decades_beyond,
        predicted=found.predicted,
        low=found.interval.low,
        high=found.interval.high,
        measured=found.measured,
    )


def summary(rows: Sequence[Scored]) -> dict[str, Any]:
    """Of many forecasts: the mean error and its standard error, the median of its size, how many
    intervals hold the loss, how wide they are."""
    errors = np.array([row.error for row in rows])
    return {
        "ladders": len(rows),
        "mean_error": float(errors.mean()),
        "stderr_of_mean": float(errors.std(ddof=1) / len(rows) ** 0.5) if len(rows) > 1 else None,
        "median_absolute_error": float(np.median(np.abs(errors))),
        "inside": sum(row.is_inside for row in rows),
        "mean_width": float(np.mean([row.width for row in rows])),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is asked for, score every ladder that is whole, print it, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--train", type=int, default=0, metavar="PAIRS", help="of fresh seeds")
    parser.add_argument("--from", type=int, default=301, dest="first", metavar="SEED", help="odd")
    parser.add_argument("--far", type=int, nargs="*", default=[], metavar="SEED")
    parser.add_argument("--recipe", help="by default the config's is trained, and all are scored")
    parser.add_argument("--table", type=Path, default=TABLE, help="of runs; what it lacks is added")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    firsts = range(arguments.first, arguments.first + 2 * arguments.train, 2)
    for place in range(0, len(firsts), TOGETHER):
        pairs = [(first, first + 1) for first in firsts[place : place + TOGETHER]]
        train(arguments.table, planned(pairs, arguments.recipe), arguments.recipe)
    train(arguments.table, far_runs(arguments.far, arguments.recipe), arguments.recipe)
    document: dict[str, Any] = {}
    for name, table in pd.read_csv(arguments.table).groupby("recipe"):
        if arguments.recipe not in (None, name):
            continue
        near, far = scored(table)
        for distance, rows in (("near", near), ("far", far)):
            if not rows:
                continue
            for row in rows:
                print(row.line)
            found = {"summary": summary(rows), "ladders": [vars(row) for row in rows]}
            document[f"{name} {distance}"] = found
            print(f"{name} {distance}: {json.dumps(found['summary'])}")
    if arguments.output:
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
